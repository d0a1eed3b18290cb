"""`make demo`: a Debian 12 container from nothing to an ssh login, a reboot from inside, and back.

Everything happens in a network namespace of its own and below build/demo, so nothing leaves the machine and a
real installation is not touched.  The addresses are from the range kept for documentation (192.0.2.0/24).
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from images import deploy

CHECKOUT = deploy.CHECKOUT
PREFIX = os.path.join(CHECKOUT, "build", "demo")
BIN = os.path.join(CHECKOUT, "build", "bin")
KEY = os.path.join(PREFIX, "key")
NETNS = "vzhost-demo"
CTID, ADDRESS, NAME, TEMPLATE = "101", "192.0.2.101", "demo.example.org", "debian-12"
BOOT_LIMIT = 60.0  # seconds until sshd must answer; a fraction of a second is usual

SSH = (
    "ssh", "-i", KEY, "-oStrictHostKeyChecking=no", f"-oUserKnownHostsFile={PREFIX}/known_hosts",
    "-oLogLevel=ERROR", "-oBatchMode=yes", "-oConnectTimeout=5", f"root@{ADDRESS}",
)  # fmt: skip


class DemoFailed(Exception):
    """A step did not work; the text is what the command said."""


def run(*argv: str, check: bool = True, input: str | None = None) -> str:
    """Output of a command in the demo's network namespace."""
    done = subprocess.run(
        ["nsenter", f"--net=/run/netns/{NETNS}", "--", *argv],
        env=os.environ | {"VZ_PREFIX": PREFIX, "PATH": f"{BIN}:{os.environ['PATH']}"},
        input=input if input is not None else "",
        text=True,
        capture_output=True,
        check=False,
    )
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise DemoFailed(f"{' '.join(argv[:3])}: exit {done.returncode}\n{said}")
    return done.stdout


def ssh(command: str, check: bool = True) -> str:
    return run(*SSH, command, check=check)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Print *text*, do it, print how long it took."""
    print(f"  {text:<58}", end="", flush=True)
    start = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed")
        raise
    print(f"{time.monotonic() - start:7.2f} s")


def show(text: str) -> None:
    for line in text.rstrip().splitlines():
        print(f"      {line}")


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + BOOT_LIMIT
    while not condition():
        if time.monotonic() > end:
            raise DemoFailed(f"nothing after {BOOT_LIMIT:g} s; see {PREFIX}/var/log/vz-hostd.log")
        time.sleep(0.02)


def logs_in() -> bool:
    return ssh("echo in", check=False) == "in\n"


def prepare(cache: str) -> None:
    """A prefix with the template, a network namespace, a key."""
    os.makedirs(f"{PREFIX}/var/lib/vz/template/cache", exist_ok=True)
    archive = os.path.join(cache, f"{TEMPLATE}-{os.uname().machine}.tar.zst")
    if not os.path.exists(archive):
        raise DemoFailed(f"{archive} is missing: make images builds it")
    os.symlink(os.path.realpath(archive), f"{PREFIX}/var/lib/vz/template/cache/{TEMPLATE}.tar.zst")
    subprocess.run(["ip", "netns", "add", NETNS], check=True)
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", "198.51.100.1/32", "dev", "lo")  # the host's own
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "vzhost demo", "-f", KEY)


def last_words() -> str:
    """The end of hostd's log, which goes with the prefix."""
    try:
        with open(f"{PREFIX}/var/log/vz-hostd.log", encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-15:])
    except OSError:
        return ""


def tell_the_story() -> None:
    with step(f"vzctl create {CTID} --ostemplate {TEMPLATE}"):
        run("vzctl", "create", CTID, "--ostemplate", TEMPLATE, "--hostname", NAME, "--ipadd", ADDRESS)
    with step(f"vzctl start {CTID}"):
        run("vzctl", "start", CTID)
    with step("an ssh key for root, by vzctl exec2"):
        with open(f"{KEY}.pub", encoding="ascii") as file:
            key = file.read()
        write = "umask 77; mkdir -p /root/.ssh; cat >>/root/.ssh/authorized_keys"
        run("vzctl", "exec2", CTID, write, input=key)
    with step(f"ssh root@{ADDRESS}"):
        until(logs_in)
    show(
        ssh('echo "$(hostname), $(. /etc/os-release; echo $PRETTY_NAME), kernel $(uname -r)"; ip -br address')
    )
    ssh("touch /run/before-the-reboot")
    with step("reboot, typed inside over ssh, and ssh again"):
        ssh("reboot", check=False)
        until(lambda: ssh("test ! -e /run/before-the-reboot && echo new", check=False) == "new\n")
    show(run("vzlist", "-a"))
    show(run("vzctl", "status", CTID))


def remove() -> None:
    """Take the demo off the machine, however far it came."""
    if os.path.exists(f"/run/netns/{NETNS}") and os.path.exists(f"{PREFIX}/etc/vz"):
        run("vzctl", "stop", CTID, "--fast", check=False)
        run("vzctl", "destroy", CTID, check=False)
    hostd = f"{BIN}/hostd"
    if os.path.exists(f"{PREFIX}/run/vz/hostd.pid"):
        subprocess.run([hostd, "--stop"], env=os.environ | {"VZ_PREFIX": PREFIX}, capture_output=True, check=False)
    if os.path.exists(f"/run/netns/{NETNS}"):
        subprocess.run(["ip", "netns", "del", NETNS], check=False)
    deploy.remove(PREFIX)


def advice() -> None:
    print(f"""
It goes on running.  Use it, from {CHECKOUT}:
  {" ".join(["nsenter", f"--net=/run/netns/{NETNS}", *SSH])}
  export VZ_PREFIX={PREFIX} PATH={BIN}:$PATH
  vzlist -a; vzctl enter {CTID}
and remove it:
  make demo-clean""")


def main() -> int:
    parser = argparse.ArgumentParser(prog="images.demo", description=__doc__)
    parser.add_argument(
        "--cache", default="/var/cache/vzhost/images", help="where make images puts templates"
    )
    parser.add_argument("--keep", action="store_true", help="leave the container running")
    parser.add_argument("--remove", action="store_true", help="only remove what --keep left")
    options = parser.parse_args()
    if os.getuid():
        print("demo: this needs root: it makes namespaces, mounts and cgroups", file=sys.stderr)
        return 1
    if shutil.which("nsenter") is None:
        print("demo: nsenter is missing: make deps installs util-linux", file=sys.stderr)
        return 1
    return play(options)


def play(options: argparse.Namespace) -> int:
    """Run the demo; what it made is removed again unless it shall stay."""
    keep = False
    try:
        remove()
        if options.remove:
            return 0
        print(f"demo: container {CTID}, {TEMPLATE}, address {ADDRESS}, everything below {PREFIX}")
        prepare(options.cache)
        tell_the_story()
        keep = options.keep
    except (DemoFailed, OSError, deploy.Refused) as error:
        print(f"demo: {error}", file=sys.stderr)
        show(last_words())
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if not keep and not options.remove:
            with step("stop, destroy, clean up"):
                remove()
    if keep:
        advice()
    return 0


if __name__ == "__main__":
    sys.exit(main())

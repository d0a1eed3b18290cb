"""Put the code onto a machine: the commands of a checkout, `make install`, `make clean`.

Host Python and standard library only: this runs before anything is built.
"""

import argparse
import glob
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable

from hostd.cli import stub
from images import client
from images.errors import BuildError, told

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

BESIDE = {"vztop": "top", "vzmetrics": "metrics"}  # programs that only ask the commands -> module of hostd.watch
COMMANDS = (*client.NAMES, "hostd", *BESIDE)
HOST_PYTHON = "/usr/bin/python3"

# The keeper starts this; the daemon's libraries come last, so that nothing of theirs hides our packages.
DAEMON = "import sys; sys.path.insert(0, {code!r}); sys.path.append({site!r}); import hostd.daemon.__main__"

# What is imported beyond the standard library: files and directories of a site-packages.
LIBRARIES = (
    *("cffi", "_cffi_backend*.so", "pyroute2", "pr2modules", "pycparser", "yaml", "_yaml*"),
    *("rich", "prometheus_client"),  # hostd.watch alone
)

# installed path below DESTDIR -> source below the checkout (glob)
FILES = {
    "/usr/lib/systemd/system": "docs/systemd/*.service",
    "/usr/share/man/man8": "docs/man/*.8",
    "/usr/share/man/man5": "docs/man/*.5",
    "/usr/share/bash-completion/completions": "build/completion/*",
}


class Refused(BuildError):
    """Something on the machine forbids the step; the text says what."""


def requirements(extra: str = "") -> list[str]:
    """The pinned packages of `pip install .[dev]`, one per item; those of *extra* alone, where one is named."""
    with open(os.path.join(CHECKOUT, "pyproject.toml"), "rb") as file:
        project = tomllib.load(file)["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    return extras[extra] if extra else [*project["dependencies"], *extras["dev"]]


def write(path: str, text: str, mode: int = 0o644) -> None:
    """Write *path* so that a reader sees the old text or the new one."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(f"{path}.new", mode)
    os.rename(f"{path}.new", path)


def programs(directory: str, code: str, site: str) -> None:
    """Runnable `hostd`, and those of BESIDE, in *directory* that use the code in *code*, libraries in *site*."""
    daemon = [HOST_PYTHON, "-ISE", "-c", DAEMON.format(code=code, site=site)]
    write(os.path.join(directory, "hostd"), stub.hostd(code, daemon), 0o755)
    for name, module in BESIDE.items():
        write(os.path.join(directory, name), stub.beside(module, code, site), 0o755)


def libraries(site: str) -> list[str]:
    return [path for pattern in LIBRARIES for path in sorted(glob.glob(os.path.join(site, pattern)))]


def copy(source: str, target: str) -> None:
    """Copy a file or a tree; what stood at *target* is replaced, not changed: a running daemon has it mapped."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    remove(f"{target}.new")
    if not os.path.isdir(source):
        shutil.copy2(source, f"{target}.new")
        os.rename(f"{target}.new", target)
        return
    unwanted = shutil.ignore_patterns("__pycache__", "*.c", "*.o")
    shutil.copytree(source, f"{target}.new", symlinks=True, ignore=unwanted)
    remove(target)
    os.rename(f"{target}.new", target)


def copy_runtime(source: str, target: str) -> None:
    """Add the newest runtime of PID 1; the older ones stay, because containers and dumps use them."""
    name = os.readlink(os.path.join(source, "current"))
    if not os.path.exists(os.path.join(target, name)):
        copy(os.path.join(source, name), os.path.join(target, name))
    link = os.path.join(target, "current")
    remove(f"{link}.new")
    os.symlink(name, f"{link}.new")
    os.rename(f"{link}.new", link)


def install(destdir: str, libdir: str) -> None:
    """Code, libraries, runtime, criu, commands, unit, completion, man pages.

    The default configuration is not copied: the first hostd lays it out where there is none.
    """
    home = destdir + libdir
    for part in ("hostd", "vzinit", "build/criu"):
        copy(os.path.join(CHECKOUT, part), os.path.join(home, part))
    copy_runtime(os.path.join(CHECKOUT, "build/runtime"), os.path.join(home, "build/runtime"))
    for path in libraries(sysconfig.get_path("purelib")):
        copy(path, os.path.join(home, "lib", os.path.basename(path)))
    real = ["-s", destdir, "-p", "/"] if destdir else []  # the path that the code will have
    subprocess.run([sys.executable, "-m", "compileall", "-q", *real, home], check=False)
    programs(f"{destdir}/usr/sbin", libdir, f"{libdir}/lib")
    client.put(os.path.join(CHECKOUT, "build/bin/vzctl"), f"{destdir}/usr/sbin")
    for directory, pattern in FILES.items():
        for source in sorted(glob.glob(os.path.join(CHECKOUT, pattern))):
            copy(source, os.path.join(destdir + directory, os.path.basename(source)))
    tell_systemd(destdir)


def tell_systemd(destdir: str) -> None:
    """The unit is another now, or gone."""
    if not destdir and os.path.isdir("/run/systemd/system"):
        subprocess.run(["systemctl", "daemon-reload"], check=False)


def uninstall(destdir: str, libdir: str) -> None:
    """Undo `install`; configuration, templates and containers stay.  Refuses while containers run."""
    if not destdir and (records := glob.glob("/run/vz/ct/*.json")):
        raise Refused(f"{len(records)} containers run or are mounted: stop them first")
    if not destdir and os.path.exists("/usr/sbin/hostd"):
        subprocess.run(["/usr/sbin/hostd", "--stop"], stderr=subprocess.DEVNULL, check=False)
    for directory, pattern in FILES.items():
        for source in glob.glob(os.path.join(CHECKOUT, pattern)):
            remove(os.path.join(destdir + directory, os.path.basename(source)))
    for name in COMMANDS:
        remove(f"{destdir}/usr/sbin/{name}")
    remove(destdir + libdir)
    tell_systemd(destdir)


def mounts_below(path: str) -> list[str]:
    """Mount points at or below *path*, as this process sees them."""
    real = os.path.realpath(path)
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        points = [line.split()[4].replace("\\040", " ") for line in file]
    return [point for point in points if point == real or point.startswith(f"{real}/")]


def remove(path: str) -> None:
    """Remove a file or a tree; refuses a tree with a mount below, because its content belongs to others."""
    if not os.path.lexists(path):
        return
    if not os.path.isdir(path) or os.path.islink(path):
        os.unlink(path)
        return
    if mounted := mounts_below(path):
        raise Refused(f"{path} stays: {mounted[0]} is mounted there (stop its container first)")
    subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)


def site() -> str:
    return sysconfig.get_path("purelib")


def main() -> int:
    parser = argparse.ArgumentParser(prog="images.deploy", description=__doc__)
    verbs = parser.add_subparsers(required=True)

    def verb(name: str, run: Callable[[argparse.Namespace], None], *options: str) -> None:
        sub = verbs.add_parser(name)
        for option in options:
            sub.add_argument(option, default="")
        sub.set_defaults(run=run)

    verb("requirements", lambda a: print("\n".join(requirements(a.extra))), "--extra")
    verb("site", lambda a: print(site()))
    verb("programs", lambda a: programs(a.directory, CHECKOUT, site()), "directory")
    verb("install", lambda a: install(a.destdir, a.libdir), "--destdir", "--libdir")
    verb("uninstall", lambda a: uninstall(a.destdir, a.libdir), "--destdir", "--libdir")
    verb("clean", lambda a: remove(a.directory), "directory")
    arguments = parser.parse_args()
    return told("deploy", lambda: arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(main())

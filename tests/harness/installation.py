"""An installation of its own for one test: a prefix, a network namespace, the real commands.

    vz.run("vzctl", "start", "101")             asserts exit code 0, gives stdout/stderr
    vz.run("vzctl", "start", "101", check=32)   asserts exit code 32
    vz.ctl("exec2", "101", "true")              the same, shorter

Commands run in the network namespace and the mount namespace of the test; so does hostd, started on demand.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import warnings
from dataclasses import dataclass

import pexpect

from hostd.config import skeleton
from hostd.config.paths import Paths
from tests.harness import leaks, machine, trees
from tests.harness.patience import patient

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(CHECKOUT, "build", "bin")
CACHE = os.environ.get("VZ_TEST_IMAGES", "/var/cache/vzhost/images")
HOST_ADDRESS, HOST_ADDRESS6 = "198.51.100.1", "2001:db8:1::1"  # of the host, in its namespace
TIMEOUT = patient(300.0)  # seconds; a hang is a failure, a slow machine or disk is not


@dataclass(frozen=True)
class Result:
    """What a command answered."""

    code: int
    stdout: str
    stderr: str


def fresh_prefix() -> Paths:
    """A directory of its own, and with it a tag of its own."""
    return Paths(tempfile.mkdtemp(prefix="vzt-", dir="/var/tmp"))


class Vz:
    """One installation below `prefix`, its commands and its hostd."""

    def __init__(self, netns: str = "", prefix: str = "") -> None:
        """*netns*: share another installation's network namespace instead of having one."""
        self.paths = Paths(prefix) if prefix else fresh_prefix()
        self.prefix = self.paths.prefix
        self.netns = netns or f"vzt-{os.path.basename(self.prefix)[4:]}"
        self._own_netns = not netns
        self.env = {"PATH": f"{BIN}:{os.environ.get('PATH', '')}", "VZ_PREFIX": self.prefix, "TERM": "xterm",
                    "LANG": "C.UTF-8", "HOME": "/root"}  # fmt: skip
        self._children: list[subprocess.Popen[str]] = []
        self._terminals: list[pexpect.spawn[str]] = []
        skeleton.install(self.paths)
        if self._own_netns:
            subprocess.run(["ip", "netns", "add", self.netns], check=True)
            self.ip("link", "set", "lo", "up")
            self.ip("address", "add", f"{HOST_ADDRESS}/32", "dev", "lo")
            self.ip("address", "add", f"{HOST_ADDRESS6}/128", "dev", "lo", "nodad")

    # set-up

    def template(self, name: str) -> str:
        """Make the cached template *name* available; its path.  Fails when `make images` has not made it."""
        source = os.path.join(CACHE, f"{name}-{os.uname().machine}.tar.zst")
        target = f"{self.paths.template_cache}/{name}.tar.zst"
        if not os.path.lexists(target):
            assert os.path.exists(source), f"no template {name} in {CACHE}: run `make images`"
            os.symlink(os.path.realpath(source), target)
            trees.lend(name, target, self.paths)
        return target

    def create(self, ctid: int, *options: str, template: str = "busybox") -> None:
        """A stopped container with a small disk and a short stop timeout."""
        self.template(template)
        self.ctl("create", str(ctid), "--ostemplate", template, *options)
        self.ctl("set", str(ctid), "--stop-timeout", "20", "--save")

    def start(self, ctid: int, *options: str, template: str = "busybox") -> None:
        """Create and start."""
        self.create(ctid, *options, template=template)
        self.ctl("start", str(ctid))

    # commands

    def _argv(self, argv: tuple[str, ...]) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.netns}", *argv]

    def run(
        self,
        *argv: str,
        check: int | None = 0,
        input: str = "",
        env: dict[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> Result:
        """Run to the end; *check* is the exit code that must come (None: any)."""
        done = subprocess.run(
            self._argv(argv),
            env=self.env | (env or {}),
            input=input,
            text=True,
            errors="surrogateescape",
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        said = f"{' '.join(argv)}: exit {result.code}\nstdout: {result.stdout}\nstderr: {result.stderr}"
        assert check is None or result.code == check, f"{said}\nwanted exit {check}\n{self.log_tail()}"
        return result

    def ctl(self, *argv: str, check: int | None = 0, input: str = "", timeout: float = TIMEOUT) -> Result:
        return self.run("vzctl", *argv, check=check, input=input, timeout=timeout)

    def vzlist(self, *argv: str, check: int | None = 0) -> str:
        return self.run("vzlist", *argv, check=check).stdout

    def popen(self, *argv: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """A command in the background; ended with the test."""
        child = subprocess.Popen(
            self._argv(argv),
            env=self.env | (env or {}),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._children.append(child)
        return child

    def spawn(
        self, *argv: str, rows: int = 24, cols: int = 80, timeout: float = 60.0
    ) -> "pexpect.spawn[str]":
        """A command on a terminal of its own."""
        program, *rest = self._argv(argv)
        with warnings.catch_warnings():  # forkpty beside xdist's threads; the child executes at once
            warnings.simplefilter("ignore", DeprecationWarning)
            child = pexpect.spawn(
                program, rest, env=self.env, encoding="utf-8", timeout=patient(timeout), dimensions=(rows, cols)
            )
        self._terminals.append(child)
        return child

    def ip(self, *argv: str) -> str:
        return self.run("ip", *argv).stdout

    def reaches(self, address: str) -> bool:
        """An echo comes back from *address* (busybox: a small host may have no other ping)."""
        return self.run("busybox", "ping", "-c1", "-W3", address, check=None).code == 0

    def ping(self, address: str) -> None:
        assert self.reaches(address), f"{address} does not answer"

    # the state of a container, as its user sees it

    def status(self, ctid: int) -> str:
        """`exist mounted running` and so on: the line of `vzctl status` after the number."""
        line = self.ctl("status", str(ctid)).stdout
        match = re.fullmatch(rf"CTID {ctid} (.*)\n", line)
        assert match, f"status line: {line!r}"
        return match[1]

    def init_pid(self, ctid: int) -> int:
        """PID 1 of a running container, as the host numbers it: the process that is 1 inside."""
        for cgroup in machine.cgroups_named(self.paths.cgroup_root):
            if str(ctid) not in cgroup.split("/"):
                continue
            for pid in machine.cgroup_pids(cgroup):
                line = re.search(r"^NSpid:.*\t1$", machine.read(f"/proc/{pid}/status"), re.MULTILINE)
                if line:
                    return pid
        raise AssertionError(f"CT {ctid} has no PID 1")

    def uptime_clock(self, ctid: int) -> str:
        """Start time of PID 1: changes when, and only when, the container was started again."""
        try:
            pid = self.init_pid(ctid)
        except AssertionError:
            return ""
        fields = machine.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return fields[19] if fields else ""  # it has ended meanwhile

    def answers(self, ctid: int) -> bool:
        return self.ctl("exec2", str(ctid), "true", check=None).code == 0

    def wait_reboot(self, ctid: int, before: str) -> None:
        """Until PID 1 is another one than at *before* and answers."""
        machine.until(
            f"CT {ctid} rebooted", lambda: self.uptime_clock(ctid) not in ("", before) and self.answers(ctid)
        )

    def wait_status(self, ctid: int, wanted: str) -> None:
        machine.until(f"CT {ctid} {wanted}", lambda: self.status(ctid) == wanted)

    # hostd

    def start_hostd(self, *before: str, **env: str) -> None:
        """Start hostd with more environment (fault points), *before* it on its command line what executes it; returns
        when it answers.
        """
        child = self.popen(*before, "hostd", env=env)
        machine.until("hostd listens", lambda: os.path.exists(self.paths.socket) or child.poll() is not None)
        self.ctl("status", "1")
        assert child.poll() is None, "another hostd runs already"

    @property
    def keeper_pid(self) -> int:
        return int(machine.read(self.paths.hostd_pid).strip() or 0)

    @property
    def daemon_pid(self) -> int:
        return int(machine.read(self.paths.daemon_pid).strip() or 0)

    def kill_daemon(self) -> None:
        """kill -9 of the daemon; returns when the keeper has started the next one."""
        old = self.daemon_pid
        assert old, "no daemon to kill"
        machine.kill_and_wait(old)
        machine.until(
            "a new daemon", lambda: self.daemon_pid not in (0, old) and machine.alive(self.daemon_pid)
        )

    def kill_keeper(self) -> None:
        """kill -9 of the keeper alone; returns when another one answers."""
        old = self.keeper_pid
        assert old, "no keeper to kill"
        machine.kill_and_wait(old)
        machine.until(
            "a keeper", lambda: self.ctl("status", "1", check=None).code == 0 and self.keeper_pid != old
        )

    def kill_both(self) -> None:
        """kill -9 of keeper and daemon, neither of which can replace the other meanwhile; nobody is left."""
        keeper, daemon = self.keeper_pid, self.daemon_pid
        assert keeper, "no keeper to kill"
        os.kill(keeper, signal.SIGSTOP)
        if daemon:
            machine.kill_and_wait(daemon)
        machine.kill_and_wait(keeper)

    def stop_hostd(self) -> None:
        """Orderly end of hostd; containers would go on."""
        if self.keeper_pid and machine.alive(self.keeper_pid):
            keeper = self.keeper_pid
            self.run("hostd", "--stop")
            machine.until("keeper gone", lambda: not machine.alive(keeper))

    def log_tail(self, lines: int = 30) -> str:
        return "\n".join(machine.read(self.paths.hostd_log).splitlines()[-lines:])

    # the end

    def remove(self) -> list[str]:
        """Stop everything, in the way a user would; what is left after that, as lines, and is then swept."""
        for terminal in self._terminals:
            terminal.close(force=True)
        for child in self._children:
            if child.poll() is None and child.args[-1] != "hostd":  # type: ignore[index]
                child.kill()
        try:
            for ctid in self.ctids():
                stopped = self.ctl("stop", str(ctid), "--fast", check=None)
                if stopped.code not in (0, 14):
                    print(f"CT {ctid} was not stopped: {stopped}")
                self.ctl("umount", str(ctid), check=None)
            self.stop_hostd()
            trees.take_back(self.paths)
            left = leaks.find_lasting(self.prefix, self.paths.cgroup_root, self.paths.tag)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            left = [f"not stopped in order: {error}"]
        finally:
            leaks.sweep(self.prefix, self.paths.cgroup_root)
            for child in self._children:
                child.wait()
                for pipe in (child.stdin, child.stdout, child.stderr):
                    if pipe is not None:
                        pipe.close()
            if self._own_netns:
                subprocess.run(["ip", "netns", "del", self.netns], check=False)
        if machine.mounts_below(self.prefix):
            return [*left, f"{self.prefix} kept: it still has mounts below"]
        shutil.rmtree(self.prefix, ignore_errors=True)
        return left

    def ctids(self) -> list[int]:
        """Every container that has a record or a configuration."""
        places = [place for place in (self.paths.conf_dir, self.paths.records_dir) if os.path.isdir(place)]
        names = [name for place in places for name in os.listdir(place)]
        return sorted(
            {int(match[1]) for name in names if (match := re.fullmatch(r"([1-9]\d*)\.(conf|json)", name))}
        )

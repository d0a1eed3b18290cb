"""The other container managers, each told to do the same: start one PID 1, run a command in it, stop it.

No user namespace and no network device for them (vzhost has both): the comparison is in their favour.
"""

import contextlib
import glob
import json
import os
import shutil
import subprocess
from typing import Protocol

from tests.harness import machine

TRUE = ("/bin/busybox", "true")


class Manager(Protocol):
    """One manager with one container at a time, on one root filesystem with /init and the FIFO /stamp."""

    name: str

    def start(self) -> None:
        """Returns when the manager says that the container runs."""

    def run_true(self) -> None:
        """Run `true` inside by the manager's own exec; returns when it ended."""

    def status(self) -> None:
        """Ask the manager for the state, as a monitor does."""

    def stop(self) -> None:
        """Kill and clean up; returns when nothing is left."""


def quiet(*argv: str, check: bool = True) -> None:
    """Run a command; a failure carries what it said."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()[-300:]}")


class Oci:
    """crun and runc: one bundle, detached."""

    def __init__(self, program: str, rootfs: str, scratch: str, number: int = 0) -> None:
        self.name = program
        self._id = f"vzbench-{os.getpid()}-{number}"
        self._bundle = f"{scratch}/{program}-{number}"
        os.makedirs(self._bundle, exist_ok=True)
        with open(f"{self._bundle}/config.json", "w", encoding="utf-8") as file:
            json.dump(oci_config(rootfs, self._id), file)

    def start(self) -> None:
        # Not captured: the container would keep our pipes open.
        subprocess.run([self.name, "run", "-d", "--bundle", self._bundle, self._id], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)  # fmt: skip

    def run_true(self) -> None:
        quiet(self.name, "exec", self._id, *TRUE)

    def status(self) -> None:
        quiet(self.name, "state", self._id)

    def stop(self) -> None:
        quiet(self.name, "delete", "--force", self._id)


class Lxc:
    """LXC without the distribution's hooks and seccomp file: its fastest way."""

    name = "lxc"

    def __init__(self, rootfs: str, scratch: str, number: int = 0) -> None:
        self._path, self._id = f"{scratch}/lxc", f"vzbench-{os.getpid()}-{number}"
        os.makedirs(f"{self._path}/{self._id}", exist_ok=True)
        lines = (
            f"lxc.rootfs.path = dir:{rootfs}", f"lxc.uts.name = {self._id}", "lxc.init.cmd = /init",
            "lxc.net.0.type = empty", "lxc.mount.auto = proc:mixed sys:mixed", "lxc.autodev = 1",
        )  # fmt: skip
        with open(f"{self._path}/{self._id}/config", "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def _run(self, verb: str, *options: str) -> None:
        quiet(f"lxc-{verb}", "-P", self._path, "-n", self._id, *options)

    def start(self) -> None:
        subprocess.run(["lxc-start", "-d", "-P", self._path, "-n", self._id], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)  # fmt: skip

    def run_true(self) -> None:
        self._run("attach", "--", *TRUE)

    def status(self) -> None:
        self._run("info", "-s")

    def stop(self) -> None:
        self._run("stop", "-k")


class Nspawn:
    """systemd-nspawn without machined; it stays in the foreground, so only PID 1's stamp shows the start."""

    name = "systemd-nspawn"

    def __init__(self, rootfs: str, scratch: str, number: int = 0) -> None:
        self._argv = ["systemd-nspawn", "-q", "-D", rootfs, "--register=no", "--keep-unit"]
        self._argv += ["--private-network", "-M", f"vzbench{os.getpid()}x{number}", "/init"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL)  # fmt: skip

    def run_true(self) -> None:
        quiet("nsenter", "-t", str(self._init()), "-m", "-u", "-i", "-n", "-p", "--", *TRUE)

    def status(self) -> None:
        machine.alive(self._init())

    def stop(self) -> None:
        assert self._process is not None
        with contextlib.suppress(LookupError):
            machine.kill_and_wait(self._init())
        self._process.wait()

    def _init(self) -> int:
        """PID 1 of the container: the descendant of nspawn that is 1 in its own pid namespace."""
        assert self._process is not None
        todo = [self._process.pid]
        while todo:
            pid = todo.pop()
            if machine.read(f"/proc/{pid}/status").find("\t1\nNSpgid") > 0 and pid != self._process.pid:
                return pid
            todo += [int(child) for child in machine.read(f"/proc/{pid}/task/{pid}/children").split()]
        raise LookupError("nspawn has no PID 1")


def oci_config(rootfs: str, hostname: str) -> dict[str, object]:
    """The smallest bundle that is a container: six namespaces, the usual mounts, no seccomp."""
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
    ]
    names = ("pid", "mount", "uts", "ipc", "network", "cgroup")
    capabilities = ["CAP_SYS_BOOT", "CAP_KILL", "CAP_CHOWN", "CAP_SYS_ADMIN"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "cwd": "/",
            "args": ["/init"],
            "env": ["PATH=/sbin:/bin"],
            "user": {"uid": 0, "gid": 0},
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        },
        "root": {"path": rootfs},
        "hostname": hostname,
        "mounts": mounts,
        "linux": {"namespaces": [{"type": name} for name in names]},
    }


def missing() -> list[str]:
    """The peers that this machine does not have."""
    programs = {"crun": "crun", "runc": "runc", "lxc": "lxc-start", "systemd-nspawn": "systemd-nspawn"}
    return [name for name, program in programs.items() if shutil.which(program) is None]


def forget() -> None:
    """Remove the empty cgroups that LXC leaves at the top of every hierarchy."""
    for path in glob.glob("/sys/fs/cgroup/*/lxc.pivot") + glob.glob("/sys/fs/cgroup/*/lxc.monitor.vzbench*"):
        with contextlib.suppress(OSError):
            os.rmdir(path)


def available(rootfs: str, scratch: str, number: int = 0) -> list[Manager]:
    """The peers that this machine has."""
    absent = missing()
    every: list[Manager] = [Oci("crun", rootfs, scratch, number), Oci("runc", rootfs, scratch, number),
                            Lxc(rootfs, scratch, number), Nspawn(rootfs, scratch, number)]  # fmt: skip
    return [peer for peer in every if peer.name not in absent]

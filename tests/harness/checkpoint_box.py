"""A container made by hand for the checkpoint tests: overlay root, venet, cgroups, a server as PID 1."""

import asyncio
import ctypes
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from hostd.cgroup.tree import CgroupTree, CtCgroup
from hostd.checkpoint import criu
from hostd.checkpoint.dump import DumpSpec, dump
from hostd.checkpoint.restore import RestoreSpec, restore
from hostd.errors import VzError
from hostd.kernel import caps, seccomp
from hostd.kernel.facade import check, lib
from hostd.kernel.fd import Fd
from hostd.kernel.mount import MountAttr, mount_setattr, move_mount, new_filesystem, open_tree, umount
from hostd.kernel.namespace import CLONE_NEWNET, namespace, userns
from hostd.kernel.process import Process
from hostd.kernel.spawn import SpawnPlan
from hostd.kernel.stage import Stage
from hostd.storage.overlay import mount_layers
from tests.harness.patience import patient

BASE = 37 * 65536
HOST, INSIDE = "198.51.100.1", "198.51.100.2"
PORT = 5000
PR_SET_CHILD_SUBREAPER = 36

# PID 1: a server that counts requests over TCP, and does over the channel what it is told.
INIT = f"""
import os, signal, socket, sys
channel = socket.socket(fileno=3)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    channel.close()
    listener = socket.create_server(("", {PORT}))
    count = 0
    while True:
        connection, _ = listener.accept()
        while data := connection.recv(100):
            count += 1
            connection.send(b"%d %s" % (count, data))
kept = {{}}
while request := channel.recv(9999).decode():
    if request == "newpair":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        socket.send_fds(channel, [b"%d" % os.fstat(ours.fileno()).st_ino], [theirs.fileno()])
        theirs.close()
        channel.close()
        channel = ours
        continue
    try:
        exec("answer = " + request if not request.startswith("do ") else "answer = None\\n" + request[3:])
    except Exception as error:
        answer = error
    channel.send(repr(answer).encode())
"""


@dataclass
class Ct:
    """A container made by hand, with the pieces that hostd would make."""

    directory: str
    stage: Stage
    cgroup: CtCgroup
    process: Process | None = None
    channel: socket.socket = field(init=False)
    inode: int = 0
    opened: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.userns = userns(BASE)
        for name in ("data", "runtime", "dump"):
            os.mkdir(f"{self.directory}/{name}")
        with open(f"{self.directory}/runtime/init.py", "w", encoding="ascii") as file:
            file.write(INIT)
        with new_filesystem("tmpfs", {"mode": "755"}) as data:
            move_mount(data, f"{self.directory}/data")
        for path in ("upper", "upper/.vz", "upper/srv", "work"):
            os.mkdir(f"{self.directory}/data/{path}")
            os.chown(f"{self.directory}/data/{path}", BASE, BASE)  # not mapped: before Linux 6.3 a tmpfs cannot be

    # ---- as hostd.storage, hostd.container.mounts

    def root(self) -> Fd:
        """The host's own root as lower layer: has a Python, costs nothing."""
        lower, data = open_tree("/"), open_tree(f"{self.directory}/data")
        mount_setattr(lower, userns=self.userns)
        return mount_layers(self.directory, lower, data, mapped=True)

    def dev(self) -> Fd:
        owner = {"uid": str(BASE), "gid": str(BASE)}
        options: dict[str, str | Fd | None] = {"mode": "755", "size": "512k", **owner}
        dev = new_filesystem("tmpfs", options, MountAttr.NOSUID | MountAttr.NOEXEC)
        os.mknod(f"{dev.path}/null", 0o20666, os.makedev(1, 3))
        os.chmod(f"{dev.path}/null", 0o666)
        for name in ("pts", "shm", "mqueue"):
            os.mkdir(f"{dev.path}/{name}")
        os.symlink("pts/ptmx", f"{dev.path}/ptmx")
        return dev

    def submounts(self) -> tuple[tuple[Fd, str], ...]:
        owner = {"uid": str(BASE), "gid": str(BASE)}
        runtime = open_tree(f"{self.directory}/runtime")
        mount_setattr(runtime, set=MountAttr.RDONLY | MountAttr.NOSUID | MountAttr.NODEV)
        pts = {"ptmxmode": "0666", "mode": "0620", "gid": str(BASE + 5)}
        hardened = MountAttr.NOSUID | MountAttr.NODEV
        return (
            (runtime, ".vz"),
            (self.dev(), "dev"),
            (new_filesystem("devpts", pts, MountAttr.NOSUID | MountAttr.NOEXEC), "dev/pts"),
            (new_filesystem("tmpfs", {"mode": "1777", **owner}, hardened), "dev/shm"),
            (new_filesystem("tmpfs", {"mode": "755", **owner}, hardened), "run"),
        )

    def start(self) -> None:
        self.cgroup.create(BASE)
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        plan = SpawnPlan(
            root=self.root(), argv=("/usr/bin/python3", "-ISE", "/.vz/init.py"),
            env={"PATH": "/usr/bin:/bin"}, fds={3: Fd(theirs.detach())}, uid_base=BASE, hostname="ct",
            join=self.cgroup.joins(), into=self.cgroup.into(), seccomp=seccomp.deny_filter(),
            drop_caps=caps.DEFAULT_DROP, submounts=self.submounts(),
        )  # fmt: skip
        self.process = self.stage.spawn(plan).result()
        self.channel.settimeout(patient(10))
        self.host_end()
        sh(f"ip link set venet1 netns {self.process.pid}")
        inside = f"nsenter -t {self.process.pid} -n ip"
        sh(f"{inside} link set venet1 name venet0; {inside} link set lo up; {inside} link set venet0 up")
        sh(f"{inside} addr add {INSIDE}/32 dev venet0; {inside} route add {HOST} dev venet0")
        self.new_pair()

    def host_end(self) -> None:
        sh("ip link add ve101 type veth peer name venet1; ip link set ve101 up")
        sh(f"ip addr add {HOST}/32 dev ve101; ip route add {INSIDE} dev ve101")

    # ---- talk

    def ask(self, expression: str) -> str:
        self.channel.send(expression.encode())
        return self.channel.recv(65536).decode()

    def new_pair(self) -> None:
        self.channel.send(b"newpair")
        inode, fds, _, _ = socket.recv_fds(self.channel, 100, 1)
        self.channel.close()
        self.channel, self.inode = socket.socket(fileno=fds[0]), int(inode)
        self.channel.settimeout(patient(10))

    def connect(self) -> socket.socket:
        """An open connection to the server inside; it is closed with the container."""
        deadline = time.monotonic() + patient(10)
        while True:
            try:
                self.opened.append(socket.create_connection((INSIDE, PORT), 10))
                return self.opened[-1]
            except ConnectionRefusedError:  # it is still starting
                assert time.monotonic() < deadline

    # ---- checkpoint and restore

    @property
    def images(self) -> str:
        return f"{self.directory}/dump/Dump.101"

    def dump_spec(self) -> DumpSpec:
        assert self.process
        with ExitStack() as stack:
            lower, upper = (
                stack.enter_context(Fd.open(path, os.O_RDONLY | os.O_DIRECTORY))
                for path in ("/", f"{self.directory}/data/upper")
            )
            stack.pop_all()
            return DumpSpec(
                self.process.pid, self.images, f"{self.directory}/cache", BASE, self.inode,
                f"{self.directory}/runtime", tuple(self.cgroup.paths()), lower=lower, upper=upper,
            )  # fmt: skip

    def dump(self) -> None:
        asyncio.run(dump(self.dump_spec()))
        self.reap()
        no_link()

    def reap(self) -> None:
        assert self.process
        self.channel.close()
        os.waitid(os.P_PIDFD, self.process.fileno(), os.WEXITED | 0x40000000)  # __WALL
        self.process.close()
        self.process = None

    def restore_spec(self, theirs: socket.socket) -> RestoreSpec:
        return RestoreSpec(
            self.images, f"{self.directory}/cache", BASE, f"{self.directory}/runtime", self.root(),
            Fd(theirs.detach()), tuple(self.cgroup.paths()), self.cgroup.joins(), self.cgroup.into(),
            {"venet0": "venet1"},
        )  # fmt: skip

    def restore(self) -> None:
        self.host_end()
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(patient(10))
        try:
            self.process = asyncio.run(restore(self.restore_spec(theirs)))
        except VzError:
            no_link()
            raise
        self.new_pair()

    def end(self) -> None:
        umount(f"{self.directory}/data", detach=True)
        self.cgroup.kill()
        for connection in self.opened:
            connection.close()
        if self.process:
            self.reap()
        self.cgroup.destroy()
        self.cgroup.tree.remove()


def no_link() -> None:
    """Remove the veth pair; it may have gone with the container's namespace, which dies when it likes."""
    sh("ip link del ve101 2>/dev/null || true")


def sh(command: str) -> None:
    done = subprocess.run(["sh", "-ec", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout}"


@pytest.fixture
def ct(tmp_path: str) -> Iterator[Ct]:
    """A running container, in a network namespace of the test's own; we are its keeper."""
    if not os.path.exists(criu.PRIVATE):
        pytest.skip("no private criu: run `make build`")
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    stage = Stage()
    with namespace(os.getpid(), "net") as before:
        check(lib.vz_unshare(CLONE_NEWNET), "unshare")
        sh("ip link set lo up")  # CRIU probes the kernel over it
        container = Ct(str(tmp_path), stage, CtCgroup(CgroupTree.detect(f"vz-criutest{os.getpid()}"), 101))
        try:
            container.start()
            yield container
        finally:
            container.end()
            check(lib.vz_setns(before.fileno(), CLONE_NEWNET), "setns")
            stage.close()
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def mounts_of(pid: int) -> list[tuple[str, str, str, str]]:
    """(mount point, root, flags, file system), sorted."""
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as file:
        lines = [line.split(" ") for line in file]
    return sorted((f[4], f[3], f[5], f[f.index("-") + 1]) for f in lines)

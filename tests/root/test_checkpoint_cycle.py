"""A container like the default one, saved and brought back, with an open TCP connection."""

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import pytest

from hostd.cgroup.tree import CgroupTree, CtCgroup
from hostd.checkpoint import criu, images_dir, state
from hostd.checkpoint.dump import DumpSpec, dump
from hostd.checkpoint.restore import RestoreSpec, restore
from hostd.errors import Failure
from hostd.kernel import caps, seccomp
from hostd.kernel.facade import check, lib
from hostd.kernel.fd import Fd
from hostd.kernel.mount import MountAttr, fsids, mount_setattr, move_mount, new_filesystem, open_tree, umount
from hostd.kernel.namespace import CLONE_NEWNET, namespace, userns
from hostd.kernel.process import Process
from hostd.kernel.spawn import SpawnPlan
from hostd.kernel.stage import Stage

pytestmark = pytest.mark.root

BASE = 37 * 65536
HOST, INSIDE = "198.51.100.1", "198.51.100.2"
PORT = 5000
PR_SET_CHILD_SUBREAPER = 36

# PID 1: a server that counts requests over TCP, and does over the channel what it is told.
INIT = f'''
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
'''


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
        for path in ("upper/.vz", "work", "upper/srv"):
            os.makedirs(f"{self.directory}/data/{path}")

    # ---- as hostd.storage, hostd.container.mounts

    def root(self) -> Fd:
        """The host's own root as lower layer: has a Python, costs nothing."""
        lower, data = open_tree("/"), open_tree(f"{self.directory}/data")
        for tree in (lower, data):
            mount_setattr(tree, userns=self.userns)
        with (
            Fd.open("upper", os.O_PATH | os.O_DIRECTORY, dir=data) as upper,
            Fd.open("work", os.O_PATH | os.O_DIRECTORY, dir=data) as work,
            fsids(BASE, BASE),
        ):
            layers: dict[str, str | Fd | None] = {"lowerdir+": lower, "upperdir": upper, "workdir": work}
            options = {"source": "vz", "xino": "on", "metacopy": "on", "redirect_dir": "on"}
            return new_filesystem("overlay", {**layers, **options})

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
        self.channel.settimeout(10)
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
        self.channel.settimeout(10)

    def connect(self) -> socket.socket:
        """An open connection to the server inside; it is closed with the container."""
        deadline = time.monotonic() + 10
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
            self.images, f"{self.directory}/cache", BASE, self.root(), theirs,
            tuple(self.cgroup.paths()), self.cgroup.all_joins(), {"venet0": "venet1"},
        )  # fmt: skip

    def restore(self) -> None:
        self.host_end()
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(10)
        try:
            with theirs:
                result = asyncio.run(restore(self.restore_spec(theirs)))
        except Failure:
            no_link()
            raise
        self.process = Process.reopen(result.pid, result.identity)
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
        container = Ct(str(tmp_path), stage, CtCgroup(CgroupTree.detect("vz-criutest"), 101))
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


def test_the_container_comes_back_three_times_with_its_connection(ct: Ct) -> None:
    assert ct.process
    connection = ct.connect()
    connection.send(b"a")
    assert connection.recv(100) == b"1 a"
    before, cgroup = mounts_of(ct.process.pid), ct.ask("open('/proc/self/cgroup').read()")
    for number in range(2, 5):
        ct.dump()
        assert images_dir.exists(ct.images)
        assert state.inspect(ct.images) == state.Flight("dump", state.Phase.DONE)
        ct.restore()
        connection.send(b"b")
        assert connection.recv(100) == b"%d b" % number
        assert ct.ask("os.getpid()") == "1"
        assert mounts_of(ct.process.pid) == before
        assert ct.ask("open('/proc/self/cgroup').read()") == cgroup
        with open(f"/proc/{ct.process.pid}/status", encoding="ascii") as file:
            assert f"PPid:\t{os.getpid()}\n" in file.read()


def test_a_dump_that_fails_leaves_it_running(ct: Ct) -> None:
    connection = ct.connect()
    ct.inode += 1  # CRIU then meets a socket whose other end is outside
    with pytest.raises(Failure, match=r"^Checkpointing failed: .*[Uu]nix") as caught:
        asyncio.run(dump(ct.dump_spec()))
    assert caught.value.exit_code == 16
    ct.inode -= 1
    connection.send(b"a")
    assert connection.recv(100) == b"1 a"
    assert ct.ask("os.getpid()") == "1"
    assert not os.path.exists(images_dir.part(ct.images))
    assert state.inspect(ct.images) == state.NOTHING
    ct.dump()
    ct.restore()
    connection.send(b"b")
    assert connection.recv(100) == b"2 b"


def test_what_cannot_be_saved_is_refused_before_anything_is_touched(ct: Ct) -> None:
    ct.ask("do sys.path[:0] = ['/usr/lib/python3.11']")
    ct.ask(f"do import subprocess; kept['p'] = subprocess.Popen({NESTED!r}, stdout=-1)")
    ct.ask("kept['p'].stdout.read(1)")
    with pytest.raises(Failure, match=r"is in a nested uts namespace$"):
        asyncio.run(dump(ct.dump_spec()))
    assert not os.path.exists(images_dir.part(ct.images))


NESTED = ["unshare", "-u", "sh", "-c", "echo; exec sleep 1000"]


def test_a_restore_that_fails_can_be_tried_again(ct: Ct) -> None:
    connection = ct.connect()
    connection.send(b"a")
    connection.recv(100)
    ct.dump()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, pytest.raises(Failure, match=r"^Restoring failed: ") as caught:
        asyncio.run(restore(replace(ct.restore_spec(theirs), devices={"venet0": "nosuch"})))
    assert caught.value.exit_code == 17
    assert ct.cgroup.procs() == []
    assert state.inspect(ct.images).phase is state.Phase.FAILED
    ct.restore()
    connection.send(b"b")
    assert connection.recv(100) == b"2 b"
    found = state.inspect(ct.images)
    assert ct.process
    assert (found.phase, found.pid, found.identity) == (state.Phase.DONE, ct.process.pid, ct.process.identity)


def test_the_guests_files_in_dev_and_its_cgroups_come_back(ct: Ct) -> None:
    ct.ask("do os.symlink('/run/systemd/journal/dev-log', '/dev/log'); os.mkfifo('/dev/initctl', 0o600)")
    ct.ask("do open('/dev/note', 'w').write('kept'); os.chown('/dev/note', 33, 5)")
    ct.ask("do os.mkdir('/sys/fs/cgroup/service')")
    ct.ask("do open('/sys/fs/cgroup/service/cgroup.procs', 'w').write('2')")
    look = (
        "[sorted(os.listdir('/dev')), os.readlink('/dev/log'), oct(os.stat('/dev/initctl').st_mode),"
        " open('/dev/note').read(), os.stat('/dev/note').st_uid, oct(os.stat('/dev/null').st_mode),"
        " open('/proc/2/cgroup').read().splitlines()[-1]]"
    )
    before = ct.ask(look)
    assert "0::/service" in before
    for _ in range(2):
        ct.dump()
        ct.restore()
        assert ct.ask(look) == before


def test_a_watch_on_the_overlay_still_tells(ct: Ct) -> None:
    ct.ask("do import ctypes; kept['libc'] = ctypes.CDLL(None)")
    ct.ask("do kept['fd'] = kept['libc'].inotify_init1(0o4000)")
    ct.ask("do [kept['libc'].inotify_add_watch(kept['fd'], p, 0x106) for p in (b'/srv', b'/usr/share/doc')]")
    ct.dump()
    ct.restore()
    ct.ask("do open('/srv/new', 'w').close()")
    assert "b" in ct.ask("os.read(kept['fd'], 4096)")
    ct.ask("do open('/usr/share/doc/new', 'w').close()")
    assert "b" in ct.ask("os.read(kept['fd'], 4096)")


def test_routes_neighbours_and_sysctls_that_criu_forgets_come_back(ct: Ct) -> None:
    assert ct.process
    inside = "nsenter -t {} -n ".format
    before = inside(ct.process.pid)
    sh(f"{before} ip route add 203.0.113.0/24 dev venet0 table 77")
    sh(f"{before} ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev venet0 nud permanent")
    sh(f"{before} sh -c 'echo 7 >/proc/sys/net/ipv4/tcp_fin_timeout'")
    ct.dump()
    ct.restore()
    after = inside(ct.process.pid)
    sh(f"{after} ip route show table 77 | grep -q 203.0.113.0/24")
    sh(f"{after} ip neigh show | grep -q '192.0.2.9 .*PERMANENT'")
    sh(f"test $({after} cat /proc/sys/net/ipv4/tcp_fin_timeout) = 7")


def test_the_work_goes_on_without_the_daemon(ct: Ct) -> None:
    """The daemon is killed as soon as the helper has come to life; the next daemon sees the dump through."""
    connection = ct.connect()
    spec = ct.dump_spec()
    daemon = os.fork()
    if daemon == 0:
        threading.Thread(target=_die_with_a_child).start()
        asyncio.run(dump(spec))
    assert os.WTERMSIG(os.waitpid(daemon, 0)[1]) == signal.SIGKILL
    assert asyncio.run(state.settled(ct.images)) == state.Flight("dump", state.Phase.DONE)
    ct.reap()
    no_link()
    ct.restore()
    connection.send(b"a")
    assert connection.recv(100) == b"1 a"


def test_criu_goes_on_without_its_helper(ct: Ct) -> None:
    """kill -9 of the helper in the middle: CRIU ends what it began, and that is what counts."""
    connection = ct.connect()
    threading.Thread(target=_kill_the_helper, args=(images_dir.part(ct.images),)).start()
    ct.dump()
    assert images_dir.exists(ct.images)
    assert images_dir.read_result(ct.images) is None
    ct.restore()
    connection.send(b"a")
    assert connection.recv(100) == b"1 a"


def _kill_the_helper(part: str) -> None:
    while not os.path.exists(f"{part}/dump.log"):
        pass
    for pid in [int(pid) for thread in os.listdir("/proc/self/task") for pid in children_of(thread).split()]:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if b"hostd.checkpoint.stage" in file.read():
                os.kill(pid, signal.SIGKILL)


def _die_with_a_child() -> None:
    while not any(map(children_of, os.listdir("/proc/self/task"))):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def children_of(thread: str) -> str:
    with open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
        return file.read()

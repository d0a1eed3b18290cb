"""vzinit as PID 1 of fresh namespaces on a small root file system; the test is the host."""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import pytest

from hostd.container import last_words
from hostd.image import runtime
from hostd.kernel.fd import Fd
from tests.harness import machine
from tests.harness.installation import CHECKOUT
from tests.harness.patience import patient
from vzinit import protocol

TIMEOUT = patient(120.0)  # seconds; only ever reached by a failing test
APPLETS = [
    "cat", "chmod", "echo", "env", "false", "getty", "grep", "halt", "id", "init", "kill", "ln", "login", "ls",
    "mkdir", "od", "poweroff", "printf", "ps", "pwd", "readlink", "reboot", "rm", "seq", "setsid", "sh", "sleep",
    "stat", "stty", "sync", "test", "touch", "true", "tty", "umask", "umount", "wc",
]  # fmt: skip

SETUP = rf"""
{machine.LET_GO}
set -e
root=$1 runtime=$2 channel=$3
shift 3
mount --bind "$root" "$root"
mount -t tmpfs tmpfs "$root/dev" -o mode=755
mount --bind "$runtime" "$root/.vz"
mount -o remount,bind,ro "$root/.vz"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run" -o mode=755
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts devpts "$root/dev/pts" -o newinstance,ptmxmode=0666,mode=0620,gid=5
ln -s pts/ptmx "$root/dev/ptmx"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
mknod -m 666 "$root/dev/tty" c 5 0
ln -s /proc/self/fd "$root/dev/fd"
ip link set lo up 2>/dev/null || true
exec 3<&$channel
[ $channel = 3 ] || eval "exec $channel<&-"
exec env -i /usr/sbin/chroot "$root" "$@" </dev/null >/dev/null
"""


@cache
def runtime_path() -> str:
    """A runtime built from the sources under test."""
    out = os.path.join(CHECKOUT, "build", "test-runtime")
    built = subprocess.run(
        [sys.executable, "-m", "images.runtime", out],
        check=True,
        capture_output=True,
        text=True,
    )
    return built.stdout.splitlines()[-1]


def busybox_root(path: str) -> str:
    """A root file system of nothing but busybox."""
    os.chmod(path, 0o755)
    for name in ("bin", "dev", "proc", "sys", "run", "tmp", "root", "etc", "mnt", ".vz"):
        os.makedirs(f"{path}/{name}", exist_ok=True)
    if not os.path.lexists(f"{path}/sbin"):
        os.symlink("bin", f"{path}/sbin")
    shutil.copy("/bin/busybox", f"{path}/bin/busybox")
    for applet in APPLETS:
        if not os.path.lexists(f"{path}/bin/{applet}"):
            os.symlink("busybox", f"{path}/bin/{applet}")
    with open(f"{path}/etc/passwd", "w") as file:
        file.write("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:User:/tmp:/bin/sh\n")
    with open(f"{path}/etc/group", "w") as file:
        file.write("root:x:0:\ntty:x:5:user\nuser:x:1000:\nextra:x:2000:user,root\n")
    return path


class Frame:
    """One received frame."""

    def __init__(self, verb: str, fields: protocol.Fields, fds: list[int]) -> None:
        self.verb = verb
        self.fields = fields
        self.fds = fds

    def __getitem__(self, key: str) -> str:
        return protocol.one(self.fields, key)

    def __repr__(self) -> str:
        return f"{self.verb} {self.fields} fds={self.fds}"


class Pid1:
    """A running vzinit; `request` speaks to it, `wait` tells how it ended."""

    def __init__(self, process: "subprocess.Popen[bytes]", channel: socket.socket, words: Fd) -> None:
        self.process = process
        self.words = words
        self.channel = channel
        self.seen: list[Frame] = []
        self.sequence = 0

    @property
    def pid(self) -> int:
        """PID 1 as the host numbers it."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            return int(file.read().split()[0])

    def receive(self, timeout: float = TIMEOUT) -> Frame:
        """The next frame.  EOFError when the other end is closed."""
        readable, _, _ = select.select([self.channel], [], [], timeout)
        if not readable:
            raise TimeoutError(f"vzinit says nothing; so far: {self.seen}")
        frame, fds, _, _ = socket.recv_fds(self.channel, protocol.MAX_FRAME, 8)
        if not frame:
            raise EOFError("vzinit closed the channel")
        verb, fields = protocol.decode(frame)
        self.seen.append(Frame(verb, fields, fds))
        return self.seen[-1]

    def expect(self, *verbs: str, **fields: str) -> Frame:
        """The next frame with one of these verbs and these fields; others are left in `seen`."""
        while True:
            frame = self.receive()
            if frame.verb in verbs and all(frame[key] == value for key, value in fields.items()):
                return frame

    def send(self, verb: str, fds: list[int] | None = None, **fields: object) -> str:
        self.sequence += 1
        frame = protocol.encode(verb, seq=self.sequence, **fields)
        socket.send_fds(self.channel, [frame], fds or [])
        return str(self.sequence)

    def request(self, verb: str, fds: list[int] | None = None, **fields: object) -> Frame:
        """Send a request, answer its answer."""
        sequence = self.send(verb, fds, **fields)
        while True:
            frame = self.receive()
            if frame["seq"] == sequence:
                return frame

    def greet(self) -> None:
        """Take `hello` and the lasting pair."""
        self.expect("hello")
        self.use(self.expect("pair"))

    def use(self, pair: Frame) -> None:
        self.channel.close()
        self.channel = socket.socket(fileno=pair.fds[0])

    def boot(self) -> None:
        self.greet()
        assert self.request("go").verb == "ready"
        self.expect("running")

    def run(self, *argv: str, **fields: object) -> tuple[int, str]:
        """Run a command inside: (exit code or -signal, output)."""
        reader, writer = os.pipe()
        null = os.open("/dev/null", os.O_RDWR)
        name = f"run{self.sequence}"
        try:
            fields.setdefault("env", ["PATH=/sbin:/bin:/usr/sbin:/usr/bin"])
            answer = self.request("exec", [null, writer, writer], id=name, argv=argv, **fields)
        finally:
            os.close(writer)
            os.close(null)
        with os.fdopen(reader, "rb") as file:
            if answer.verb != "started":
                raise OSError(int(answer["errno"]), answer["text"])
            output = file.read().decode()
        ended = self.ended(name)
        return (-int(ended["signal"]) or int(ended["code"])), output

    def ended(self, name: str) -> Frame:
        """The end of a session, now or already seen."""
        for frame in self.seen:
            if frame.verb == "ended" and frame["id"] == name:
                return frame
        return self.expect("ended", id=name)

    def wait(self, timeout: float = TIMEOUT) -> int:
        """How PID 1 ended, as subprocess tells it (-SIGHUP: reboot, -SIGINT: halt or power off)."""
        return self.process.wait(timeout)


@contextmanager
def pid1(root: str, before: Mapping[str, str] | None = None) -> Iterator[Pid1]:
    """vzinit on *root*; gone, with everything below it, when the block ends."""
    for path, text in (before or {}).items():
        os.makedirs(os.path.dirname(f"{root}{path}"), exist_ok=True)
        with open(f"{root}{path}", "w") as file:
            file.write(text)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words = last_words.create(0)
    process = launch(root, theirs.fileno(), words)
    theirs.close()
    world = Pid1(process, ours, words)
    try:
        yield world
    finally:
        kill(process)
        words.close()
        world.channel.close()


def launch(root: str, channel: int, words: Fd) -> "subprocess.Popen[bytes]":
    namespaces = [
        "--mount",
        "--pid",
        "--net",
        "--ipc",
        "--uts",
        "--fork",
        "--kill-child",
        "--propagation",
        "private",
    ]
    setup = ["bash", "-c", SETUP, "bash", root, runtime_path(), str(channel)]
    return subprocess.Popen(
        ["unshare", *namespaces, *setup, *runtime.argv()],
        stdin=subprocess.DEVNULL,
        stderr=words.fileno(),
        pass_fds=(channel,),
    )


def kill(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL PID 1 (the kernel ends the rest of its namespace) and wait."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A root tree for PID 1 to stand in."""
    return busybox_root(str(tmp_path_factory.mktemp("busybox")))


@pytest.fixture
def world(root: str) -> Iterator[Pid1]:
    """PID 1, booted."""
    with pid1(root) as world:
        world.boot()
        yield world

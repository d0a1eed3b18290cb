"""A box for `spawn()` tests: a root file system of one static program, and its answers as text."""

import os
import socket
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

from hostd.kernel.fd import Fd
from hostd.kernel.mount import MountAttr, new_filesystem
from hostd.kernel.process import Process
from hostd.kernel.spawn import SpawnPlan
from hostd.kernel.stage import Stage
from tests.harness.patience import patient

BASE = 40 << 16  # the host's id of user 0
SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "payload.c")
PROGRAM = "/payload"
TIMEOUT = patient(10.0)  # seconds until an answer that never comes fails the test
DIRECTORIES = ("proc", "sys", "dev")


@cache
def payload() -> bytes:
    """The program, compiled once."""
    with TemporaryDirectory() as scratch:
        made = f"{scratch}/payload"
        subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-static", "-o", made, SOURCE], check=True)
        with open(made, "rb") as file:
            return file.read()


def new_root() -> Fd:
    """A detached tmpfs with the program and the mount points."""
    root = new_filesystem("tmpfs", {"mode": "755", "size": "4m"})
    for name in DIRECTORIES:
        os.mkdir(name, 0o755, dir_fd=root.fileno())
    with Fd.open(PROGRAM[1:], os.O_CREAT | os.O_WRONLY, 0o755, dir=root) as program:
        os.write(program.fileno(), payload())
    return root


def new_dev() -> Fd:
    """A detached tmpfs with what /dev must have."""
    dev = new_filesystem("tmpfs", {"mode": "755", "size": "64k"}, MountAttr.NOSUID | MountAttr.NOEXEC)
    os.mknod("null", 0o020666, os.makedev(1, 3), dir_fd=dev.fileno())
    os.chmod("null", 0o666, dir_fd=dev.fileno())
    os.mkdir("mqueue", 0o755, dir_fd=dev.fileno())
    return dev


def plan_of(
    root: Fd,
    channel: Fd,
    commands: tuple[str, ...],
    *,
    below: Iterable[tuple[Fd, str]] = (),
    fds: Mapping[int, Fd] | None = None,
    **changes: Any,
) -> SpawnPlan:
    """A plan for *commands*: *below* are the submounts, *fds* come beside the channel, *changes* replace."""
    plan = SpawnPlan(
        root=root,
        argv=(PROGRAM, *commands),
        env={},
        fds={3: channel, **(fds or {})},
        uid_base=BASE,
        hostname="box",
        submounts=tuple(below),
    )
    return plan._replace(**changes)


class Box:
    """A running box: its process, and the stream that its program answers on."""

    def __init__(
        self,
        stage: Stage,
        *commands: str,
        root: Fd | None = None,
        below: Iterable[tuple[Fd, str]] = (),
        **changes: Any,
    ) -> None:
        """Spawn it; the root and /dev are made for it, *below* comes after /dev."""
        self.stream, theirs = socket.socketpair()
        self.stream.settimeout(TIMEOUT)
        with ExitStack() as stack:
            channel = stack.enter_context(Fd(theirs.detach(), "channel"))
            tree = stack.enter_context(root or new_root())
            dev = stack.enter_context(new_dev())
            plan = plan_of(tree, channel, commands, below=((dev, "dev"), *below), **changes)
            try:
                self.process: Process = stage.spawn(plan).result()
            except BaseException:
                self.stream.close()
                raise

    def line(self) -> str:
        """The next line of its answer."""
        text = b""
        while not text.endswith(b"\n"):
            byte = self.stream.recv(1)
            if not byte:
                break
            text += byte
        return text.decode().rstrip("\n")

    def answer(self) -> str:
        """All that it says until it closes the stream."""
        parts = []
        while part := self.stream.recv(65536):
            parts.append(part)
        return b"".join(parts).decode()

    def wait(self) -> os.waitid_result | None:
        return os.waitid(os.P_PIDFD, self.process.fileno(), os.WEXITED)

    def __enter__(self) -> "Box":
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.alive():
            self.process.signal(9)
        try:
            self.wait()
        except ChildProcessError:
            pass  # the test has waited
        self.process.close()
        self.stream.close()


def run(stage: Stage, *commands: str, **changes: Any) -> str:
    """Run *commands* in a box of their own and return all of their answers."""
    with Box(stage, *commands, **changes) as box:
        return box.answer()


def values(answer: str) -> dict[str, str]:
    """`key value key value ...` of one line, or `Key: value` of many."""
    if "\n" in answer.strip():
        pairs = (line.partition(":")[::2] for line in answer.splitlines())
        return {key: value.strip() for key, value in pairs}
    words = answer.split()
    return dict(zip(words[::2], words[1::2], strict=True))

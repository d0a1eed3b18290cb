"""Network namespaces for tests: to stand in, or beside."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from hostd.kernel.fd import Fd
from hostd.kernel.namespace import CLONE_NEWNET

_libc = ctypes.CDLL(None, use_errno=True)


def new_netns() -> Fd:
    """A new, empty one: a thread goes into it, and ends."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(_entered).result()


def _entered() -> Fd:
    _check(_libc.unshare(CLONE_NEWNET), "unshare")
    return Fd.open("/proc/thread-self/ns/net", os.O_RDONLY)


def run(script: str) -> None:
    """*script* by the shell, in this thread's network namespace."""
    subprocess.run(["sh", "-ec", script], check=True)


class Netns:
    """A network namespace of a test's own."""

    def __init__(self) -> None:
        self.fd: Fd = new_netns()

    @property
    def pid_path(self) -> str:
        """A path that other programs can open while we live."""
        return f"/proc/{os.getpid()}/fd/{self.fd.fileno()}"

    def run(self, script: str) -> None:
        """*script* by the shell, inside."""
        run(f"nsenter --net={self.pid_path} sh -ec '{script}'")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.fd.close()

    @classmethod
    @contextmanager
    def entered(cls) -> Iterator[Self]:
        """This thread, and the threads and processes it starts, stand inside; then they come home."""
        with Fd.open("/proc/thread-self/ns/net", os.O_RDONLY) as home, cls() as inside:
            _setns(inside.fd)
            try:
                yield inside
            finally:
                _setns(home)


def _setns(netns: Fd) -> None:
    _check(_libc.setns(netns.fileno(), CLONE_NEWNET), "setns")


def _check(result: int, call: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), call)

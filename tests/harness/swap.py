"""Swap for the host while a test runs: a free zram device, else a file on a loop device.  Always taken away again.

It is the whole machine's: tests that want some, or none, are in one group, so that no two of them run side by side.
"""

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.harness import machine

GROUP = pytest.mark.xdist_group("swap")
SIZE = 512 << 20
ZRAM = "/sys/block/zram0"


def devices() -> list[str]:
    """What the machine swaps to."""
    return [line.split()[0] for line in machine.read("/proc/swaps").splitlines()[1:]]


@contextmanager
def none() -> Iterator[None]:
    """The host has none inside of this; skips where it has some anyway."""
    with _alone():
        if found := devices():
            pytest.skip(f"this machine has swap: {' '.join(found)}")
        yield


@contextmanager
def _alone() -> Iterator[None]:
    """No other run of tests on this machine gives it swap, or takes it away, meanwhile."""
    fd = os.open("/proc/swaps", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def swap(directory: str) -> Iterator[None]:
    """The host has at least SIZE of swap inside of this; *directory* is for a file."""
    with ExitStack() as undo:
        undo.enter_context(_alone())
        if devices():
            yield
            return
        undo.callback(_check)
        device = _zram(undo) or _loop(undo, directory)
        _run("mkswap", device)
        _run("swapon", device)
        undo.callback(_run, "swapoff", device)
        yield


def _check() -> None:
    assert not devices(), "swap was left behind"


def _zram(undo: ExitStack) -> str:
    """"" where there is none, or another uses it."""
    try:
        with open(f"{ZRAM}/disksize", "w", encoding="ascii") as file:
            file.write(str(SIZE))
    except OSError:
        return ""
    undo.callback(_reset)
    return f"/dev/{os.path.basename(ZRAM)}"


def _reset() -> None:
    with open(f"{ZRAM}/reset", "w", encoding="ascii") as file:
        file.write("1")


def _loop(undo: ExitStack, directory: str) -> str:
    """Past the page cache, where what a container swaps out would be its memory again."""
    path = f"{directory}/swap"
    _run("fallocate", "--length", str(SIZE), path)
    undo.callback(os.unlink, path)
    try:
        device = _run("losetup", "--find", "--show", "--direct-io=on", path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no zram, and no loop device for a swap file: {error.stderr.strip()}")
    undo.callback(_run, "losetup", "--detach", device)
    return device


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, text=True, capture_output=True).stdout.strip()

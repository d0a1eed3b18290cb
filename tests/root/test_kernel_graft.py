"""Mounts put over files of another mount namespace."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostd.kernel.fd import Fd
from hostd.kernel.graft import replace
from hostd.kernel.mount import new_filesystem
from hostd.kernel.namespace import namespace
from tests.harness import machine

pytestmark = pytest.mark.root

TIMEOUT = 30.0  # seconds


class Guest:
    """A process in a mount namespace of its own, with a tmpfs over each of three directories."""

    def __init__(self, top: Path) -> None:
        self.places = [str(top / name) for name in ("first", "second", "third")]
        for place in self.places:
            os.mkdir(place)
        mounts = "; ".join(f"mount -t tmpfs old {place}" for place in self.places)
        script = f"{machine.LET_GO}; {mounts}; echo ready; read line"
        self.process = subprocess.Popen(
            ["unshare", "-m", "sh", "-ec", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None and self.process.stdout.readline() == "ready\n"

    def replace(self, trees: "dict[str, Fd | None]", carried: str = "") -> None:
        with namespace(self.process.pid, "mnt") as ns:
            replace(ns, trees, carried).result(TIMEOUT)

    def run(self, script: str) -> None:
        subprocess.run(["nsenter", "-m", "-t", str(self.process.pid), "sh", "-ec", script], check=True)

    def mounted(self) -> dict[str, str]:
        """Place -> source."""
        lines = (line.split() for line in machine.read(f"/proc/{self.process.pid}/mounts").splitlines())
        return {place: source for source, place, *_ in lines if place in self.places}


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    made = Guest(tmp_path)
    yield made
    made.process.communicate("\n")


def new() -> Fd:
    return new_filesystem("tmpfs", {"source": "new"})


def test_what_is_there_goes_first(guest: Guest) -> None:
    first, second, third = guest.places
    guest.replace({first: new(), second: None})
    assert guest.mounted() == {first: "new", third: "old"}


def test_what_is_carried_comes_where_nothing_else_does(guest: Guest) -> None:
    """A container whose whole /proc goes has the kernel's left."""
    first, second, third = guest.places
    guest.run(f"mkdir {first}/in {second}/in; mount -t tmpfs inner {first}/in; mount -t tmpfs inner {second}/in")
    came = new()
    os.mkdir(f"{came.path}/in")
    guest.replace({first: came, second: None, third: None}, "in")
    assert guest.mounted() == {first: "new", second: "inner"}
    guest.run(f"mountpoint -q {first}/in")


def test_a_place_that_cannot_be_had_keeps_no_other_from_it(guest: Guest) -> None:
    """The guest unmounts as it likes, and what it has unmounted may have taken others along."""
    first, second, third = guest.places
    guest.replace({first: None})
    with pytest.raises(OSError, match=first) as failed:
        guest.replace({first: new(), second: new(), third: None})
    assert failed.value.errno == errno.EINVAL
    assert guest.mounted() == {second: "new"}

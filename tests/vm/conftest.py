"""Fixtures of tests that boot machines: `make test-vm-hosts`.  VZ_HOSTS="debian-12 debian-13" takes others."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.installation import CHECKOUT
from tests.vm.boot import Order
from tests.vm.host import Host
from tests.vm.pair import End, pair
from tests.vm.pieces import pieces, templates
from tests.vm.tree import tree

CACHE = os.environ.get("CACHE", "/var/cache/vzhost")
OUT = f"{CHECKOUT}/build/vm"
NAMES = os.environ.get("VZ_HOSTS", "debian-12 debian-13").split()


def end(name: str) -> End:
    """A machine with the working tree."""
    os.makedirs(OUT, exist_ok=True)
    made = pieces(name, f"{CACHE}/vm", print)
    return End(made, tree(made.machine, made.root, OUT, print))


def order(one: End) -> Order:
    """For machines of the processor of *one*."""
    return Order("", templates=templates(one.pieces.machine, f"{CACHE}/images", f"{CACHE}/vm", print))


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    """Two machines on one link; two kernels, so that what differs between them is met."""
    left, right = end(NAMES[0]), end(NAMES[1])
    with pair(left, right, order(left), f"{OUT}/pair") as both:
        yield both


@pytest.fixture(scope="module", params=NAMES)
def systemd_host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A machine that systemd has booted, in which vzhost is installed."""
    one = end(request.param)
    append = ("vm.init=systemd",)
    socket: Path = tmp_path_factory.mktemp("host") / "orders"
    wanted = Order("", append=append, tree=one.tree, templates=order(one).templates)
    host = Host(one.pieces, wanted, f"{OUT}/{request.param}-unit", str(socket))
    try:
        host.ready()
        host.run("make -C /src install")
        yield host
    finally:
        host.end()

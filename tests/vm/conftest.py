"""Fixtures of tests that boot machines.  Run as `make test-vm-pair`; VZ_PAIR="debian-12 debian-13" takes others."""

import os
from collections.abc import Iterator

import pytest

from tests.harness.installation import CHECKOUT
from tests.vm.boot import Order
from tests.vm.pair import End, Host, pair
from tests.vm.pieces import pieces, templates
from tests.vm.tree import tree


@pytest.fixture(scope="session")
def hosts() -> Iterator[tuple[Host, Host]]:
    """Two machines with the working tree on one link; two kernels, so that what differs between them is met."""
    cache = os.environ.get("CACHE", "/var/cache/vzhost")
    out = f"{CHECKOUT}/build/vm"
    os.makedirs(out, exist_ok=True)
    names = os.environ.get("VZ_PAIR", "debian-12 debian-13").split()
    made = [pieces(name, f"{cache}/vm", print) for name in names]
    left, right = (End(one, tree(one.machine, one.root, out, print)) for one in made)
    order = Order("", templates=templates(made[0].machine, f"{cache}/images", f"{cache}/vm", print))
    with pair(left, right, order, f"{out}/pair") as both:
        yield both

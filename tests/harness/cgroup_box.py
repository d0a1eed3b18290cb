"""A container's cgroups, without a container, in all hierarchies of this machine."""

import uuid
from collections.abc import Iterator

import pytest

from hostd.cgroup.tree import CgroupTree, CtCgroup


@pytest.fixture
def cgroup() -> Iterator[CtCgroup]:
    """Those of CT 101; whatever is in them ends with the test."""
    tree = CgroupTree.detect(f"vzt-{uuid.uuid4().hex[:8]}")
    group = CtCgroup(tree, 101)
    group.create(None)
    yield group
    group.kill()
    group.destroy()
    tree.remove()

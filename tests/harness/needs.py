"""What a test needs of the kernel, in the words of `Features`: needs("soft-dirty"), needs("cgroup2", "memory").

A test whose kernel lacks something is skipped with its name.  What was needed, and where it was there, goes into the
junit record: `make vm-summary` shows which feature was exercised on which kernel, and fails for one that never was.
"""

import os
from functools import cache

import pytest

from hostd.kernel.features import Features, probe

# Of `Features.cgroup_mode`: what a test means, and the modes that have it.
CGROUPS = {
    "cgroup1": ("v1", "hybrid"),  # a hierarchy of v1
    "unified": ("hybrid", "v2"),  # the tree of v2, with or without controllers
    "cgroup2": ("v2",),  # the controllers are in it
}


def needs(*names: str) -> pytest.MarkDecorator:
    """The marker.  *names*: fields of Features with dashes, and keys of CGROUPS."""
    return pytest.mark.needs(*names)


CHECKPOINTS = needs("checkpoint", "criu")

# Without one of these hostd refuses to start a container of the default layout: what every test with one needs.
CONTAINERS = needs(
    "unified", "userns", "fsopen", "openat2", "close-range", "seccomp", "loop", "overlay", "overlay-idmapped"
)


def require(item: pytest.Item, *names: str) -> None:
    """Note in the record of *item* that it needs *names*; skips it where one is missing."""
    item.user_properties += [("needs", name) for name in names]
    if missing := [name for name in names if not _has(name)]:
        pytest.skip(f"this kernel lacks {', '.join(missing)}")


def here() -> str:
    """This kernel, as the record calls it."""
    system = os.uname()
    return f"{system.release} {system.machine} cgroup {_features().cgroup_mode}"


@cache
def _features() -> Features:
    return probe()


def _has(name: str) -> bool:
    if name in CGROUPS:
        return _features().cgroup_mode in CGROUPS[name]
    return bool(getattr(_features(), name.replace("-", "_")))

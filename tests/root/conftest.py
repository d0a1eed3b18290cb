"""Fixtures of the root tests, from the harness; a file may have one of the same name of its own."""

from tests.harness.cgroup_box import cgroup
from tests.harness.checkpoint_box import ct
from tests.harness.pid1 import root, world
from tests.harness.proc_box import proc_box
from tests.harness.small import small
from tests.harness.storage_box import ids, paths, spec, template
from tests.harness.venet_box import guest, host, other

__all__ = [
    "cgroup", "ct", "guest", "host", "ids", "other", "paths", "proc_box", "root", "small", "spec", "template", "world",
]  # fmt: skip

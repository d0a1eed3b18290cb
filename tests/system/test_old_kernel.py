"""A kernel that lacks what containers need: hostd answers, and what would start one says what is missing."""

import sys

import pytest

from tests.harness import leaks, old_kernel
from tests.harness.installation import Vz

pytestmark = pytest.mark.system

MISSING = {
    "clone3": "user namespaces",
    "open_tree": "mount API",
    "mount_setattr": "mount API",
    "openat2": "openat2",
    "close_range": "close_range",
}


@pytest.mark.parametrize("call", MISSING)
def test_one_line_says_what_is_missing(vz: Vz, call: str) -> None:
    vz.create(101)
    vz.stop_hostd()
    on_it = (sys.executable, old_kernel.__file__, call)
    for command in (("start", "101"), ("create", "102", "--ostemplate", "busybox")):
        said = vz.run(*on_it, "vzctl", *command, check=5).stderr.splitlines()[0]
        assert said.startswith(f"this kernel cannot run CT {command[1]}, it lacks ")
        assert MISSING[call] in said and said.endswith("(Linux 6.1 has all; see `vzctl check`)")
    assert [vz.status(101), vz.status(102)] == ["exist unmounted down", "deleted unmounted down"]
    rows = vz.run(*on_it, "vzctl", "check").stdout.splitlines()
    assert any(row.startswith(MISSING[call]) and "  no " in row for row in rows), rows
    assert leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101) == []
    vz.stop_hostd()
    vz.ctl("start", "101")

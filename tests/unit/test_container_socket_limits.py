"""Limits of sockets where there is no place for their programs."""

from pathlib import Path

import pytest

from hostd.cgroup.hierarchies import Hierarchy
from hostd.cgroup.tree import CgroupTree, CtCgroup
from hostd.container import socket_limits
from hostd.container.record import Record
from hostd.container.socket_limits import NONE, SocketLimits
from hostd.errors import Exit, Failure


def test_without_a_unified_tree_only_no_limit_can_be_set(tmp_path: Path) -> None:
    cgroup = CtCgroup(CgroupTree("vz", (Hierarchy(str(tmp_path), frozenset(("pids",)), unified=False),)), 101)
    socket_limits.put(cgroup, Record(ctid=101), NONE)
    with pytest.raises(Failure, match="no cgroup2 tree is mounted") as caught:
        socket_limits.put(cgroup, Record(ctid=101), SocketLimits(tcp=5))
    assert caught.value.exit_code == Exit.BAD_KERNEL
    assert socket_limits.failures(cgroup) == {}


def test_a_directory_that_is_no_cgroup_takes_no_limit(tmp_path: Path) -> None:
    """Nor does one that is gone: nothing was refused there."""
    cgroup = CtCgroup(CgroupTree("vz", (Hierarchy(str(tmp_path), frozenset(), unified=True),)), 101)
    assert socket_limits.failures(cgroup) == {}
    (tmp_path / "vz/101").mkdir(parents=True)
    assert socket_limits.failures(cgroup) == {}
    with pytest.raises(Failure, match=r"^cannot set NUMTCPSOCK to unlimited, NUMOTHERSOCK to 0") as caught:
        socket_limits.put(cgroup, Record(ctid=101), SocketLimits(other=0))
    assert caught.value.exit_code == Exit.SETUBC

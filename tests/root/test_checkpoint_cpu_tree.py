"""/sys/devices/system/cpu of a restored container on a host without a server of such."""

import os
from pathlib import Path

import pytest

from hostd.checkpoint.cpu_tree import processors
from hostd.kernel.mount import move_mount, open_tree, umount
from hostd.proc.points import CPU, KERNELS
from tests.harness import machine

pytestmark = pytest.mark.root


def test_it_leads_to_the_hosts_own(tmp_path: Path) -> None:
    place = str(tmp_path)
    move_mount(processors(), place)
    try:
        move_mount(open_tree(CPU), f"{place}/{KERNELS}")
        assert sorted(os.listdir(place)) == sorted([KERNELS, *os.listdir(CPU)])
        for name in ("online", "possible", "cpu0/topology/core_id"):
            assert machine.read(f"{place}/{name}") == machine.read(f"{CPU}/{name}")
        assert os.path.isdir(f"{place}/cpu0") and not os.path.islink(f"{place}/cpu0"), "programs count directories"
        with pytest.raises(OSError, match="Read-only file system"):
            os.mkdir(f"{place}/mine")
    finally:
        umount(f"{place}/{KERNELS}")
        umount(place)

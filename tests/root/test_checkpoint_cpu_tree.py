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
    move_mount(processors(links=True), place)
    try:
        move_mount(open_tree(CPU), f"{place}/{KERNELS}")
        assert sorted(os.listdir(place)) == sorted([KERNELS, *os.listdir(CPU)])
        for name in ("online", "possible", "cpu0/topology/core_id"):
            assert machine.read(f"{place}/{name}") == machine.read(f"{CPU}/{name}")
        with pytest.raises(OSError, match="Read-only file system"):
            os.mkdir(f"{place}/mine")
    finally:
        umount(f"{place}/{KERNELS}")
        umount(place)


def test_one_that_was_saved_without_a_place_for_links(tmp_path: Path) -> None:
    """Its server had gone, and the kernel's own had been put in the place of the directory."""
    move_mount(processors(links=False), str(tmp_path))
    try:
        assert sorted(os.listdir(tmp_path)) == sorted(os.listdir(CPU))
    finally:
        umount(str(tmp_path))

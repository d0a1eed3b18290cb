"""Unpacked templates whose tarball was renewed: they go with their last container, and with no other."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS

pytestmark = pytest.mark.system

OF_THE_TEMPLATE = "/etc/os-release"  # and so on the lower layer


def trees(vz: Vz) -> set[str]:
    return {name for name in os.listdir(vz.paths.template_tree) if name.startswith("busybox-")}


def renew(vz: Vz, name: str) -> None:
    """Another tarball in the place of *name*: the same, with one file more."""
    old = vz.template(name)
    unpacked, new = f"{vz.prefix}/unpacked", f"{vz.prefix}/new.tar.zst"
    os.mkdir(unpacked)
    subprocess.run(["tar", "-C", unpacked, "--numeric-owner", "-xpf", os.path.realpath(old)], check=True)
    with open(f"{unpacked}/etc/renewed", "w", encoding="ascii") as file:
        file.write("yes\n")
    subprocess.run(["tar", "-C", unpacked, "--numeric-owner", "--zstd", "-cf", new, "."], check=True)
    subprocess.run(["rm", "-rf", unpacked], check=True)
    os.rename(new, old)


@contextmanager
def mounted(disk: str) -> Iterator[None]:
    """What is in `DISK.real` is at *disk* meanwhile, as if that were a disk of its own."""
    subprocess.run(["mount", "--bind", f"{disk}.real", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", disk], check=True)


@CHECKPOINTS
def test_an_outdated_tree_goes_with_its_last_container(vz: Vz) -> None:
    """The others run, are suspended, are mounted, lie on another disk meanwhile; each works afterwards."""
    disk = f"{vz.prefix}/disk2"
    os.mkdir(disk)
    os.mkdir(f"{disk}.real")
    for ctid in (101, 102, 103):
        vz.create(ctid)
    with mounted(disk):
        vz.create(104, "--private", f"{disk}/104")
    (old,) = trees(vz)
    renew(vz, "busybox")
    vz.create(105)
    (new,) = trees(vz) - {old}

    vz.ctl("start", "101")
    vz.ctl("start", "102")
    vz.ctl("chkpnt", "102")
    vz.ctl("mount", "103")
    vz.ctl("destroy", "105")
    assert trees(vz) == {old, new}, "the old one holds up four, the new one is what the next create is made from"
    assert vz.ctl("exec2", "101", f"cat {OF_THE_TEMPLATE}").stdout
    vz.ctl("stop", "101")
    vz.ctl("destroy", "101")
    vz.ctl("restore", "102")
    assert vz.ctl("exec2", "102", f"cat {OF_THE_TEMPLATE}").stdout
    vz.ctl("stop", "102")
    vz.ctl("destroy", "102")
    assert os.path.exists(f"{vz.prefix}/var/lib/vz/root/103{OF_THE_TEMPLATE}")
    vz.ctl("umount", "103")
    vz.ctl("destroy", "103")
    assert trees(vz) == {old, new}, "the disk of 104 is not mounted"
    with mounted(disk):
        vz.ctl("start", "104")
        assert vz.ctl("exec2", "104", f"cat {OF_THE_TEMPLATE}").stdout
        vz.ctl("stop", "104")
        vz.ctl("destroy", "104")
        assert trees(vz) == {new}
        trash = [vz.paths.vzrm_dir, f"{disk}/vztmp"]
        machine.until("all of it is deleted", lambda: not any(os.listdir(place) for place in trash))
    vz.start(106)
    assert vz.ctl("exec2", "106", "cat /etc/renewed").stdout == "yes\n"


def test_a_running_container_keeps_its_tree_whatever_its_configuration_says(vz: Vz) -> None:
    vz.start(101)
    (old,) = trees(vz)
    renew(vz, "busybox")
    vz.create(102)
    os.rename(vz.paths.private_default.replace("$VEID", "101"), f"{vz.prefix}/elsewhere")
    os.rename(vz.paths.ct_conf(101), f"{vz.prefix}/101.conf")
    vz.ctl("destroy", "102")
    assert old in trees(vz)
    os.rename(f"{vz.prefix}/101.conf", vz.paths.ct_conf(101))
    os.rename(f"{vz.prefix}/elsewhere", vz.paths.private_default.replace("$VEID", "101"))
    assert vz.ctl("exec2", "101", f"cat {OF_THE_TEMPLATE}").stdout

"""set --diskspace: the disk of a stopped container at once, that of a running one at its next start."""

import json

import pytest

from tests.harness import leaks, machine
from tests.harness.installation import Vz
from tests.harness.needs import needs

pytestmark = [pytest.mark.system, needs("loop", "overlay-idmapped")]

OLD = "262144:262144"


def disk(vz: Vz) -> int:
    """KiB that df shows inside."""
    return int(vz.ctl("exec2", "101", "df -k / | tail -1").stdout.split()[1])


def resized(vz: Vz, text: str, kib: int) -> None:
    vz.ctl("set", "101", "--diskspace", text, "--save")
    assert f'DISKSPACE="{kib}:{kib}"' in machine.read(vz.paths.ct_conf(101))
    vz.ctl("start", "101")
    assert disk(vz) == kib


def test_grow_and_shrink_while_stopped(vz: Vz) -> None:
    vz.start(101, "--diskspace", OLD)
    vz.ctl("exec2", "101", "head -c 5000000 /dev/urandom >/data; md5sum /data >/sum")
    for text, kib in (("400M", 400 << 10), ("100M", 100 << 10)):
        vz.ctl("stop", "101")
        leaks.wait_for_disk(vz.prefix, 101)
        resized(vz, text, kib)
        vz.ctl("exec2", "101", "md5sum -c /sum")


def test_what_does_not_fit_changes_nothing(vz: Vz) -> None:
    vz.start(101, "--diskspace", OLD)
    before = disk(vz)
    vz.ctl("exec2", "101", "head -c 90000000 /dev/urandom >/data; sync -f /data")
    vz.ctl("stop", "101")
    leaks.wait_for_disk(vz.prefix, 101)
    failed = vz.ctl("set", "101", "--diskspace", "50M", "--save", check=46)
    assert failed.stderr.splitlines()[-1] == (
        "Error: failed to apply some parameters, not saving configuration file!"
    )
    assert f'DISKSPACE="{OLD}"' in machine.read(vz.paths.ct_conf(101))
    vz.ctl("start", "101")
    assert disk(vz) == before


def test_mounted(vz: Vz) -> None:
    vz.create(101, "--diskspace", OLD)
    vz.ctl("mount", "101")
    assert "unmount CT 101" in vz.ctl("set", "101", "--diskspace", "400M", "--save", check=41).stderr
    assert f'DISKSPACE="{OLD}"' in machine.read(vz.paths.ct_conf(101))


def test_running(vz: Vz) -> None:
    """Saved, and done at the next start; one that cannot be done keeps nobody from starting."""
    vz.start(101, "--diskspace", OLD)
    before = disk(vz)
    assert "--save" in vz.ctl("set", "101", "--diskspace", "400M", check=20).stderr
    said = vz.ctl("set", "101", "--diskspace", "400M", "--save").stdout
    assert "Warning: --diskspace takes effect after a restart of the container" in said
    assert disk(vz) == before
    vz.ctl("stop", "101")
    leaks.wait_for_disk(vz.prefix, 101)
    vz.ctl("start", "101")
    assert disk(vz) == 400 << 10
    vz.ctl("exec2", "101", "head -c 90000000 /dev/urandom >/data; sync -f /data")
    vz.ctl("set", "101", "--diskspace", "50M", "--save")
    said = vz.ctl("restart", "101").stdout
    assert "the disk keeps its size" in said
    assert disk(vz) == 400 << 10


def test_a_layout_without_limits_says_so(vz: Vz) -> None:
    """Where a limit is set, and not at every start; and the use of the host's disk is not the container's."""
    line = "Warning: layout simfs does not enforce DISKSPACE and DISKINODES; layout overlay does"
    vz.template("busybox")
    created = vz.ctl("create", "101", "--ostemplate", "busybox", "--layout", "simfs")
    assert created.stdout.splitlines().count(line) == 1
    started = vz.ctl("start", "101")
    assert "simfs" not in started.stdout and started.stderr == ""
    said = vz.ctl("set", "101", "--diskspace", "3G", "--save").stdout.splitlines()
    assert said[1:] == ["Warning: layout simfs does not enforce DISKSPACE; layout overlay does"]
    assert vz.vzlist("-Ho", "diskspace,diskspace.h,diskinodes", "101").split() == ["-", "3145728", "-"]
    (row,) = json.loads(vz.vzlist("-j", "-o", "diskspace", "101"))
    assert row == {"diskspace": {"usage": None, "softlimit": 3145728, "hardlimit": 3145728}}


def test_the_number_of_files_is_that_of_the_disk(vz: Vz) -> None:
    """A number that the disk does not get is stored, and said with the one in force."""
    vz.create(101, "--diskspace", OLD, "--diskinodes", "20000")
    vz.ctl("start", "101")
    inodes = vz.ctl("exec2", "101", "df -i / | tail -1").stdout.split()[1]
    assert "--save" in vz.ctl("set", "101", "--diskinodes", "30000", check=20).stderr
    line = f'Warning: DISKINODES="{{0}}:{{0}}" is only stored: the disk has {inodes} inodes, and their number follows '
    for state in ("running", "stopped"):
        said = vz.ctl("set", "101", "--diskinodes", "30000", "--save")
        assert said.stdout.splitlines()[1:] == [f"{line.format(30000)}its size (--diskspace)"], state
        assert said.stderr == "" and 'DISKINODES="30000:30000"' in machine.read(vz.paths.ct_conf(101))
        vz.ctl("stop", "101")
    assert len(vz.ctl("set", "101", "--diskinodes", "20000", "--save").stdout.splitlines()) == 1
    vz.ctl("set", "101", "--diskspace", "1G", "--save")
    vz.ctl("start", "101")
    assert int(vz.ctl("exec2", "101", "df -i / | tail -1").stdout.split()[1]) > 2 * int(inodes)

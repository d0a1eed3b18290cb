"""Each life of a container has a boot id of its own: by it, journalctl and others know what was before a reboot."""

import uuid

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS

pytestmark = pytest.mark.system

BOOT_ID = "/proc/sys/kernel/random/boot_id"
INITS = ("vz", "handoff")


def boot_id(vz: Vz) -> uuid.UUID:
    return uuid.UUID(vz.ctl("exec2", "101", f"cat {BOOT_ID}").stdout.strip())


def test_it_is_of_this_life(vz: Vz) -> None:
    vz.start(101)
    first = boot_id(vz)
    assert first != uuid.UUID(machine.read(BOOT_ID).strip())
    vz.ctl("restart", "101")
    second = boot_id(vz)
    clock = vz.uptime_clock(101)
    vz.ctl("exec", "101", "reboot", check=None)
    vz.wait_reboot(101, clock)
    assert len({first, second, boot_id(vz)}) == 3


@CHECKPOINTS
def test_a_checkpoint_keeps_it(vz: Vz) -> None:
    """And nobody inside changes it, before or after."""
    vz.start(101)
    first = boot_id(vz)
    for _ in range(2):
        vz.ctl("chkpnt", "101")
        vz.ctl("restore", "101")
        assert boot_id(vz) == first
        assert vz.ctl("exec2", "101", f"echo other >{BOOT_ID}", check=None).code
        assert BOOT_ID not in vz.ctl("exec2", "101", "df").stdout


@pytest.mark.slow
@CHECKPOINTS
@pytest.mark.parametrize("init", INITS)
def test_the_journal_of_this_life(vz: Vz, init: str) -> None:
    vz.start(101, "--init", init, template="debian-12")
    vz.ctl("exec2", "101", "mkdir -p /var/log/journal")
    for life in ("1", "2"):
        vz.ctl("restart", "101", "--wait")
        vz.ctl("exec2", "101", f"logger -t test {life}")
        shows(vz, "-b", life)
    vz.ctl("chkpnt", "101")
    vz.ctl("restore", "101")
    vz.ctl("exec2", "101", "logger -t test 3")
    shows(vz, "-b", "2", "3")
    shows(vz, "", "1", "2", "3")


def shows(vz: Vz, option: str, *lines: str) -> None:
    """A line takes its time to the journal."""
    look = f"journalctl -q -o cat -t test {option}"
    machine.until(f"{lines} by {look}", lambda: vz.ctl("exec2", "101", look).stdout.split() == [*lines])

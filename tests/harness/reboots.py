"""A reboot from inside, as most tests want one."""

from tests.harness.installation import Vz


def reboot(vz: Vz, ctid: int = 101) -> None:
    """Until its next PID 1 answers; the command itself may end in any way, with the container below it."""
    before = vz.uptime_clock(ctid)
    vz.ctl("exec", str(ctid), "reboot", check=None)
    vz.wait_reboot(ctid, before)

"""vzhost as a Manager: the real commands against a warm hostd."""

import re
import subprocess

from tests.bench.peers import TRUE
from tests.harness import machine
from tests.harness.installation import BIN, Vz

CTID = 101


class Vzhost:
    """One busybox container, with user namespace, seccomp, limits and a venet address."""

    name = "vzhost"

    def __init__(self, vz: Vz) -> None:
        self.vz = vz
        vz.create(CTID, "--ipadd", "192.0.2.101")
        vz.start_hostd(VZ_DEBUG="1")

    def command(self, *argv: str) -> None:
        """vzctl as a user types it: no wrapper and no timeout that would be measured too."""
        done = subprocess.run(
            [f"{BIN}/vzctl", *argv], env=self.vz.env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"vzctl {' '.join(argv)}: {done.stderr.strip()}")

    def start(self) -> None:
        self.command("start", str(CTID))

    def run_true(self) -> None:
        self.command("exec3", str(CTID), *TRUE)

    def status(self) -> None:
        self.command("status", str(CTID))

    def stop(self) -> None:
        self.command("stop", str(CTID), "--fast")

    def reboot(self) -> None:
        """reboot(2) inside until another PID 1 answers."""
        before = self.vz.uptime_clock(CTID)
        self.vz.ctl("exec", str(CTID), "reboot -f", check=None)
        machine.until("rebooted", lambda: self.vz.uptime_clock(CTID) not in ("", before))
        self.command("exec3", str(CTID), *TRUE)

    def main_clock(self) -> int | None:
        """CLOCK_MONOTONIC in ns at which the newest PID 1 reached main, from hostd's debug log."""
        found = re.findall(rf"CT {CTID}: main at (\d+)", machine.read(self.vz.paths.hostd_log))
        return int(found[-1]) if found else None

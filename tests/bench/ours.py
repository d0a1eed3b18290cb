"""vzhost as a Manager: the real commands against a warm hostd."""

import contextlib
import re
import subprocess

from tests.bench.peers import TRUE
from tests.harness import machine
from tests.harness.installation import BIN, Vz

CTIDS = range(101, 109)  # in turn: a container that reboots often is slowed down on purpose
PLAIN = 91  # a container in a plain directory, as those of the other managers are


class Vzhost:
    """Busybox containers with user namespace, seccomp, limits and a venet address; one runs at a time."""

    name = "vzhost"

    def __init__(self, vz: Vz) -> None:
        self.vz = vz
        self._round = -1
        vz.start_hostd(VZ_DEBUG="1")
        for ctid in CTIDS:
            vz.create(ctid, "--ipadd", f"192.0.2.{ctid}")
        vz.create(PLAIN, "--layout", "simfs", "--ipadd", f"192.0.2.{PLAIN}")

    @property
    def ctid(self) -> int:
        return CTIDS[self._round % len(CTIDS)]

    def command(self, *argv: str) -> None:
        """vzctl as a user types it: no wrapper and no timeout that would be measured too."""
        done = subprocess.run([f"{BIN}/vzctl", *argv], env=self.vz.env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"vzctl {' '.join(argv)}: {done.stderr.strip()}")

    def start(self) -> None:
        self._round += 1
        self.command("start", str(self.ctid))

    def run_true(self) -> None:
        self.command("exec3", str(self.ctid), *TRUE)

    def status(self) -> None:
        self.command("status", str(self.ctid))

    def stop(self) -> None:
        self.command("stop", str(self.ctid), "--fast")

    def chkpnt(self) -> None:
        self.command("chkpnt", str(self.ctid))

    def restore(self) -> None:
        self.command("restore", str(self.ctid))

    def reboot(self) -> None:
        """reboot(2) inside, until the record names another start and that one runs a command."""
        before = self._start_number()
        with contextlib.suppress(RuntimeError):  # the command ends with its container
            self.command("exec3", str(self.ctid), "/bin/busybox", "reboot", "-f")
        machine.until("rebooted", lambda: self._start_number() not in (before, ""), pause=0.001)
        machine.until("answers", self._runs_true, pause=0.001)

    def _start_number(self) -> str:
        found = re.search(r'"serial": (\d+)', machine.read(self.vz.paths.ct_record(self.ctid)))
        return found[1] if found else ""

    def _runs_true(self) -> bool:
        try:
            self.run_true()
        except RuntimeError:
            return False
        return True

    def logged(self, what: str, ctid: int = 0) -> float:
        """The number that hostd's debug log has last for a container, by itself this one, and *what*, a pattern with
        one group.
        """
        return float(re.findall(rf"CT {ctid or self.ctid} : {what}", machine.read(self.vz.paths.log_file))[-1])

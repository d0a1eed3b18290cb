"""Fault points: named places where a test may kill hostd -9, to prove that nothing is lost there.

`VZ_FAULT=NAME[:daemon|:keeper|:both]` in the daemon's environment kills at NAME, once per daemon (a restarted daemon
finds the marker file and goes on).  `VZ_FAULT_TRACE=FILE` appends the name of every point passed: a test enumerates
the points by running the operation once with the trace.
"""

import os
import signal

_armed = os.environ.get("VZ_FAULT", "")
_trace = os.environ.get("VZ_FAULT_TRACE", "")


def point(name: str) -> None:
    """Pass the fault point *name*: free when no test asked for it."""
    if _trace:
        with open(_trace, "a", encoding="ascii") as file:
            file.write(name + "\n")
    if _armed:
        _die_at(name)


def _die_at(name: str) -> None:
    wanted, _, victim = _armed.partition(":")
    if wanted != name:
        return
    spent = os.environ.get("VZ_FAULT_SPENT", "")
    if spent:
        try:
            os.close(os.open(spent, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return
    if victim in ("keeper", "both"):
        os.kill(os.getppid(), signal.SIGKILL)
    if victim != "keeper":
        os.kill(os.getpid(), signal.SIGKILL)

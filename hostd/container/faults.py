"""Fault points: named places where a test may kill hostd -9, to prove that nothing is lost there.

`VZ_FAULT=NAME[:daemon|:keeper|:both]` in the daemon's environment kills at NAME, every time.  `VZ_FAULT=@FILE` reads
the same from FILE, which is removed first: it kills once, and a test arms it again without a new daemon.
`VZ_FAULT_TRACE=FILE` appends the name of every point passed: a test enumerates the points by running the operation
once with the trace.
"""

import os
import select
import signal

_armed = os.environ.get("VZ_FAULT", "")
_trace = os.environ.get("VZ_FAULT_TRACE", "")
_keeper = os.getppid()


def point(name: str) -> None:
    """Pass the fault point *name*: free when no test asked for it."""
    if _trace:
        with open(_trace, "a", encoding="ascii") as file:
            file.write(name + "\n")
    if _armed:
        _die_at(name)


def _die_at(name: str) -> None:
    file = _armed[1:] if _armed.startswith("@") else ""
    wanted, _, victim = (_read(file) if file else _armed).partition(":")
    if wanted != name:
        return
    if file:
        os.unlink(file)
    if victim in ("keeper", "both"):
        _kill_keeper()
    if victim != "keeper":
        os.kill(os.getpid(), signal.SIGKILL)


def _kill_keeper() -> None:
    """Returns when it is dead: nothing that follows can reach it any more."""
    keeper = os.pidfd_open(_keeper)
    signal.pidfd_send_signal(keeper, signal.SIGKILL)
    dead = select.poll()
    dead.register(keeper, select.POLLIN)
    dead.poll()
    os.close(keeper)


def _read(file: str) -> str:
    try:
        with open(file, encoding="ascii") as armed:
            return armed.read().strip()
    except FileNotFoundError:
        return ""

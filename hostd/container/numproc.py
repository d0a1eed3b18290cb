"""NUMPROC from the point of view of who wants one process more: what an EAGAIN of PID 1 means, and what would help."""

from collections.abc import Iterator
from contextlib import contextmanager

from hostd.cgroup import stats
from hostd.cgroup.tree import CtCgroup
from hostd.container.container import Container
from hostd.errors import Exit, Failure


@contextmanager
def forking(ct: Container) -> Iterator[None]:
    """PID 1 makes a process inside of this.  Raises Failure(6) instead of a bare EAGAIN when NUMPROC was in the way.

    The kernel counts what that limit refuses, so it is not blamed for one of the host's.
    """
    before = refusals(ct)
    try:
        yield
    except BlockingIOError:
        if refusals(ct) == before:
            raise
        most = stats.most_processes(CtCgroup(ct.world.tree, ct.ctid))
        text = f"numproc is reached: CT {ct.ctid} may have {most} processes and threads"
        raise Failure(Exit.RESOURCE, text, hint=remedy(ct.ctid)) from None


def remedy(ctid: int) -> str:
    return f"raise it with `vzctl set {ctid} --numproc N`"


def refusals(ct: Container) -> int:
    """How many processes NUMPROC has kept the container from making so far."""
    return stats.refused_processes(CtCgroup(ct.world.tree, ct.ctid))

"""NUMPROC from the point of view of who wants one process more: what an EAGAIN of PID 1 means, and what would help."""

from collections.abc import Iterator
from contextlib import contextmanager

from hostd.cgroup import stats
from hostd.cgroup.tree import CtCgroup
from hostd.container.container import Container
from hostd.errors import Exit, Failure

# Of the limit.  Some of the processes that were in the way may have ended since; with fewer than this another limit,
# the host's, was in the way.
NEARLY = 0.9


@contextmanager
def forking(ct: Container) -> Iterator[None]:
    """PID 1 makes a process inside of this.  Raises Failure(6) instead of a bare EAGAIN when NUMPROC is reached."""
    try:
        yield
    except BlockingIOError as error:
        raise (reached(ct) or error) from None


def reached(ct: Container) -> Failure | None:
    """The failure that says so, when the container has about as many processes and threads as it may have."""
    cgroup = CtCgroup(ct.world.tree, ct.ctid)
    limit, held = stats.most_processes(cgroup), stats.processes(cgroup)
    if limit is None or held is None or held < limit * NEARLY:
        return None
    text = f"numproc is reached: {held} processes and threads run in CT {ct.ctid}, {limit} are allowed"
    return Failure(Exit.RESOURCE, text, hint=remedy(ct.ctid))


def remedy(ctid: int) -> str:
    return f"raise it with `vzctl set {ctid} --numproc N`"


def refusals(ct: Container) -> int:
    """How many processes NUMPROC has kept the container from making so far."""
    return stats.refused_processes(CtCgroup(ct.world.tree, ct.ctid))

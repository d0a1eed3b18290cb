"""Who of our children has ended."""

import posix

from hostd.keeper.table import WALL


def first_zombie() -> int:
    """Pid of a child that has ended, left as it is; 0 when there is none."""
    try:
        result = posix.waitid(posix.P_ALL, 0, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT | WALL)
    except ChildProcessError:
        return 0
    return result.si_pid if result else 0

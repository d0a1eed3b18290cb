"""The memory that C libraries get, of this process: malloc(3)."""

from hostd.kernel.facade import lib


def share_one_arena() -> None:
    """All threads that begin from now on take memory from where the first does (M_ARENA_MAX of mallopt(3)).

    Otherwise each has an arena of its own, which keeps what it once needed.  The interpreter lets one of them run at a
    time: they have no lock to wait for.  Nothing to do where the C library knows no arenas.
    """
    lib.vz_one_arena()

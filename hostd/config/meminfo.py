"""MEMINFO: what a container's /proc/meminfo shows as all memory.

    MEMINFO="pages:N"           so many
    MEMINFO="privvmpages:N"     the barrier of PRIVVMPAGES so many times
    MEMINFO="none"              all that the machine has

OpenVZ passes it over where PHYSPAGES has a limit; here it counts whenever it is given, and changes no limit.
"""

import re

from hostd.config import bounds, values
from hostd.config.reader import Reader

_COUNTED = re.compile(r"(pages|privvmpages):([0-9]{1,19})")


def parse(text: str) -> tuple[str, int]:
    """Mode and number; of nothing, as the kernel of OpenVZ has it, `none` is made."""
    match = _COUNTED.fullmatch(text)
    if not match and text != "none":
        raise ValueError("must be none, pages:N or privvmpages:N")
    return (match[1], int(match[2])) if match and int(match[2]) else ("none", 0)


def shown(read: Reader) -> int | None:
    """Bytes; UNLIMITED: all that the machine has, None: MEMINFO is not given.  Raises BadConfig."""
    mode, count = read.value("MEMINFO", parse, ("", 0))
    if mode in ("", "none"):
        return values.UNLIMITED if mode else None
    pages = read.value("PRIVVMPAGES", _barrier, values.UNLIMITED) if mode == "privvmpages" else 1
    return min(pages * count * values.PAGE, values.UNLIMITED)


def _barrier(text: str) -> int:
    barrier = bounds.barrier(text, values.size_pages)
    return values.UNLIMITED if barrier is None else barrier

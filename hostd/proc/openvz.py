"""The texts of OpenVZ's own files, as one container sees them: data in, text out."""

import posix

from hostd.proc.figures import TICKS

_CLASS = 2  # of every container, with OpenVZ
_COLUMNS = "user nice system uptime idle strv uptime used maxlat totlat numsched"


def veinfo(ctid: int, tasks: int, addresses: "list[str]") -> bytes:
    shown = [f" {address:>{39 if ':' in address else 15}}" for address in addresses]
    return f"{ctid:>10} {_CLASS:>5} {tasks:>5}{''.join(shown)}\n".encode()


def veip(ctid: int, addresses: "list[str]") -> bytes:
    rows = [f"{address:>39} {ctid:>10}\n" for address in addresses]
    return ("Version: 2.5\n" + "".join(rows)).encode()


def vestat(ctid: int, user: int, system: int, uptime: int, processors: int) -> bytes:
    """Ticks *user* and *system*; nanoseconds of *uptime*, which stand for OpenVZ's cycles as well."""
    used = (user + system) * (10**9 // TICKS)
    idle = max(0, uptime * processors - used)
    figures = [user, 0, system, uptime * TICKS // 10**9, idle, 0, uptime, used, 0, 0, 0]
    head = "".join(f" {column:>20}" for column in _COLUMNS.split())
    row = "".join(f" {figure:>20}" for figure in figures)
    return f"Version: 2.2\n{'VEID':>10}{head}\n{ctid:>10}{row}\n".encode()


def version() -> bytes:
    return f"{posix.uname().release}\n".encode()

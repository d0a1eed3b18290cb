"""/etc/passwd and /etc/group of the container, read by hand.

Not by libc: ours is linked statically and would load NSS modules of the image, which belong to another one.
Imported in forked children only, where its memory costs nothing.
"""

from vzinit import fds

NOBODY_ROW = ["", "", "", "", "", "/", "/bin/sh"]


def rows(path: str) -> list[list[str]]:
    return [line.split(":") for line in fds.read_text(path).splitlines() if ":" in line]


def by_uid(uid: int) -> list[str]:
    """The passwd row of *uid*; a made-up one (home /, shell /bin/sh) when there is none."""
    for row in rows("/etc/passwd"):
        if len(row) >= 7 and row[2] == str(uid):
            return row
    return NOBODY_ROW


def by_name(name: str) -> list[str]:
    """The passwd row of *name* (or of a uid in digits).  Raises LookupError."""
    for row in rows("/etc/passwd"):
        if len(row) >= 7 and name in (row[0], row[2]):
            return row
    raise LookupError(f"no user {name} in /etc/passwd")


def gid_of(name: str) -> int:
    """The number of group *name*.  Raises LookupError."""
    if name.isdigit():
        return int(name)
    for row in rows("/etc/group"):
        if len(row) >= 3 and row[0] == name:
            return int(row[2])
    raise LookupError(f"no group {name} in /etc/group")


def groups_of(uid: int, gid: int) -> list[int]:
    """The groups of the user *uid* with the primary group *gid*."""
    name = by_uid(uid)[0]
    members = (row for row in rows("/etc/group") if len(row) >= 4 and name and name in row[3].split(","))
    return sorted({gid, *(int(row[2]) for row in members)})

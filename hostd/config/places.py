"""Where a container may live: VE_PRIVATE and VE_ROOT are mounted on, renamed and deleted as root, so look before.

The configuration is the administrator's, and so is a slip in it: `VE_PRIVATE="/var/lib/vz/private"` without
`$VEID` would make `destroy` take every container along.
"""

import os

from hostd.config.paths import Paths

VEID = "$VEID"

UNFINISHED = ".tmp"  # after the name of a private area that is being made

# Top directories of the host in which no container's tree can be meant to be.
SYSTEM = frozenset(("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "sbin", "sys", "usr"))


def expand(path: str, ctid: int) -> str:
    """*path* with the only variable there is."""
    return path.replace("${VEID}", VEID).replace(VEID, str(ctid))


def place(paths: Paths, text: str, ctid: int) -> str:
    """The directory that *text* means for container *ctid*.  ValueError when that cannot be one."""
    if not text.startswith("/") or ".." in text.split("/") or not text.isprintable():
        raise ValueError("must be an absolute path without ..")
    path = os.path.normpath(paths.below(expand(text, ctid)))
    words = path[len(paths.prefix) :].strip("/").split("/")
    if len(words) < 2 or words[0] in SYSTEM:
        raise ValueError("is a directory of the host's system")
    if path.endswith(UNFINISHED):
        raise ValueError(f"must not end in {UNFINISHED}: so do private areas while they are made")
    for own in _ours(paths):
        if own == path or own.startswith(path + "/"):
            raise ValueError(f"holds {own}: $VEID is missing")
    return path


def default(paths: Paths, text: str, ctid: int) -> str:
    """The same for a value of vz.conf, which is there for all containers."""
    if "VEID" not in text:
        raise ValueError("must contain $VEID: containers cannot share it")
    return place(paths, text, ctid)


def apart(private: str, root: str) -> None:
    """ValueError when one of the two lies in the other."""
    if os.path.commonpath((private, root)) in (private, root):
        raise ValueError("VE_PRIVATE and VE_ROOT must not lie in each other")


def _ours(paths: Paths) -> tuple[str, ...]:
    return (
        paths.etc_dir,
        paths.var_dir,
        paths.template_dir,
        paths.dump_dir,
        paths.lock_dir,
        paths.run_dir,
        os.path.dirname(paths.private_default),
        os.path.dirname(paths.root_default),
    )

"""Names of containers: `/etc/vz/names/NAME` is a symlink to the configuration, which carries the same
NAME=.
"""

import os
import re
import tempfile

from hostd.config import files, values
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.errors import BadValue, Exit, Failure

_CONF = re.compile(r"([0-9]{1,10})\.conf")


def resolve(paths: Paths, text: str) -> int:
    """The CTID that *text* means, a number or a name.  0 is the host.  Raises BadValue, and BadConfig of `lookup`."""
    if text.isascii() and text.isdigit():
        try:
            return values.ct_id(text)
        except ValueError:
            raise BadValue(f"Bad CT ID {text}") from None
    found = lookup(paths, text)
    if found is None:
        raise BadValue(f"Bad CT ID {text}")
    return found


def lookup(paths: Paths, name: str) -> int | None:
    """The container named *name*: the link leads to a configuration that agrees.

    Raises BadConfig when it leads to a file that is none: whose name it is cannot be told.
    """
    try:
        values.name(name)
        ctid = _target(f"{paths.names_dir}/{name}")
        if ctid is not None and VeConf.load(paths.ct_conf(ctid)).get("NAME") == name:
            return ctid
    except (OSError, ValueError):
        pass
    return None


def check(paths: Paths, ctid: int, name: str) -> None:
    """Failure 131 when *name* cannot be that of container *ctid*, or is another's."""
    try:
        values.name(name)
    except ValueError as error:
        raise Failure(Exit.SET_NAME, f"Bad name {name!r}: {error}") from error
    owner = lookup(paths, name)
    if owner not in (None, ctid):
        raise Failure(Exit.SET_NAME, f"Conflict: name {name} already used by container {owner}")


def assign(paths: Paths, ctid: int, name: str) -> None:
    """Make *name* lead to container *ctid*.  Failure 131 of `check`.  Idempotent."""
    check(paths, ctid, name)
    os.makedirs(paths.names_dir, exist_ok=True)
    place = tempfile.mktemp(prefix=f".{ctid}.", dir=paths.names_dir)
    os.symlink(paths.ct_conf(ctid), place)
    os.rename(place, f"{paths.names_dir}/{name}")
    files.sync(paths.names_dir)


def remove(paths: Paths, ctid: int, name: str) -> None:
    """Take the link of *name* away if it is container *ctid*'s.  Idempotent."""
    if "/" in name:
        return  # edited into a configuration by hand: no link of ours
    link = f"{paths.names_dir}/{name}"
    if name and _target(link) == ctid:
        os.unlink(link)


def _target(link: str) -> int | None:
    try:
        match = _CONF.fullmatch(os.path.basename(os.readlink(link)))
    except OSError:
        return None
    return int(match[1]) if match else None

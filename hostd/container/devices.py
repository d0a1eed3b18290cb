"""The devices that a container has beside those that every one has: FEATURES, DEVNODES and DEVICES give them."""

import os
import stat
from typing import NamedTuple

from hostd.config import permits
from hostd.config.model import CtConfig
from hostd.config.permits import Permit
from hostd.errors import BadValue
from hostd.kernel.device_program import DeviceRule


class Device(NamedTuple):
    """A node; *name* is relative to /dev, *type* `c` or `b`, *access* of `rw`."""

    name: str
    major: int
    minor: int
    type: str = "c"
    access: str = "rw"
    mode: int = 0o666

    @property
    def kind(self) -> int:
        """The type as in st_mode."""
        return stat.S_IFBLK if self.type == "b" else stat.S_IFCHR

    @property
    def number(self) -> int:
        return os.makedev(self.major, self.minor)


# In /dev of every container, and never the host's: `mounts.dev`, and what vzinit makes.
OWN = frozenset(("pts", "ptmx", "console", "fd", "stdin", "stdout", "stderr", "core", "shm", "mqueue", ".lxc"))

FUSE, TUN = Device("fuse", 10, 229), Device("net/tun", 10, 200)
# Storage of containers without privileges is FUSE's, their network a tap device with a process behind it.
GIVEN = {"fuse": (FUSE,), "tun": (TUN,), "nesting": (FUSE, TUN)}


def of(config: CtConfig) -> tuple[Device, ...]:
    """Those with a node, each once; without what the host does not have (now): `absent`."""
    given = {device.name: device for name, some in GIVEN.items() if config.has(name) for device in some}
    asked = (_found(name, access) for name, access in config.devnodes)
    return tuple(({device.name: device for device in asked if device} | given).values())


def difference(before: CtConfig, after: CtConfig) -> tuple[list[Device], list[Device]]:
    """The nodes that are to go and those that are to come; another access to the same is neither."""
    had, has = ({(one.name, one.type, one.number): one for one in of(config)} for config in (before, after))
    return [had[key] for key in had if key not in has], [has[key] for key in has if key not in had]


def absent(config: CtConfig) -> list[str]:
    """The names in DEVNODES of which the container gets nothing."""
    return [name for name, access in config.devnodes if not _found(name, access)]


def check(words: str) -> None:
    """Raises BadValue for a name in DEVNODES that is no device of the host's, or a container's own affair."""
    for name, access in permits.of_devnodes(words):
        if _own(name):
            raise BadValue(f"/dev/{name} is each container's own")
        if not _found(name, access):
            raise BadValue(f"the host has no device /dev/{name}")


def rules(config: CtConfig) -> tuple[DeviceRule, ...]:
    """What the filter allows beside the devices of all; making a node is never the question.

    A device has the rights of all settings that mean it, by name, by number or by its major alone, in one rule: no rule
    of the filter speaks for reading and writing at once that has only one of them.
    """
    named = [Permit(one.type, one.major, one.minor, one.access) for one in of(config)]
    given = (*named, *config.devices)
    merged: dict[DeviceRule, None] = {}  # each once, in this order
    for one in given:
        rights = {letter for other in given if _covers(other, one) for letter in other.access}
        access = "".join(letter for letter in "rwm" if letter in {*rights, "m"})
        merged[DeviceRule(one.type, one.major, one.minor, access, True)] = None
    return tuple(merged)


def _covers(one: Permit, other: Permit) -> bool:
    return (one.type, one.major) == (other.type, other.major) and one.minor in (None, other.minor)


def _own(name: str) -> bool:
    return name.split("/")[0] in OWN


def _found(name: str, access: str) -> Device | None:
    """The host's device of that *name*, through links as those of udev."""
    if _own(name):
        return None
    try:
        status = os.stat(f"/dev/{name}")
    except OSError:
        return None
    if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        return None
    type = "b" if stat.S_ISBLK(status.st_mode) else "c"
    number = status.st_rdev
    return Device(name, os.major(number), os.minor(number), type, access, stat.S_IMODE(status.st_mode) & 0o777)

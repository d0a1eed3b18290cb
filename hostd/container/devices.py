"""The devices that FEATURES give a container, beside those that every container has."""

from typing import NamedTuple

from hostd.config.model import CtConfig


class Device(NamedTuple):
    """A character device; *name* is relative to /dev."""

    name: str
    major: int
    minor: int


FUSE, TUN = Device("fuse", 10, 229), Device("net/tun", 10, 200)
# Storage of containers without privileges is FUSE's, their network a tap device with a process behind it.
GIVEN = {"fuse": (FUSE,), "tun": (TUN,), "nesting": (FUSE, TUN)}


def of(config: CtConfig) -> tuple[Device, ...]:
    """Each once."""
    return tuple(dict.fromkeys(device for name, given in GIVEN.items() if config.has(name) for device in given))

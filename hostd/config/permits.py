"""DEVICES and DEVNODES: which devices of the host a container may open, and how.

    DEVICES="c:10:200:rw b:8:all:rwq "      by number, no node is made
    DEVNODES="net/tun:rw"                   by the name below the host's /dev, the node is made inside

Of each device there is one word, the last one given; `none` takes it away.  `q`, the disk quota of OpenVZ, is kept.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

_DEVICE = re.compile(r"([bc]):([0-9]{1,7}):([0-9]{1,7}|all)")
_NAME = re.compile(r"[A-Za-z0-9_.+@:-]+(/[A-Za-z0-9_.+@:-]+)*")
_LETTERS = "rwq"  # in the order in which OpenVZ writes them
MAJORS, MINORS = 1 << 12, 1 << 20  # of a dev_t

Permits = dict[str, str]  # device (`c:10:200`, `net/tun`) -> letters; "": none


class Permit(NamedTuple):
    """A device by its number, *minor* None: all of the major; *access* of `rw`."""

    type: str
    major: int
    minor: int | None
    access: str


def devices(words: str) -> Permits:
    """What DEVICES says.  ValueError."""
    return _read(words, _device)


def devnodes(words: str) -> Permits:
    """What DEVNODES says.  ValueError."""
    return _read(words, _name)


READERS: dict[str, Callable[[str], Permits]] = {"DEVICES": devices, "DEVNODES": devnodes}


def text(found: Permits) -> str:
    """Words that say the same, `none` as well: to be laid over others."""
    return " ".join(f"{device}:{letters or 'none'}" for device, letters in found.items())


def stored(key: str, found: Permits) -> str:
    """As OpenVZ writes them into the file."""
    words = [f"{device}:{letters}" for device, letters in found.items() if letters]
    return "".join(f"{word} " for word in words) if key == "DEVICES" else " ".join(words)


def of_devices(words: str) -> tuple[Permit, ...]:
    """What DEVICES permits; without `r` and `w` nothing."""
    found = []
    for device, letters in devices(words).items():
        kind, major, minor = device.split(":")
        if access := letters.replace("q", ""):
            found.append(Permit(kind, int(major), None if minor == "all" else int(minor), access))
    return tuple(found)


def of_devnodes(words: str) -> tuple[tuple[str, str], ...]:
    """Names and access of DEVNODES."""
    found = ((name, letters.replace("q", "")) for name, letters in devnodes(words).items())
    return tuple((name, access) for name, access in found if access)


def _read(words: str, known: Callable[[str], None]) -> Permits:
    found: Permits = {}
    for word in words.split():
        device, mark, letters = word.rpartition(":")
        known(device)
        if not mark or not (letters == "none" or (letters and set(letters) <= set(_LETTERS))):
            raise ValueError(f"must be {device or word}: and letters of {_LETTERS}, or none")
        found[device] = "" if letters == "none" else "".join(one for one in _LETTERS if one in letters)
    return found


def _device(text: str) -> None:
    match = _DEVICE.fullmatch(text)
    if not match:
        raise ValueError("must be b or c:MAJOR:MINOR or all:, and letters of rwq, or none")
    if int(match[2]) >= MAJORS or (match[3] != "all" and int(match[3]) >= MINORS):
        raise ValueError(f"there is no device {text}")


def _name(text: str) -> None:
    if not _NAME.fullmatch(text) or {".", ".."} & set(text.split("/")):
        raise ValueError("must be a name below /dev:, and letters of rwq, or none")

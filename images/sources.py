"""Where this machine takes Debian packages from: images come from the mirror of its own apt sources.

A snapshot service keeps the archive as it was at any time, below `…/archive/debian/TIME`.  Its address is one that
the sources have in use, or in a comment, as those of Debian's container images do.
"""

import glob
import os
import re
from dataclasses import dataclass

from images.errors import BuildError

DEFAULT_MIRROR = "http://deb.debian.org/debian"
DEFAULT_SECURITY = "http://deb.debian.org/debian-security"
ROLLING = ("sid", "experimental")  # suites with neither updates nor security updates
_TIME = r"\d{8}T\d{6}Z"
_ARCHIVE = re.compile(rf"/debian(?:/{_TIME})?/?$")
_SERVICE = re.compile(rf"(\w+://\S+)/debian(?:-security)?/{_TIME}\b")


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Base addresses of the archive and of the security archive."""

    archive: str = DEFAULT_MIRROR
    security: str = DEFAULT_SECURITY

    def lines(self, suite: str) -> list[str]:
        """One-line sources of *suite* with its updates and security updates."""
        if suite in ROLLING:
            return [f"deb {self.archive} {suite} main"]
        return [
            f"deb {self.archive} {suite} main",
            f"deb {self.archive} {suite}-updates main",
            f"deb {self.security} {suite}-security main",
        ]


def of_this_machine(etc: str = "/etc/apt") -> Mirrors:
    """The mirrors named by `VZ_MIRROR` and `VZ_MIRROR_SECURITY`, else by apt's sources, else Debian's own."""
    entries = list(_entries(etc))
    archive = next((uri for uri, suite in entries if _ARCHIVE.search(uri) and "-" not in suite), "")
    security = next((uri for uri, suite in entries if suite.endswith("-security")), "")
    return Mirrors(
        os.environ.get("VZ_MIRROR") or archive.rstrip("/") or DEFAULT_MIRROR,
        os.environ.get("VZ_MIRROR_SECURITY") or security.rstrip("/") or DEFAULT_SECURITY,
    )


def at(time: str, etc: str = "/etc/apt") -> Mirrors:
    """The archives as they were at *time*, of the service that `VZ_SNAPSHOTS` or else apt's sources name.

    Raises BuildError.
    """
    if not re.fullmatch(_TIME, time):
        raise BuildError(f"{time!r} is no time of a snapshot: write it as 20261101T000000Z")
    texts = (_text(path) for path in (*_one_line_files(etc), *_deb822_files(etc)))
    named = (match[1] for text in texts for match in _SERVICE.finditer(text))
    service = os.environ.get("VZ_SNAPSHOTS") or next(named, "")
    if not service:
        raise BuildError(f"no snapshot service in {etc}: set VZ_SNAPSHOTS to what precedes /debian/{time}")
    return Mirrors(f"{service}/debian/{time}", f"{service}/debian-security/{time}")


def _entries(etc: str) -> list[tuple[str, str]]:
    """(URI, suite) of every enabled binary source, in order."""
    found = []
    for path in _one_line_files(etc):
        found += one_line_entries(_text(path))
    for path in _deb822_files(etc):
        found += deb822_entries(_text(path))
    return found


def _one_line_files(etc: str) -> list[str]:
    return glob.glob(f"{etc}/sources.list") + sorted(glob.glob(f"{etc}/sources.list.d/*.list"))


def _deb822_files(etc: str) -> list[str]:
    return sorted(glob.glob(f"{etc}/sources.list.d/*.sources"))


def one_line_entries(text: str) -> list[tuple[str, str]]:
    """`deb [options] URI suite component…`"""
    matches = re.finditer(r"^deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+(\S+)", text, re.MULTILINE)
    return [(match[1], match[2]) for match in matches]


def deb822_entries(text: str) -> list[tuple[str, str]]:
    """Stanzas of `Types:`, `URIs:`, `Suites:`."""
    found = []
    for stanza in re.split(r"\n\s*\n", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)):
        pairs = re.findall(r"^(\S+):\s*(.*)$", stanza, re.MULTILINE)
        fields = {key.lower(): value.split() for key, value in pairs}
        if "deb" in fields.get("types", []) and fields.get("enabled") != ["no"]:
            found += [(uri, suite) for uri in fields.get("uris", []) for suite in fields.get("suites", [])]
    return found


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()

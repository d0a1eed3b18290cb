"""Where this machine takes Debian packages from: images come from the mirror of its own apt sources."""

import glob
import os
import re
from dataclasses import dataclass

DEFAULT_MIRROR = "http://deb.debian.org/debian"
DEFAULT_SECURITY = "http://deb.debian.org/debian-security"


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Base addresses of the archive and of the security archive."""

    archive: str = DEFAULT_MIRROR
    security: str = DEFAULT_SECURITY

    def lines(self, suite: str) -> list[str]:
        """One-line sources of *suite* with its updates and security updates."""
        return [
            f"deb {self.archive} {suite} main",
            f"deb {self.archive} {suite}-updates main",
            f"deb {self.security} {suite}-security main",
        ]


def of_this_machine(etc: str = "/etc/apt") -> Mirrors:
    """The mirrors named by `VZ_MIRROR` and `VZ_MIRROR_SECURITY`, else by apt's sources, else Debian's own."""
    entries = list(_entries(etc))
    archive = next((uri for uri, suite in entries if re.search(r"/debian/?$", uri) and "-" not in suite), "")
    security = next((uri for uri, suite in entries if suite.endswith("-security")), "")
    return Mirrors(
        os.environ.get("VZ_MIRROR") or archive.rstrip("/") or DEFAULT_MIRROR,
        os.environ.get("VZ_MIRROR_SECURITY") or security.rstrip("/") or DEFAULT_SECURITY,
    )


def _entries(etc: str) -> list[tuple[str, str]]:
    """(URI, suite) of every enabled binary source, in order."""
    found = []
    one_line = [f"{etc}/sources.list", *sorted(glob.glob(f"{etc}/sources.list.d/*.list"))]
    for path in filter(os.path.exists, one_line):
        found += one_line_entries(_text(path))
    for path in sorted(glob.glob(f"{etc}/sources.list.d/*.sources")):
        found += deb822_entries(_text(path))
    return found


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

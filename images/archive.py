"""The state of a Debian archive: the dates of its Release files.  The newest is the date of what is built from it."""

import os
import re
import subprocess
from email.utils import parsedate_to_datetime

from images.errors import BuildError

_HELPER = "/usr/lib/apt/apt-helper"  # apt's own way to get a file: with the proxies and certificates of the machine


def fetched(lines: list[str], folder: str) -> dict[str, str]:
    """The dates of the suites that *lines* of sources name, as they are now.  Not verified: the build does that.

    Writes into *folder*.  Raises BuildError.
    """
    texts = []
    for number, line in enumerate(lines):
        uri, suite = line.split()[1:3]
        path = os.path.join(folder, f"InRelease.{number}")
        argv = [_HELPER, "-o", "APT::Sandbox::User=root", "download-file", f"{uri}/dists/{suite}/InRelease", path]
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            said = [line for line in done.stdout.splitlines() if line.startswith("E: ")] or ["E: no reason given"]
            raise BuildError(f"no Release file of {suite}: {said[0][3:]}")
        with open(path, encoding="utf-8") as file:
            texts.append(file.read())
    return dates("".join(texts))


def dates(releases: str) -> dict[str, str]:
    """Code name and date of each of the Release files that *releases* has one after the other."""
    found = re.findall(r"^Codename: (\S+)$(?:\n.+)*?\nDate: (.+)$", releases, re.MULTILINE)
    if not found:
        raise BuildError("no Release file has a date")
    return dict(sorted(found))


def epoch(found: dict[str, str]) -> int:
    """The newest date, in seconds since 1970."""
    return max(int(parsedate_to_datetime(date).timestamp()) for date in found.values())

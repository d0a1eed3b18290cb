"""The manifest beside a tarball: what the image was made of, and the sums by which the same one is known.

    image       name and architecture              archive   code name and date of each Release file (Debian)
    recipe      digest of the recipe               epoch     the newest of those: no file is younger
    snapshot    the time that was asked for        packages  name and version
    sha256      of the tarball                     tar       sha256 of the tar in it, whatever compressed it
"""

import hashlib
import json
import os
import subprocess
from typing import IO

SUFFIX = ".manifest.json"


def beside(tarball: str) -> str:
    """The manifest of *tarball*."""
    return tarball.removesuffix(".tar.zst") + SUFFIX


def write(tarball: str, content: str, facts: dict[str, object]) -> None:
    """Write the manifest of *tarball*, whose content is in the file *content* still: *facts* and the sums."""
    with open(content, "rb") as file:
        facts = facts | {"sha256": _sum(file), "tar": _unpacked_sum(content)}
    part = f"{beside(tarball)}.part"
    with open(part, "w", encoding="utf-8") as file_of_it:
        json.dump(facts, file_of_it, indent=1, sort_keys=True)
        file_of_it.write("\n")
    os.replace(part, beside(tarball))


def read(tarball: str) -> dict[str, object]:
    """The manifest of *tarball*."""
    with open(beside(tarball), encoding="utf-8") as file:
        found = json.load(file)
    assert isinstance(found, dict)
    return found


def _unpacked_sum(path: str) -> str:
    with subprocess.Popen(["zstd", "-dcq", path], stdout=subprocess.PIPE) as unpacking:
        assert unpacking.stdout is not None
        return _sum(unpacking.stdout)


def _sum(file: IO[bytes]) -> str:
    total = hashlib.sha256()
    while block := file.read(1 << 20):
        total.update(block)
    return total.hexdigest()

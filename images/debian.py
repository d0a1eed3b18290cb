"""Builder "debian": mmdebstrap in a private mount namespace (debian.sh does the work)."""

import glob
import os

from images import archive, sources
from images.errors import BuildError
from images.recipes import HERE, Recipe

_MEMORY_FOR_TMPFS = 2 << 30  # bytes; a build holds about 0.7 GiB at its peak
_KEYRINGS = "/usr/share/keyrings"


def ingredients(recipe: Recipe) -> bytes:
    """Nothing beside the recipe itself: a new package version is no reason to build again."""
    return b""


def tar_command(recipe: Recipe, work: str) -> list[str]:
    """The program that writes the tree as a tar to its standard output and works inside *work*."""
    lines = (sources.at(recipe.snapshot) if recipe.snapshot else sources.of_this_machine()).lines(recipe.suite)
    date = archive.epoch(archive.fetched(lines, work))
    in_memory = available_memory() >= _MEMORY_FOR_TMPFS
    check_date = not recipe.snapshot and recipe.suite not in sources.ROLLING  # mirrors stop following these
    return [
        "unshare", "--mount", "--propagation", "slave",
        "env", f"SOURCE_DATE_EPOCH={date}", f"TMPFS={int(in_memory)}",
        os.path.join(HERE, "debian.sh"), work, recipe.files(), keyring(recipe.suite), recipe.suite,
        ",".join(recipe.packages), str(check_date).lower(), *lines,
    ]  # fmt: skip


def made_of(recipe: Recipe, work: str) -> dict[str, object]:
    """What the build in *work* found: the state of the archive, and the packages.

    Raises BuildError when that is not the state that the tree is dated by.
    """
    dates = archive.dates(_read(f"{work}/releases"))
    packages = dict(line.split() for line in _read(f"{work}/packages").splitlines())
    expected = archive.dates("".join(_read(path) for path in sorted(glob.glob(f"{work}/InRelease.*"))))
    if dates != expected:
        raise BuildError("the archive was renewed meanwhile: build again")
    return {"archive": dates, "epoch": archive.epoch(dates), "packages": packages}


def keyring(suite: str, folder: str = _KEYRINGS) -> str:
    """The keyring of the whole archive; said clearly when it is too old for *suite*, which apt does not."""
    all_keys = glob.glob(f"{folder}/debian-archive-keyring.[gp][gp]*")
    if not all_keys or not (suite in sources.ROLLING or glob.glob(f"{folder}/debian-archive-{suite}-stable.*")):
        raise BuildError(
            f"no archive keys of Debian {suite} in {folder}: install or upgrade debian-archive-keyring"
        )
    return all_keys[0]


def available_memory() -> int:
    """MemAvailable, bytes."""
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        fields = dict(line.split(":", 1) for line in meminfo)
    return int(fields["MemAvailable"].split()[0]) * 1024


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()

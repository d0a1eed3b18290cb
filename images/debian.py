"""Builder "debian": mmdebstrap in a private mount namespace (debian.sh does the work)."""

import glob
import os

from images.errors import BuildError
from images.recipes import HERE, Recipe
from images.sources import of_this_machine

_MEMORY_FOR_TMPFS = 2 << 30  # bytes; a build holds about 0.7 GiB at its peak
_KEYRINGS = "/usr/share/keyrings"


def ingredients(recipe: Recipe) -> bytes:
    """Nothing beside the recipe itself: a new package version is no reason to build again."""
    return b""


def tar_command(recipe: Recipe, work: str) -> list[str]:
    """The program that writes the tree as a tar to its standard output and works inside *work*."""
    in_memory = available_memory() >= _MEMORY_FOR_TMPFS
    return [
        "unshare", "--mount", "--propagation", "slave", "env", f"TMPFS={int(in_memory)}",
        os.path.join(HERE, "debian.sh"), work, recipe.files(), keyring(recipe.suite), recipe.suite,
        ",".join(recipe.packages), *of_this_machine().lines(recipe.suite),
    ]  # fmt: skip


def keyring(suite: str, folder: str = _KEYRINGS) -> str:
    """The keyring of the whole archive; said clearly when it is too old for *suite*, which apt does not."""
    archive = glob.glob(f"{folder}/debian-archive-keyring.[gp][gp]*")
    if not archive or not glob.glob(f"{folder}/debian-archive-{suite}-stable.*"):
        raise BuildError(
            f"no archive keys of Debian {suite} in {folder}: install or upgrade debian-archive-keyring"
        )
    return archive[0]


def available_memory() -> int:
    """MemAvailable, bytes."""
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        fields = dict(line.split(":", 1) for line in meminfo)
    return int(fields["MemAvailable"].split()[0]) * 1024

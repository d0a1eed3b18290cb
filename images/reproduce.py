"""The proof that a recipe makes the same image again: another build, elsewhere and later, gives the same bytes.

Found once per recipe, it is kept in the cache beside the tarball, as `NAME-DIGEST.proof`.  Where the archive has moved
on since the tarball was made, that cannot be made again, and two builds of now are compared instead.
"""

import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime

from images import build, manifest
from images.build import Progress
from images.errors import BuildError
from images.recipes import Recipe

SUFFIX = ".proof"
_MOST = 15  # members that differ, in the complaint
# A machine with another name, whose user has habits of his own.
_ELSEWHERE = (
    "unshare", "--uts", "sh", "-c", 'hostname elsewhere; umask 077; export TZ=Asia/Kathmandu LANG=C; exec "$@"', "sh",
)  # fmt: skip


def prove(recipe: Recipe, cache: str, arch: str, tell: Progress) -> str:
    """The proof that *recipe* makes the same image again, found now unless it is in *cache*.  Raises BuildError."""
    name, cached = recipe.file_name(arch), build.build(recipe, cache, arch, tell)
    proof = cached.removesuffix(build.SUFFIX) + SUFFIX
    if not os.path.exists(proof):
        with tempfile.TemporaryDirectory(prefix="vz-again-", dir=cache) as folder:
            first, again = cached, f"{folder}/again{build.SUFFIX}"
            build.make(recipe, arch, again, lambda text: tell(f"{name}, again: {text}"), _ELSEWHERE)
            if _state(again) != _state(first):
                first = f"{folder}/now{build.SUFFIX}"
                build.make(recipe, arch, first, lambda text: tell(f"{name}, the archive has moved on: {text}"))
            _compare(name, first, again)
            text = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC: two builds, sha256 {manifest.read(again)['sha256']}\n"
        with open(proof, "w", encoding="utf-8") as file:
            file.write(text)
    with open(proof, encoding="utf-8") as file:
        return file.read().rstrip()


def _state(tarball: str) -> tuple[object, object]:
    """What must be equal before two builds can be: the archive, and what was taken of it."""
    found = manifest.read(tarball)
    return found.get("archive"), found["packages"]


def _compare(name: str, first: str, again: str) -> None:
    one, other = manifest.read(first), manifest.read(again)
    if one != other:
        differ = list(differing(first, again))
        more = [f"and {len(differ) - _MOST} more"] if len(differ) > _MOST else []
        told = "\n  ".join([*differ[:_MOST], *more]) or "the manifests differ"
        raise BuildError(f"{name} is not the same when it is built again:\n  {told}")


def differing(first: str, again: str) -> Iterator[str]:
    """Names of the members that are not in both tarballs alike."""
    one, other = dict(_members(first)), dict(_members(again))
    yield from sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))


def _members(tarball: str) -> Iterator[tuple[str, object]]:
    with (
        subprocess.Popen(["zstd", "-dcq", tarball], stdout=subprocess.PIPE) as unpacking,
        tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive,
    ):
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            content = hash(file.read()) if file is not None else member.linkname
            yield member.name, (member.get_info(), member.pax_headers, content)

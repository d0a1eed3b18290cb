"""From a recipe to a file: build once per recipe hash, keep it in the cache, publish it where wanted."""

import fcntl
import glob
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import IO

from images import busybox, debian, manifest, packages, tarball
from images.errors import BuildError
from images.recipes import Recipe

Progress = Callable[[str], None]
SUFFIX = ".tar.zst"
_BUILDERS: dict[str, ModuleType] = {"busybox": busybox, "debian": debian, "tarball": tarball, "packages": packages}
_LEVEL = "-9"  # zstd: 0.6 s more than -3 for a sixth less on disk; unpacking costs the same at every level
_TOLD = ("running apt-get", "downloading", "extracting", "installing", "cleaning")


def build(recipe: Recipe, cache: str, arch: str, tell: Progress) -> str:
    """Path in *cache* of the tarball of *recipe*, built now unless it is there.  Raises BuildError."""
    name = recipe.file_name(arch)
    path = os.path.join(cache, f"{name}-{digest(recipe, arch)}{SUFFIX}")
    os.makedirs(cache, exist_ok=True)
    with _one_at_a_time(cache, name):
        if os.path.exists(path):
            tell(f"{name}: in the cache")
            return path
        started = time.monotonic()
        make(recipe, arch, path, lambda text: tell(f"{name}: {text}"))
        tell(f"{name}: built in {time.monotonic() - started:.0f} s, {os.path.getsize(path) / 1e6:.1f} MB")
        for old in glob.glob(os.path.join(cache, f"{glob.escape(name)}-????????????.*")):
            if not old.startswith(path.removesuffix(SUFFIX)):
                os.unlink(old)
    return path


def digest(recipe: Recipe, arch: str) -> str:
    """What an image of *recipe* is known by in the cache: changes whenever another one would come out."""
    return recipe.digest(arch, _BUILDERS[recipe.builder].ingredients(recipe))


def publish(path: str, output: str, name: str) -> str:
    """Give the cached file *path*, and its manifest, the public *name* in the folder *output*; answers the former."""
    os.makedirs(output, exist_ok=True)
    _publish(manifest.beside(path), os.path.join(output, name + manifest.SUFFIX))
    return _publish(path, os.path.join(output, name + SUFFIX))


def _publish(path: str, target: str) -> str:
    """A link, else a copy; atomic."""
    part = f"{target}.part"
    if os.path.lexists(part):
        os.unlink(part)
    try:
        os.link(path, part)
    except OSError:
        shutil.copyfile(path, part)
    os.replace(part, target)
    if os.path.lexists(part):  # rename(2) of two links to one file does nothing
        os.unlink(part)
    return target


@contextmanager
def _one_at_a_time(cache: str, name: str) -> Iterator[None]:
    with open(os.path.join(cache, f".{name}.lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(recipe: Recipe, arch: str, path: str, tell: Progress, under: Sequence[str] = ()) -> None:
    """Run the builder, as the last words of the command *under*, and compress what it writes.

    *path* appears complete, after its manifest, or not at all.
    """
    builder, part = _BUILDERS[recipe.builder], f"{path}.part"
    with tempfile.TemporaryDirectory(prefix="vz-image-", dir=os.path.dirname(path)) as work:
        try:
            _compressed([*under, *builder.tar_command(recipe, work)], part, tell)
            facts = {"image": recipe.file_name(arch), "recipe": digest(recipe, arch), "snapshot": recipe.snapshot}
            manifest.write(path, part, facts | builder.made_of(recipe, work))
            os.replace(part, path)
        finally:
            if os.path.exists(part):
                os.unlink(part)


def _compressed(argv: list[str], part: str, tell: Progress) -> None:
    """`argv | zstd > part`, with the milestones of argv's log told and its tail in the error."""
    compress = ["zstd", "-q", _LEVEL, "-T0", "-f", "-o", part]
    log: list[str] = []
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    try:
        with (
            subprocess.Popen(argv, stdin=null, stdout=pipe, stderr=pipe) as source,
            subprocess.Popen(compress, stdin=source.stdout) as sink,
        ):
            assert source.stdout and source.stderr
            source.stdout.close()  # the compressor's now: a full disk must end the builder by SIGPIPE
            reader = threading.Thread(target=_follow, args=(source.stderr, log, tell))
            reader.start()
            reader.join()
    except FileNotFoundError as error:
        raise BuildError(f"{error.filename} is not installed") from None
    if sink.returncode:
        raise BuildError(f"cannot write {part}: zstd exited with {sink.returncode}")
    if source.returncode:
        raise BuildError(f"{argv[0]} exited with {source.returncode}:\n  " + "\n  ".join(log[-15:]))


def _follow(stream: IO[bytes], log: list[str], tell: Progress) -> None:
    for raw in stream:
        line = raw.decode(errors="replace").rstrip()
        log.append(line)
        if line.startswith("I: ") and line[3:].startswith(_TOLD):
            tell(line[3:].rstrip("."))

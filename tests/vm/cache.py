"""What is built once and kept: a directory or a file named by the hash of its recipe, complete or not there."""

import fcntl
import glob
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from images.errors import BuildError

Tell = Callable[[str], None]


def digest(*parts: object) -> str:
    """Twelve hex digits of data, and of the contents of files, which are given as absolute paths."""
    total = hashlib.sha256()
    for part in parts:
        total.update(_content(part) + b"\0")
    return total.hexdigest()[:12]


def _content(part: object) -> bytes:
    if isinstance(part, str) and os.path.isabs(part):
        with open(part, "rb") as file:
            return file.read()
    return repr(part).encode()


def keep(cache: str, name: str, recipe: str, make: Callable[[str], None], tell: Tell) -> str:
    """The path `CACHE/NAME-RECIPE`; *make* fills a new path given to it unless that is there already.

    One at a time; older ones of the same name are removed.
    """
    path = f"{cache}/{name}-{recipe}"
    os.makedirs(cache, exist_ok=True)
    with _lock(f"{cache}/.{name}.lock"):
        if os.path.exists(path):
            return path
        for unfinished in glob.glob(f"{glob.escape(f'{cache}/.new-{name}-')}????????"):
            _remove(unfinished)
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f".new-{name}-", dir=cache) as work:
            make(f"{work}/made")
            os.rename(f"{work}/made", path)
        tell(f"{name}: built in {time.monotonic() - started:.0f} s, {_mib(path)} MiB")
        for old in glob.glob(f"{glob.escape(f'{cache}/{name}')}-????????????"):
            if old != path:
                _remove(old)
    return path


def run(*argv: str, **env: str) -> str:
    """Output of a program that must succeed.  Raises BuildError with the end of what it said."""
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", env=os.environ | env, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BuildError(f"{os.path.basename(argv[0])} exited with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.stdout


@contextmanager
def _lock(path: str) -> Iterator[None]:
    with open(path, "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _mib(path: str) -> int:
    """What it takes on the disk: images are sparse."""
    files = [path] if os.path.isfile(path) else [f"{top}/{n}" for top, _, names in os.walk(path) for n in names]
    return sum(os.lstat(file).st_blocks for file in files) // 2048

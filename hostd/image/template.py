"""Templates: finding a cached tarball by name, and unpacking it once into the tree that containers share.

A tree lives in `template/tree/NAME-DIGEST`, DIGEST from the content of the tarball: a renewed tarball makes a
new tree, and containers made from the old one keep theirs.  Trees are read-only lower layers of overlays:
nobody writes into one after it has its name.
"""

import fcntl
import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.errors import Exit, Failure, doing
from hostd.kernel.process import WITH_US

FORMATS = ("", ".gz", ".bz2", ".xz", ".zst")  # after ".tar", in order of preference
_DIGITS = 16  # of the sha256: enough to tell the versions of one template apart

# Only what a distribution needs; above all not trusted.overlay.*, which would steer the overlay.
_TAR = (
    "tar", "--extract", "--numeric-owner", "--same-permissions", "--acls", "--xattrs",
    "--xattrs-include=security.capability", "--xattrs-include=user.*", "--warning=no-timestamp",
)  # fmt: skip
_COMPRESS = {"": (), ".gz": ("--gzip",), ".bz2": ("--bzip2",), ".xz": ("--xz",), ".zst": ("--zstd",)}
_HALF = ".unpack-"
_TREE = re.compile(rf"-[0-9a-f]{{{_DIGITS}}}$")
_ROOT_FILES = ("bin", "sbin", "usr", "etc", "init")
# What is mounted over at a start.  The tarballs that distributions publish have not all of it, and never the first.
_MOUNT_POINTS = (".vz", "dev", "proc", "run", "sys")


class Template(NamedTuple):
    """A tarball in the cache.  *name* is the file's name without its suffixes, *format* one of FORMATS."""

    name: str
    path: str
    format: str


def find(paths: Paths, name: str) -> Template:
    """The cached tarball called *name*, with or without the architecture at its end.

    Raises Failure(OSTEMPLATE_NOT_FOUND).
    """
    for candidate in _spellings(name):
        for format in FORMATS:
            path = os.path.join(paths.template_cache, f"{candidate}.tar{format}")
            if os.path.isfile(path):
                return Template(candidate, path, format)
    raise Failure(
        Exit.OSTEMPLATE_NOT_FOUND,
        f"Cached OS template {os.path.join(paths.template_cache, name)}.tar[.gz|.bz2|.xz|.zst] not found",
        hint="put the tarball there; `python -m images list` names those that can be built",
    )


def defaults(paths: Paths, name: str) -> VeConf:
    """What `NAME.conf` beside the tarball says for containers made from it; nothing where there is none.

    Raises BadConfig and OSError.
    """
    try:
        path = os.path.join(paths.template_cache, f"{find(paths, name).name}.conf")
        return VeConf.load(path)
    except (Failure, FileNotFoundError):  # a template that is not there: whoever needs it says so
        return VeConf()


def tree(paths: Paths, template: Template) -> str:
    """Path of the unpacked *template*; unpacks it the first time (about a second).  Safe to call
    concurrently.

    Raises Failure: FS_BAD_TMPL when the archive is damaged or holds no root file system, FS_NO_DISK_SPACE.
    A failed call leaves nothing behind.
    """
    os.makedirs(paths.template_tree, mode=0o700, exist_ok=True)  # closed: it holds other systems' setuid programs
    with _lock(paths, template.name):
        path = _place(paths, template)
        if not os.path.isdir(path):
            _unpack(template, path)
    return path


def outdated(paths: Paths) -> list[str]:
    """The trees that no tarball of the cache stands for any more: only containers may still need them.  OSError."""
    return [tree for tree in _directories(paths) if _TREE.search(tree) and not _is_current(paths, tree)]


@contextmanager
def held(paths: Paths, tree: str) -> Iterator[None]:
    """Meanwhile nobody is given *tree*, and nobody unpacks it."""
    with _lock(paths, _name_of(tree)):
        yield


def sweep(paths: Paths) -> list[str]:
    """Delete what an unpacking that was cut off has left; answer the paths."""
    halves = [path for path in _directories(paths) if os.path.basename(path).startswith(_HALF)]
    for path in halves:
        with held(paths, path):  # one that is being unpacked has its final name when the lock is ours
            _delete(path)
    return halves


def _place(paths: Paths, template: Template) -> str:
    return os.path.join(paths.template_tree, f"{template.name}-{_digest(paths, template)}")


def _is_current(paths: Paths, tree: str) -> bool:
    with held(paths, tree):
        try:
            return _place(paths, find(paths, _name_of(tree))) == tree
        except Failure:  # the tarball was removed
            return False


def _name_of(tree: str) -> str:
    """The name of the template that *tree* was unpacked from, or is being unpacked from."""
    return os.path.basename(tree).removeprefix(_HALF).rsplit("-", 1)[0]


def _directories(paths: Paths) -> list[str]:
    if not os.path.isdir(paths.template_tree):
        return []
    entries = (os.path.join(paths.template_tree, entry) for entry in sorted(os.listdir(paths.template_tree)))
    return [path for path in entries if os.path.isdir(path)]


def _spellings(name: str) -> list[str]:
    if not name or name.startswith(".") or "/" in name:
        return []
    arch = f"-{os.uname().machine}"
    return [name, name + arch, name.removesuffix(arch)]


@contextmanager
def _lock(paths: Paths, name: str) -> Iterator[None]:
    with open(os.path.join(paths.template_tree, f".{name}.lock"), "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(paths: Paths, template: Template) -> str:
    """Digest of the tarball's content; remembered as long as the file is evidently the same."""
    memory = os.path.join(paths.template_tree, f".{template.name}.digest")
    with open(template.path, "rb") as file:
        found = os.fstat(file.fileno())
        identity = [template.path, found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev]
        known = _remembered(memory)
        if known.get("identity") == identity:
            return str(known["digest"])
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
    with open(f"{memory}.tmp", "w", encoding="utf-8") as note:
        json.dump({"identity": identity, "digest": digest}, note)
    os.replace(f"{memory}.tmp", memory)
    return digest


def _remembered(memory: str) -> dict[str, object]:
    try:
        with open(memory, encoding="utf-8") as note:
            known = json.load(note)
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) and "digest" in known else {}


def _unpack(template: Template, path: str) -> None:
    """Unpack beside *path*, check, make it durable, and only then give it its name."""
    parent, name = os.path.split(path)
    with doing(f"unpack template {template.path}"):
        part = tempfile.mkdtemp(prefix=f"{_HALF}{name.rsplit('-', 1)[0]}-", dir=parent)
        try:
            os.chmod(part, 0o755)
            extract(template, part)
            subprocess.run(
                ["sync", "-f", part], check=True
            )  # before the name exists: a crash must not keep half
            os.rename(part, path)
        except BaseException:
            _delete(part)
            raise


def extract(template: Template, into: str) -> None:
    """Unpack *template* into the empty directory *into*, ids and modes as in the archive, without device
    nodes, and with the mount points of a container.

    Members that point out of *into* (absolute names, `..`, links followed by members below them) are tar's to
    refuse; device nodes are dropped because /dev of a container is made at every start.
    """
    argv = [*WITH_US, *_TAR, *_COMPRESS[template.format], f"--directory={into}", f"--file={template.path}"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          env={**os.environ, "LC_ALL": "C"})  # fmt: skip
    if done.returncode:
        raise _failure(template, done.stderr.decode(errors="replace"))
    if not any(os.path.lexists(os.path.join(into, name)) for name in _ROOT_FILES):
        raise Failure(Exit.FS_BAD_TMPL, f"template {template.path} holds no root file system")
    for name in _MOUNT_POINTS:
        with suppress(FileExistsError):
            os.mkdir(os.path.join(into, name), 0o755)
    subprocess.run(["find", into, "-xdev", "(", "-type", "b", "-o", "-type", "c", ")", "-delete"], check=True)


def _failure(template: Template, complaint: str) -> Failure:
    """The first telling line of tar's complaint, with the exit code it deserves."""
    if "No space left on device" in complaint or "Disk quota exceeded" in complaint:
        return Failure(Exit.FS_NO_DISK_SPACE, f"no disk space left to unpack template {template.path}")
    if "Cannot exec" in complaint:
        return Failure(
            Exit.FS_NEW_VE_PRVT, f"cannot unpack {template.path}: its decompressor is not installed"
        )
    lines = [line.strip() for line in complaint.splitlines() if line.strip()] or ["tar failed"]
    return Failure(Exit.FS_BAD_TMPL, f"template {template.path} is damaged: {lines[0]}")


def _delete(path: str) -> None:
    subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)

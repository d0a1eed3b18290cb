"""inotify and fanotify watches on an overlay root: from file handle to path, and CRIU's cache file for them.

The kernel shows a watch as (device, inode, file handle).  CRIU cannot open overlay's handles, but it looks
into a file `irmap-cache` among its images first.  We can resolve them: an overlay handle says which layer it
is of, and carries the handle of the file in that layer.  Before Linux 6.6 the handle says nothing but the inode:
then its path is searched for.  Needs the overlay mounted with `xino=on`, or inode numbers differ.
"""

import os
import re
import stat
import struct
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

Key = tuple[int, int]  # device as the kernel numbers it internally, inode

PLAIN_HANDLES = (1, 2)  # FILEID_INO32_GEN, with and without parent, linux/exportfs.h
OVERLAY_HANDLE = 0xF8  # OVL_FILEID_V1, fs/overlayfs/overlayfs.h
_MAGIC = 0xFB  # OVL_FH_MAGIC
_IS_UPPER = 1 << 2  # OVL_FH_FLAG_PATH_UPPER
_HEADER = 21  # struct ovl_fh: version, magic, len, flags, type, uuid[16]; behind 3 bytes of padding
_PADDING = 3
_IMAGE = struct.pack("<II", 0x55105940, 0x57004059)  # CRIU: IMG_SERVICE_MAGIC, IRMAP_CACHE_MAGIC

_WATCH = re.compile(r"ino:([0-9a-f]+) sdev:([0-9a-f]+).*?fhandle-type:([0-9a-f]+) f_handle:([0-9a-f]+)")
_WATCHERS = ("anon_inode:inotify", "anon_inode:[fanotify]")

OpenByHandle = Callable[[int, int, bytes], int]


class Layers(NamedTuple):
    """Directories of the two layers as the container sees them: descriptors on their file systems."""

    lower: int
    upper: int


@dataclass(slots=True)
class Found:
    """What the watches point to.  `unresolved` are watches that CRIU will refuse by itself."""

    paths: dict[Key, str] = field(default_factory=dict)
    unresolved: list[str] = field(default_factory=list)


def watches(pids: Iterable[int], device: int) -> dict[Key, tuple[int, bytes]]:
    """(type, handle) of every watch that the processes *pids* have on *device*."""
    found = {}
    for text in _fdinfos(pids):
        for match in _WATCH.finditer(text):
            inode, where, kind = (int(match[n], 16) for n in (1, 2, 3))
            if where == device:
                found[where, inode] = kind, bytes.fromhex(match[4])
    return found


def resolve(
    wanted: Mapping[Key, tuple[int, bytes]], root: str, layers: Layers, open_by_handle: OpenByHandle
) -> Found:
    """Paths below *root* (`/proc/PID/root`) of the handles in *wanted*, each verified by its inode number."""
    plain = {key for key, (kind, _) in wanted.items() if kind in PLAIN_HANDLES}
    found = Found(search(plain, root) if plain else {})
    found.unresolved += [f"watch on inode {inode}: no file has it" for _, inode in plain - found.paths.keys()]
    for key, (kind, handle) in wanted.items():
        if key in plain:
            continue
        try:
            path = _path(kind, handle, layers, open_by_handle)
            status = os.lstat(root + path)
            if _key(status) != key:
                raise OSError(0, "another file is there now", path)
            found.paths[key] = path
        except (OSError, ValueError) as error:
            found.unresolved.append(f"watch on inode {key[1]}: {error}")
    return found


def search(wanted: Set[Key], root: str) -> dict[Key, str]:
    """The paths of inodes, by looking at every file of the file system at *root* until all are found."""
    found: dict[Key, str] = {}
    top = os.stat(root + "/")
    if _key(top) in wanted:
        found[_key(top)] = "/"
    folders = ["/"]
    while folders and len(found) < len(wanted):
        folder = folders.pop()
        for name, status in _entries(root + folder):
            if _key(status) in wanted:
                found[_key(status)] = folder + name
            if stat.S_ISDIR(status.st_mode) and status.st_dev == top.st_dev:
                folders.append(f"{folder}{name}/")
    return found


def _entries(folder: str) -> Iterable[tuple[str, os.stat_result]]:
    """What is in *folder*; nothing when it is gone, or deeper than a path may be long."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(OSError):  # it has gone meanwhile
                    yield entry.name, entry.stat(follow_symlinks=False)
    except OSError:
        return


def _key(status: os.stat_result) -> Key:
    return kernel_device(status.st_dev), status.st_ino


def _path(kind: int, handle: bytes, layers: Layers, open_by_handle: OpenByHandle) -> str:
    is_upper, inner_kind, inner = parse(kind, handle)
    layer = layers.upper if is_upper else layers.lower
    number = open_by_handle(layer, inner_kind, inner)
    try:
        path, base = os.readlink(f"/proc/self/fd/{number}"), os.readlink(f"/proc/self/fd/{layer}")
    finally:
        os.close(number)
    base = base.rstrip("/")
    if path != base and not path.startswith(base + "/"):
        raise ValueError(f"{path} is outside of {base}")
    return path[len(base) :] or "/"


def parse(kind: int, handle: bytes) -> tuple[bool, int, bytes]:
    """(of the upper layer, type, handle) of the file behind an overlay handle.  Raises ValueError for
    others.
    """
    if kind != OVERLAY_HANDLE or len(handle) <= _PADDING + _HEADER or handle[_PADDING + 1] != _MAGIC:
        raise ValueError(f"handle of type {kind:#x} is not overlay's")
    length, flags, inner_kind = handle[_PADDING + 2 : _PADDING + 5]
    return bool(flags & _IS_UPPER), inner_kind, handle[_PADDING + _HEADER : _PADDING + length]


def cache_file(paths: Mapping[Key, str]) -> bytes:
    """The content of CRIU's image `irmap-cache`: one protobuf message {1: device, 2: inode, 3: path} per
    file.
    """
    out = bytearray(_IMAGE)
    for (device, inode), path in paths.items():
        name = os.fsencode(path)
        message = b"\x08" + _varint(device) + b"\x10" + _varint(inode) + b"\x1a" + _varint(len(name)) + name
        out += struct.pack("<I", len(message)) + message
    return bytes(out)


def kernel_device(number: int) -> int:
    """A device number as the kernel holds it (12 + 20 bits), which fdinfo and CRIU show."""
    return os.major(number) << 20 | os.minor(number)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _fdinfos(pids: Iterable[int]) -> Iterable[str]:
    for pid in pids:
        try:
            numbers = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for number in numbers:
            try:
                if os.readlink(f"/proc/{pid}/fd/{number}") in _WATCHERS:
                    with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii") as file:
                        yield file.read()
            except OSError:
                continue

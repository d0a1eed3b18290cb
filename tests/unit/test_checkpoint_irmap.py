"""Overlay's file handles, and CRIU's cache file."""

import os
import pathlib
import struct

import pytest

from hostd.checkpoint import irmap
from hostd.checkpoint.irmap import Layers


def overlay_handle(inner: bytes, *, upper: bool, kind: int = 1, magic: int = 0xFB) -> bytes:
    """As the kernel makes it (struct ovl_fb), after the three bytes that align it."""
    length = 21 + len(inner)
    return bytes(3) + bytes([0, magic, length, 4 if upper else 0, kind]) + bytes(16) + inner


def test_an_overlay_handle_says_its_layer_and_carries_the_real_handle() -> None:
    handle = overlay_handle(b"\x11" * 8, upper=True, kind=2)
    assert irmap.parse(0xF8, handle) == (True, 2, b"\x11" * 8)
    assert irmap.parse(0xF8, handle + b"padding")[2] == b"\x11" * 8
    assert irmap.parse(0xF8, overlay_handle(b"abcd", upper=False))[0] is False


@pytest.mark.parametrize(
    ("kind", "handle"), [(1, overlay_handle(b"x" * 8, upper=True)), (0xF8, b"short"), (0xF8, bytes(40))]
)
def test_other_handles_are_refused(kind: int, handle: bytes) -> None:
    with pytest.raises(ValueError, match="is not overlay's"):
        irmap.parse(kind, handle)


def test_a_cache_entry_is_a_length_and_a_protobuf_message() -> None:
    data = irmap.cache_file({(0x2A, 300): "/etc"})
    assert struct.unpack_from("<II", data) == (0x55105940, 0x57004059)
    message = b"\x08\x2a" + b"\x10\xac\x02" + b"\x1a\x04/etc"
    assert data[8:] == struct.pack("<I", len(message)) + message
    assert irmap.cache_file({}) == data[:8]


def test_device_numbers_are_the_kernels_own() -> None:
    assert irmap.kernel_device(os.makedev(8, 1)) == 8 << 20 | 1


@pytest.fixture
def layers(tmp_path: pathlib.Path) -> tuple[str, Layers]:
    """Two layers on disk; the 'container' is the directory of the upper one."""
    for name in ("lower", "upper/etc"):
        os.makedirs(tmp_path / name)
    flags = os.O_RDONLY | os.O_DIRECTORY
    return str(tmp_path), Layers(os.open(tmp_path / "lower", flags), os.open(tmp_path / "upper", flags))


def test_a_watch_is_found_and_verified_by_its_inode(layers: tuple[str, Layers]) -> None:
    top, both = layers
    here = os.stat(f"{top}/upper/etc")
    key = (irmap.kernel_device(here.st_dev), here.st_ino)
    wanted = {key: (0xF8, overlay_handle(b"h" * 8, upper=True))}

    def opened(mount: int, _kind: int, handle: bytes) -> int:
        assert (mount, handle) == (both.upper, b"h" * 8)
        return os.open(f"{top}/upper/etc", os.O_PATH)

    found = irmap.resolve(wanted, f"{top}/upper", both, opened)
    assert (found.paths, found.unresolved) == ({key: "/etc"}, [])

    wrong = {(key[0], key[1] + 1): wanted[key]}
    found = irmap.resolve(wrong, f"{top}/upper", both, opened)
    assert found.paths == {}
    assert "another file is there now" in found.unresolved[0]
    for number in (both.lower, both.upper):
        os.close(number)


def test_a_watch_without_overlays_handle_is_searched_for(layers: tuple[str, Layers]) -> None:
    top, both = layers
    with open(f"{top}/upper/etc/hosts", "w", encoding="ascii"):
        pass
    os.symlink("/", f"{top}/upper/etc/away")
    keys = {}
    for path in ("/", "/etc", "/etc/hosts"):
        status = os.stat(f"{top}/upper{path}")
        keys[irmap.kernel_device(status.st_dev), status.st_ino] = path
    device = next(iter(keys))[0]
    wanted = {key: (1, b"inode and generation") for key in [*keys, (device, 1 << 60)]}

    def never(_mount: int, _kind: int, _handle: bytes) -> int:
        raise AssertionError

    found = irmap.resolve(wanted, f"{top}/upper", both, never)
    assert found.paths == keys
    assert found.unresolved == [f"watch on inode {1 << 60}: no file has it"]
    for number in (both.lower, both.upper):
        os.close(number)

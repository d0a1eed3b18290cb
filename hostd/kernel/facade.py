"""The compiled shim, typed: the one place where C's lack of types meets the rest.

Functions answer `-errno`; `check()` turns that into the OSError that names the system call and its subject.
"""

import mmap
import os
from typing import Any, NewType, Protocol, cast

try:
    from hostd.kernel import _shim
except ImportError as error:
    raise ImportError("hostd/kernel/_shim is not compiled for this Python: run `make build`") from error

Pointer = NewType("Pointer", object)  # memory that lives as long as this object does


class Plan(Protocol):
    """struct vz_plan of shim.h."""

    flags: int
    root: int
    into: int
    join: Pointer
    join_count: int
    uid_base: int
    id_count: int
    clocks: Pointer
    mounts: Pointer
    mount_count: int
    hostname: Pointer
    fds: Pointer
    fd_count: int
    drop: Pointer
    drop_count: int
    filter: Pointer
    filter_length: int
    argv: Pointer
    env: Pointer
    pidfd: int
    step: int
    index: int
    error: int


class Shim(Protocol):
    """The functions of shim.h; text is NUL-free bytes."""

    def vz_spawn(self, plan: Plan, /) -> int: ...
    def vz_start(self, plan: Plan, /) -> int: ...
    def vz_new_userns(self, base: int, count: int, step: Pointer, /) -> int: ...
    def vz_socket_in_netns(self, netns: int, family: int, type: int, protocol: int, /) -> int: ...
    def vz_write_in_ipcns(self, ipcns: int, root: int, path: bytes, text: bytes, length: int, /) -> int: ...
    def vz_into_cgroup(self, cgroup: int, /) -> int: ...
    def vz_open_tree(self, dir: int, path: bytes, flags: int, /) -> int: ...
    def vz_move_mount(self, source: int, path: bytes, to: int, to_path: bytes, flags: int, /) -> int: ...
    def vz_fsopen(self, fstype: bytes, /) -> int: ...
    def vz_fsconfig(
        self, fs: int, command: int, key: bytes | Pointer, value: bytes | Pointer, aux: int, /
    ) -> int: ...
    def vz_fsmount(self, fs: int, attributes: int, /) -> int: ...
    def vz_fspick(self, mount: int, /) -> int: ...
    def vz_mount_setattr(
        self, mount: int, flags: int, set: int, clear: int, propagation: int, userns: int, /
    ) -> int: ...
    def vz_umount(self, target: bytes, flags: int, /) -> int: ...
    def vz_is_mount_root(self, path: bytes, /) -> int: ...
    def vz_fs_magic(self, fd: int, /) -> int: ...
    def vz_syncfs(self, fd: int, /) -> int: ...
    def vz_pivot_root(self, new_root: bytes, put_old: bytes, /) -> int: ...
    def vz_openat2(self, dir: int, path: bytes, flags: int, mode: int, resolve: int, /) -> int: ...
    def vz_unshare(self, flags: int, /) -> int: ...
    def vz_setns(self, fd: int, flags: int, /) -> int: ...
    def vz_fsids(self, uid: int, gid: int, /) -> int: ...
    def vz_bpf_load(
        self, type: int, hook: int, function: int, name: bytes, code: bytes, length: int, log: Pointer, size: int, /
    ) -> int: ...
    def vz_bpf_attach(self, cgroup: int, program: int, hook: int, replaced: int, /) -> int: ...
    def vz_bpf_detach(self, cgroup: int, program: int, hook: int, /) -> int: ...
    def vz_bpf_programs(self, cgroup: int, hook: int, ids: Pointer, most: int, /) -> int: ...
    def vz_bpf_program(self, id: int, /) -> int: ...
    def vz_bpf_map(self, id: int, /) -> int: ...
    def vz_bpf_program_info(self, program: int, name: Pointer, maps: Pointer, most: int, /) -> int: ...
    def vz_bpf_map_info(self, map: int, name: Pointer, /) -> int: ...
    def vz_bpf_load_types(self, types: bytes, size: int, /) -> int: ...
    def vz_bpf_new_array(self, name: bytes, size: int, /) -> int: ...
    def vz_bpf_new_storage(self, name: bytes, size: int, types: int, key: int, value: int, /) -> int: ...
    def vz_bpf_read(self, map: int, value: Pointer, /) -> int: ...
    def vz_bpf_write(self, map: int, value: bytes, /) -> int: ...
    def vz_bpf_link(self, program: int, hook: int, /) -> int: ...
    def vz_btf_find(self, file: int, wants: Pointer, count: int, /) -> int: ...
    def vz_one_arena(self) -> None: ...
    def vz_seccomp_probe(self) -> int: ...
    def vz_close_range(self, first: int, last: int, /) -> int: ...
    def vz_pidfd_getfd(self, pidfd: int, number: int, /) -> int: ...
    def vz_ask_socket(self, pidfd: int, number: int, level: int, /) -> int: ...
    def vz_open_by_handle(self, mount: int, type: int, handle: bytes, length: int, /) -> int: ...


lib: Shim = cast(Shim, _shim.lib)
_ffi: Any = _shim.ffi
NULL: Pointer = _ffi.NULL


def check(result: int, syscall: str, subject: str | None = None) -> int:
    """*result* of a shim function, or OSError `syscall: reason: subject` when it is negative."""
    if result >= 0:
        return result
    raise OSError(-result, f"{syscall}: {os.strerror(-result)}", subject)


def path_bytes(path: str) -> bytes:
    """*path* as the kernel takes it; ValueError when it holds a NUL, which C would silently cut at."""
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise ValueError(f"NUL in {path!r}")
    return raw


def text(value: str) -> Pointer:
    """A C string."""
    return cast(Pointer, _ffi.new("char[]", path_bytes(value)))


def buffer(size: int) -> Pointer:
    return cast(Pointer, _ffi.new("char[]", size))


def buffer_text(memory: Pointer) -> str:
    """What a C function left in a `buffer()`, up to its NUL."""
    return cast(bytes, _ffi.string(memory)).decode("utf-8", "replace")


def buffer_bytes(memory: Pointer) -> bytes:
    """All of a `buffer()`."""
    return bytes(_ffi.buffer(memory))


def bytes_at(data: bytes) -> Pointer:
    """A pointer to *data*, valid while both objects live."""
    return cast(Pointer, _ffi.from_buffer(data))


def address_of(data: mmap.mmap) -> int:
    """Where *data* is in our memory."""
    return int(_ffi.cast("uintptr_t", _ffi.from_buffer(data)))


def array(ctype: str, values: object) -> Pointer:
    """A C array; *values* is a list of items, or a number of zeroed items."""
    return cast(Pointer, _ffi.new(f"{ctype}[]", values))


def unpack(memory: Pointer, count: int) -> list[int]:
    """The first *count* integers of an `array()`."""
    return cast(list[int], _ffi.unpack(memory, count))


class BtfWants:
    """An array of struct vz_btf_want; "" and 0 are what is not asked for."""

    def __init__(self, wants: list[tuple[int, str, str, int]]) -> None:
        self.memory: Pointer = _ffi.new("struct vz_btf_want[]", len(wants))
        self._texts = []  # as long as the array points to them
        for at, (kind, name, member, of_type) in enumerate(wants):
            one: Any = cast(Any, self.memory)[at]
            texts = [text(word) if word else NULL for word in (name, member)]
            self._texts += texts
            one.kind, one.of_type, (one.name, one.member) = kind, of_type, texts

    def answers(self) -> list[tuple[int, int]]:
        """id and value of each."""
        return [(one.id, one.value) for one in cast(Any, self.memory)]


def new_plan() -> Plan:
    return cast(Plan, _ffi.new("struct vz_plan *"))


def step_numbers() -> dict[str, int]:
    """The steps of a spawn by their name in shim.h, without the VZ_STEP_ prefix."""
    relements: dict[str, int] = _ffi.typeof("enum vz_step").relements
    return {name.removeprefix("VZ_STEP_"): number for name, number in relements.items()}

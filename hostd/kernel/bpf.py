"""BPF programs on cgroups, and the maps that they share with us.

Works on cgroup v2 and on the unified tree of a hybrid host.  What a program of ours says holds below its cgroup,
where another can only narrow it.  The kernel frees it, and its maps, with the cgroup; nothing is pinned: who has
forgotten the maps asks the kernel for the program at the cgroup, and the program for its maps.
"""

import os
import struct
from contextlib import ExitStack
from typing import NamedTuple

from hostd.kernel.facade import Pointer, array, buffer, buffer_bytes, buffer_text, check, lib, unpack
from hostd.kernel.fd import Fd

LOG_SIZE = 65536
MOST_PROGRAMS = 64  # at one cgroup and place, which is all that the kernel allows
MOST_MAPS = 8  # of a program of ours
_NAME = 16
_TRACING, _AT_EXIT = 26, 25  # BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT of linux/bpf.h


class Hook(NamedTuple):
    """What a program is for: its type, the place at a cgroup where it is asked, and the *name* by which we know it."""

    name: str
    program: int
    place: int


def load(hook: Hook, code: bytes) -> Fd:
    """Load a program; OSError with the verifier's last words."""
    return _load(hook.program, hook.place, 0, hook.name, code)


def load_at_exit(name: str, function: int, code: bytes) -> Fd:
    """A program that runs whenever the kernel's function of that number (`btf`) returns, once there is a `link`."""
    return _load(_TRACING, _AT_EXIT, function, name, code)


def link_at_exit(program: Fd) -> Fd:
    """It runs as long as anybody has the result open."""
    return Fd(check(lib.vz_bpf_link(program.fileno(), _AT_EXIT), "bpf link", program.what), program.what)


def _load(program: int, place: int, function: int, name: str, code: bytes) -> Fd:
    def attempt(log: Pointer, size: int) -> int:
        return lib.vz_bpf_load(program, place, function, name.encode(), code, len(code) // 8, log, size)

    result = attempt(buffer(1), 0)
    if result < 0:  # again, for the log: with one, a valid program could fail for a log that is too small
        log = buffer(LOG_SIZE)
        result = attempt(log, LOG_SIZE)
        if result < 0:
            words = buffer_text(log).strip().splitlines()[-1:] or ["no reason given"]
            raise OSError(-result, f"bpf load: {os.strerror(-result)} ({words[0]})", name)
    return Fd(result, name)


def attach(hook: Hook, cgroup: Fd, program: Fd) -> None:
    """Let *program* decide at the directory *cgroup*, in the place of ours that did: at no moment nobody does."""
    with ExitStack() as owned:
        old = attached(hook, cgroup)
        replaced = owned.enter_context(old).fileno() if old is not None else -1
        check(lib.vz_bpf_attach(cgroup.fileno(), program.fileno(), hook.place, replaced), "bpf attach", cgroup.what)


def detach(hook: Hook, cgroup: Fd) -> None:
    """Idempotent."""
    program = attached(hook, cgroup)
    if program is not None:
        with program:
            check(lib.vz_bpf_detach(cgroup.fileno(), program.fileno(), hook.place), "bpf detach", cgroup.what)


def attached(hook: Hook, cgroup: Fd) -> Fd | None:
    """Our program at *cgroup* itself."""
    ids = array("uint32_t", MOST_PROGRAMS)
    count = check(lib.vz_bpf_programs(cgroup.fileno(), hook.place, ids, MOST_PROGRAMS), "bpf query", cgroup.what)
    for number in unpack(ids, count):
        program = Fd(check(lib.vz_bpf_program(number), "bpf program", cgroup.what), hook.name)
        if _described(program)[0] == hook.name:
            return program
        program.close()
    return None


def maps_of(program: Fd) -> dict[str, Fd]:
    """The maps that it uses, by name."""
    found: dict[str, Fd] = {}
    for number in _described(program)[1]:
        map = Fd(check(lib.vz_bpf_map(number), "bpf map", program.what))
        name = buffer(_NAME)
        check(lib.vz_bpf_map_info(map.fileno(), name), "bpf info", program.what)
        map.what = buffer_text(name)
        found[map.what] = map
    return found


def _described(program: Fd) -> tuple[str, list[int]]:
    """Its name and the numbers of its maps."""
    name, ids = buffer(_NAME), array("uint32_t", MOST_MAPS)
    count = check(lib.vz_bpf_program_info(program.fileno(), name, ids, MOST_MAPS), "bpf info", program.what)
    return buffer_text(name), unpack(ids, min(count, MOST_MAPS))


# Maps


def new_numbers(name: str, count: int) -> Fd:
    """*count* numbers of 64 bits, all of them 0."""
    return Fd(check(lib.vz_bpf_new_array(name.encode(), 8 * count), "bpf map", name), name)


def read_numbers(map: Fd, count: int) -> tuple[int, ...]:
    memory = buffer(8 * count)
    check(lib.vz_bpf_read(map.fileno(), memory), "bpf read", map.what)
    return struct.unpack(f"={count}Q", buffer_bytes(memory))


def write_numbers(map: Fd, *numbers: int) -> None:
    """All of them.  Not at one moment for a program that reads them."""
    check(lib.vz_bpf_write(map.fileno(), struct.pack(f"={len(numbers)}Q", *numbers)), "bpf write", map.what)


def new_socket_storage(name: str) -> Fd:
    """A number of 64 bits that a program can leave at a socket; it goes with the socket."""
    types = _number_types()
    with Fd(check(lib.vz_bpf_load_types(types, len(types)), "bpf types", name), "types") as known:
        return Fd(check(lib.vz_bpf_new_storage(name.encode(), 8, known.fileno(), 1, 2), "bpf map", name), name)


def _number_types() -> bytes:
    """The kernel wants to know the types of such a map: 1 is a number of 32 bits, the key, and 2 one of 64 (BTF)."""
    strings = b"\0u32\0u64\0"
    integer = 1 << 24  # BTF_KIND_INT
    types = b"".join(
        struct.pack("=IIII", name, integer, size, 8 * size) for name, size in ((1, 4), (5, 8))
    )
    return struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings

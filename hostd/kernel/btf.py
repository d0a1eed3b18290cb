"""Where things are in the structures of the running kernel, as it says itself (BTF)."""

import os
from typing import NamedTuple

from hostd.kernel.facade import BtfWants, check, lib
from hostd.kernel.fd import Fd

KERNEL = "/sys/kernel/btf/vmlinux"
STRUCT, UNION, ENUM, FUNCTION = 4, 5, 6, 12  # BTF_KIND_* of linux/btf.h


class Want(NamedTuple):
    """A type by *kind* and *name*; with *member* also where that is in it.  No name: the first that has the member."""

    kind: int
    name: str = ""
    member: str = ""
    of_type: int = 0  # instead of a member's name, for one that has none: the number of its type


class Found(NamedTuple):
    """The number of a type, and of its member the offset in bytes, or the value of an enumerator."""

    id: int
    value: int


def find(*wants: Want) -> list[Found]:
    """One look through all of the kernel's types, some 5 ms.

    Raises OSError: ENOENT when one of *wants* is not there, or the kernel tells nothing about its types.
    """
    with Fd.open(KERNEL, os.O_RDONLY) as file:
        asked = BtfWants([(want.kind, want.name, want.member, want.of_type) for want in wants])
        check(lib.vz_btf_find(file.fileno(), asked.memory, len(wants)), "btf", KERNEL)
        return [Found(*answer) for answer in asked.answers()]

"""A BPF program that makes sysinfo(2) tell a container of its own memory and swap.

It runs when the system call returns, and writes over what the caller has got: only for tasks below a cgroup of ours,
with the limits and the use of the memory cgroup right below that.  So it knows of every change at once, needs nobody
to feed it, and survives a checkpoint, being no part of the container.  It runs as long as its link is open.

Like the figures in /proc/meminfo: without a limit the host's memory, and never more swap than the host has.
Memory that is shared, or buffers, the kernel does not count in a way that could be read here: 0.
"""

import os
from functools import cache
from typing import NamedTuple

from hostd.kernel import bpf, btf
from hostd.kernel.bpf_code import (
    R0,
    R1,
    R2,
    R3,
    R6,
    R7,
    R8,
    R9,
    STACK,
    Code,
    add,
    answer,
    assemble,
    call,
    if_at_least,
    if_equal,
    if_less,
    if_not_equal,
    if_same,
    load,
    move,
    put,
    put_wide,
    shift_left,
    shift_right,
    store,
    subtract,
)
from hostd.kernel.btf import ENUM, FUNCTION, STRUCT, UNION, Want
from hostd.kernel.fd import Fd

NAME = "vz_sysinfo"
# The function, and where the pointer of the caller is in the registers that it gets (their layout is an ABI).
FUNCTIONS = {"x86_64": ("__x64_sys_sysinfo", 112), "aarch64": ("__arm64_sys_sysinfo", 0)}

_DEPTH = 12  # cgroups with a memory controller that a guest may have made below its own, and are looked through
_CURRENT_TASK, _READ_KERNEL, _READ_USER, _WRITE_USER = 35, 113, 112, 36  # helpers of linux/bpf.h

# struct sysinfo from totalram on, a copy of which is on the stack: fields of 8 bytes, of which mem_unit is 1.
_AT, _SIZE = 32, 48
_TOTAL, _FREE, _SHARED, _BUFFERS, _SWAP, _FREE_SWAP = range(-_SIZE - 16, -16, 8)
_WORD = -8  # what was read last


class Places(NamedTuple):
    """Where things are in this kernel: offsets in bytes, and the number of the function."""

    function: int
    registers: int
    task_cgroups: int
    memory_state: int  # in struct css_set: the state of the memory controller
    parent: int
    cgroup: int
    node: int
    node_id: int
    memory: int  # in struct mem_cgroup: a page counter; so is the next
    swap: int
    usage: int
    most: int


@cache
def places() -> Places:
    """Looked for once: the probe asks, and who starts the program.

    Raises OSError: this kernel, or this processor, has no such things.
    """
    machine = os.uname().machine
    if machine not in FUNCTIONS:
        raise OSError(38, "not on this processor", machine)
    function, registers = FUNCTIONS[machine]
    state = "cgroup_subsys_state"
    entry, tasks, states, number, parent, cgroup, node, node_id, memory, usage, most, swaps = btf.find(
        Want(FUNCTION, function),
        Want(STRUCT, "task_struct", "cgroups"),
        Want(STRUCT, "css_set", "subsys"),
        Want(ENUM, "cgroup_subsys_id", "memory_cgrp_id"),
        Want(STRUCT, state, "parent"),
        Want(STRUCT, state, "cgroup"),
        Want(STRUCT, "cgroup", "kn"),
        Want(STRUCT, "kernfs_node", "id"),
        Want(STRUCT, "mem_cgroup", "memory"),
        Want(STRUCT, "page_counter", "usage"),
        Want(STRUCT, "page_counter", "max"),
        Want(UNION, member="memsw"),
    )
    (swap,) = btf.find(Want(STRUCT, "mem_cgroup", of_type=swaps.id))
    return Places(
        function=entry.id,
        registers=registers,
        task_cgroups=tasks.value,
        memory_state=states.value + 8 * number.value,
        parent=parent.value,
        cgroup=cgroup.value,
        node=node.value,
        node_id=node_id.value,
        memory=memory.value,
        swap=swap.value,
        usage=usage.value,
        most=most.value,
    )


def load_program(root: int, *, swap_alone: bool) -> Fd:
    """The program for all below the cgroup *root* (its inode number).  Raises OSError.

    *swap_alone*: swap is counted by itself (cgroup v2), not together with the memory (v1).
    """
    there = places()
    return bpf.load_at_exit(NAME, there.function, assemble(program(there, root, swap_alone=swap_alone)))


def start(root: int, *, swap_alone: bool) -> Fd:
    """Begin; the link, which ends it when nobody has it open."""
    with load_program(root, swap_alone=swap_alone) as loaded:
        return bpf.link_at_exit(loaded)


def program(at: Places, root: int, *, swap_alone: bool) -> Code:
    """R6: what the caller gave.  R7: the state of the memory controller, which is where struct mem_cgroup begins."""
    return [
        load(R6, R1),
        load(R2, R1, 8),
        if_not_equal(R2, 0, "end"),
        load(R6, R6, at.registers),
        call(_CURRENT_TASK),
        move(R7, R0),
        *_follow(R7, at.task_cgroups),
        *_follow(R7, at.memory_state),
        *_climb(at, root),
        move(R1, STACK),
        add(R1, _TOTAL),
        put(R2, _SIZE),
        move(R3, R6),
        add(R3, _AT),
        call(_READ_USER),
        if_not_equal(R0, 0, "end"),
        *_memory(at),
        *_swap(at, swap_alone=swap_alone),
        move(R1, R6),
        add(R1, _AT),
        move(R2, STACK),
        add(R2, _TOTAL),
        put(R3, _SIZE),
        call(_WRITE_USER),
        "end",
        *answer(0),
    ]


def _climb(at: Places, root: int) -> Code:
    """R7: from the state of the task's cgroup to the one whose parent is *root*; nobody else is of ours."""
    code: Code = []
    for _ in range(_DEPTH):
        code += [
            move(R9, R7),
            *_follow(R9, at.parent),
            move(R8, R9),
            *_follow(R8, at.cgroup),
            *_follow(R8, at.node),
            *_follow(R8, at.node_id),
            put_wide(R1, root),
            if_same(R8, R1, "found"),
            move(R7, R9),
        ]
    return [*code, *answer(0), "found"]


def _memory(at: Places) -> Code:
    return [
        *_pages(R8, at.memory + at.most),
        load(R1, STACK, _TOTAL),
        shift_right(R1, _SHIFT),
        if_at_least(R8, R1, "unlimited"),
        *_pages(R9, at.memory + at.usage),
        *_tell(R8, R9, _TOTAL, _FREE, "memory"),
        put(R1, 0),
        store(STACK, R1, _SHARED),
        store(STACK, R1, _BUFFERS),
        "unlimited",
    ]


def _swap(at: Places, *, swap_alone: bool) -> Code:
    return [
        *_swap_pages(R8, at, at.most, swap_alone=swap_alone),
        load(R1, STACK, _SWAP),
        shift_right(R1, _SHIFT),
        if_less(R8, R1, "less"),
        move(R8, R1),
        "less",
        *_swap_pages(R9, at, at.usage, swap_alone=swap_alone),
        *_tell(R8, R9, _SWAP, _FREE_SWAP, "swap"),
    ]


def _swap_pages(to: int, at: Places, which: int, *, swap_alone: bool) -> Code:
    """*to*: the *which* of swap; R0 to R5 are lost, and the word on the stack.

    On v1 both limits are the same number where nothing is limited: that is no swap of 0.
    """
    if swap_alone:
        return _pages(to, at.swap + which)
    kept = _WORD - 8
    both, unlimited = f"both {to}", f"both unlimited {to}"
    return [
        *_pages(to, at.memory + which),
        store(STACK, to, kept),
        *_pages(to, at.swap + which),
        put_wide(R1, _UNLIMITED),
        if_at_least(to, R1, unlimited),
        load(R1, STACK, kept),
        if_at_least(to, R1, both),
        move(to, R1),
        both,
        subtract(to, R1),
        unlimited,
    ]


# Parts.  R0 to R5 are lost in them.


def _tell(total: int, used: int, place: int, place_of_free: int, label: str) -> Code:
    """Pages of which so many are used, as bytes to the copy."""
    return [
        if_less(used, total, label),
        move(used, total),
        label,
        move(R1, total),
        subtract(R1, used),
        shift_left(R1, _SHIFT),
        shift_left(total, _SHIFT),
        store(STACK, total, place),
        store(STACK, R1, place_of_free),
    ]


def _pages(to: int, offset: int) -> Code:
    return [move(to, R7), *_follow(to, offset, zero=True)]


def _follow(pointer: int, offset: int, *, zero: bool = False) -> Code:
    """*pointer* becomes the word of the kernel *offset* bytes from where it points.  Nothing is there: the end."""
    return [
        move(R1, STACK),
        add(R1, _WORD),
        put(R2, 8),
        move(R3, pointer),
        add(R3, offset),
        call(_READ_KERNEL),
        if_not_equal(R0, 0, "end"),
        load(pointer, STACK, _WORD),
        *([] if zero else [if_equal(pointer, 0, "end")]),
    ]


_SHIFT = os.sysconf("SC_PAGE_SIZE").bit_length() - 1  # from pages to bytes
_UNLIMITED = (1 << 63) - 1 >> _SHIFT  # PAGE_COUNTER_MAX

"""The program behind sysinfo(2), run through an interpreter in a kernel of a few words."""

import os
import struct

import pytest

from hostd.kernel import bpf_code
from hostd.kernel.bpf_code import R0, R1, R3, STACK, assemble
from hostd.kernel.sysinfo_program import Places, program

AT = Places(
    *(0, 112, 8, 16),  # the function, and what leads from the task to the state of its memory controller
    *(24, 32, 40, 48),  # from there to the number of a cgroup
    *(64, 128, 0, 8),  # the counters in that state, and what is in a counter
)
PAGE, MIB, ROOT = os.sysconf("SC_PAGE_SIZE"), 1 << 20, 7
UNLIMITED = ((1 << 63) - 1) // PAGE  # PAGE_COUNTER_MAX
HOST = (1024 * MIB, 512 * MIB, 9, 9, 64 * MIB, 48 * MIB)  # total, free, shared, buffers; swap, free
CONTEXT, REGISTERS, CALLER, TASK, SET, STATE, ABOVE, CGROUP, NODE = (at << 16 for at in range(1, 10))
STACK_AT, MASK = 1 << 40, (1 << 64) - 1
CURRENT_TASK, WRITE_USER = 35, 36  # helpers; those that are left read, from the kernel or the caller
INSTRUCTION = struct.Struct("<BBhi")


class Kernel:
    """Its memory by the word.  *memory*, *swap*: pages in use and the limit, of the two counters."""

    def __init__(self, memory: tuple[int, int], swap: tuple[int, int]) -> None:
        self.words = {
            CONTEXT: REGISTERS, CONTEXT + 8: 0, REGISTERS + 112: CALLER,
            TASK + 8: SET, SET + 16: STATE, STATE + 24: ABOVE,
            ABOVE + 32: CGROUP, CGROUP + 40: NODE, NODE + 48: ROOT,
            STATE + 64: memory[0], STATE + 72: memory[1], STATE + 128: swap[0], STATE + 136: swap[1],
        }  # fmt: skip
        self.words |= {CALLER + 32 + 8 * at: word for at, word in enumerate(HOST)}

    def told(self, *, swap_alone: bool) -> tuple[int, ...]:
        """What the caller finds, as in HOST."""
        self.run(assemble(program(AT, ROOT, swap_alone=swap_alone)))
        return tuple(self.words[CALLER + 32 + 8 * at] for at in range(len(HOST)))

    def run(self, code: bytes) -> None:
        lines, at = list(INSTRUCTION.iter_unpack(code)), 0
        registers = [0] * 11
        registers[R1], registers[STACK] = CONTEXT, STACK_AT
        while lines[at][0] != bpf_code.EXIT:
            if lines[at][0] == bpf_code.LOAD_ADDRESS:
                registers[lines[at][1] & 15] = lines[at][3] & 0xFFFFFFFF | (lines[at + 1][3] & 0xFFFFFFFF) << 32
                at += 2
            else:
                at += 1 + self.step(registers, *lines[at])

    def step(self, registers: list[int], opcode: int, pair: int, offset: int, value: int) -> int:
        """How far it jumps."""
        to, source = pair & 15, pair >> 4
        left, right = registers[to], registers[source]
        jumps = {
            bpf_code.IF_EQUAL: left == value, bpf_code.IF_NOT_EQUAL: left != value, bpf_code.IF_SAME: left == right,
            bpf_code.IF_AT_LEAST: left >= right, bpf_code.IF_LESS: left < right,
        }  # fmt: skip
        if opcode in jumps:
            return offset if jumps[opcode] else 0
        if opcode == bpf_code.CALL:
            self.call(registers, value)
        elif opcode == bpf_code.STORE_DOUBLE:
            self.words[left + offset] = right
        elif opcode == bpf_code.LOAD_DOUBLE:
            registers[to] = self.words[right + offset]
        else:
            made = {
                bpf_code.MOVE: right, bpf_code.MOVE_VALUE: value, bpf_code.ADD: left + value,
                bpf_code.SUBTRACT: left - right, bpf_code.SHIFT_LEFT: left << (value & 63),
                bpf_code.SHIFT_RIGHT: left >> (value & 63),
            }  # fmt: skip
            registers[to] = made[opcode] & MASK
        return 0

    def call(self, registers: list[int], helper: int) -> None:
        """The task, or a copy: to the caller the size comes last."""
        if helper == CURRENT_TASK:
            registers[R0] = TASK
            return
        to, size, source = registers[R1 : R3 + 1]
        if helper == WRITE_USER:
            size, source = source, size
        copied = [self.words[source + at] for at in range(0, size, 8)]
        self.words |= {to + 8 * at: word for at, word in enumerate(copied)}
        registers[R0] = 0


Counters = tuple[tuple[int, int], tuple[int, int]]


def counters(memory: int, most: int, swap: int, most_swap: int) -> Counters:
    """In use and the limit, in MiB; 0: none."""
    limits = [limit * MIB // PAGE or UNLIMITED for limit in (most, most_swap)]
    return (memory * MIB // PAGE, limits[0]), (swap * MIB // PAGE, limits[1])


@pytest.mark.parametrize(
    ("given", "memory", "swap"),
    [
        ((100, 256, 110, 384), (256, 156), (64, 54)),
        ((100, 256, 110, 288), (256, 156), (32, 22)),
        ((256, 256, 256, 256), (256, 0), (0, 0)),
        ((100, 256, 110, 0), (256, 156), (64, 54)),
        ((100, 0, 110, 0), (1024, 512), (64, 54)),
    ],
)
def test_on_v1_swap_is_what_both_have_beyond_the_memory(
    given: tuple[int, int, int, int], memory: tuple[int, int], swap: tuple[int, int]
) -> None:
    told = [number // MIB for number in Kernel(*counters(*given)).told(swap_alone=False)]
    assert (tuple(told[:2]), tuple(told[4:])) == (memory, swap)


@pytest.mark.parametrize(
    ("given", "memory", "swap"),
    [((100, 256, 10, 32), (256, 156), (32, 22)), ((100, 0, 10, 0), (1024, 512), (64, 54))],
)
def test_on_v2_swap_has_a_limit_of_its_own(
    given: tuple[int, int, int, int], memory: tuple[int, int], swap: tuple[int, int]
) -> None:
    told = [number // MIB for number in Kernel(*counters(*given)).told(swap_alone=True)]
    assert (tuple(told[:2]), tuple(told[4:])) == (memory, swap)

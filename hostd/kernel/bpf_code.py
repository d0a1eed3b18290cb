"""The instructions of BPF programs, as far as ours need them, and labels to jump to."""

import struct
from collections.abc import Iterable
from typing import NamedTuple

from hostd.kernel.fd import Fd

# Opcodes of linux/bpf.h.
LOAD_WORD, LOAD_DOUBLE, STORE_DOUBLE, LOAD_ADDRESS = 0x61, 0x79, 0x7B, 0x18
MOVE, MOVE32, MOVE_VALUE = 0xBF, 0xBC, 0xB7
ADD, OR, AND32, SHIFT_RIGHT32 = 0x07, 0x47, 0x54, 0x74
SUBTRACT, SHIFT_LEFT, SHIFT_RIGHT = 0x1F, 0x67, 0x77
GOTO, IF_EQUAL, IF_NOT_EQUAL, IF_SAME, IF_AT_LEAST, IF_LESS = 0x05, 0x15, 0x55, 0x1D, 0x3D, 0xAD
CALL, EXIT, ATOMIC = 0x85, 0x95, 0xDB
_ADD, _ADD_AND_FETCH, _EXCHANGE, _COMPARE_AND_EXCHANGE = 0x00, 0x01, 0xE1, 0xF1  # of ATOMIC
_MAP, _MAP_VALUE = 1, 2  # BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE: what LOAD_ADDRESS loads
_INSTRUCTION = struct.Struct("<BBhi")
_REST = struct.Struct("<4xI")  # the upper half of what LOAD_ADDRESS loads

# Answers come in R0, arguments go in R1 to R5 and are lost.  Below STACK are 512 bytes.
R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, STACK = range(11)


class Instruction(NamedTuple):
    """*offset*: of memory, or the label to jump to."""

    opcode: int
    to: int = 0
    source: int = 0
    offset: int | str = 0
    value: int = 0

    @property
    def slots(self) -> int:
        return 2 if self.opcode == LOAD_ADDRESS else 1


Line = Instruction | str  # a text is a label: of the instruction that follows
Code = list[Line]


def assemble(code: Iterable[Line]) -> bytes:
    lines, places, at = [], {}, 0
    for line in code:
        if isinstance(line, str):
            places[line] = at
            continue
        at += line.slots
        lines.append((at, line))
    return b"".join(_encoded(line, places, after) for after, line in lines)


def _encoded(line: Instruction, places: dict[str, int], after: int) -> bytes:
    offset = places[line.offset] - after if isinstance(line.offset, str) else line.offset
    low = line.value & 0xFFFFFFFF if line.slots == 2 else line.value
    rest = _REST.pack(line.value >> 32) if line.slots == 2 else b""
    return _INSTRUCTION.pack(line.opcode, line.source << 4 | line.to, offset, _signed(low)) + rest


def _signed(low: int) -> int:
    return low - (1 << 32) if low >= 1 << 31 else low


def load_word(to: int, base: int, offset: int) -> Instruction:
    return Instruction(LOAD_WORD, to, base, offset)


def load(to: int, base: int, offset: int = 0) -> Instruction:
    """Of 64 bits, as all that follow."""
    return Instruction(LOAD_DOUBLE, to, base, offset)


def store(base: int, source: int, offset: int = 0) -> Instruction:
    return Instruction(STORE_DOUBLE, base, source, offset)


def move(to: int, source: int) -> Instruction:
    return Instruction(MOVE, to, source)


def put(to: int, value: int) -> Instruction:
    return Instruction(MOVE_VALUE, to, value=value)


def put_wide(to: int, value: int) -> Instruction:
    """Of 64 bits, without a sign."""
    return Instruction(LOAD_ADDRESS, to, value=value)


def subtract(to: int, source: int) -> Instruction:
    return Instruction(SUBTRACT, to, source)


def shift_left(to: int, bits: int) -> Instruction:
    return Instruction(SHIFT_LEFT, to, value=bits)


def shift_right(to: int, bits: int) -> Instruction:
    return Instruction(SHIFT_RIGHT, to, value=bits)


def add(to: int, value: int) -> Instruction:
    return Instruction(ADD, to, value=value)


def either(to: int, bits: int) -> Instruction:
    return Instruction(OR, to, value=bits)


def atomic_add(base: int, source: int, offset: int = 0) -> Instruction:
    return Instruction(ATOMIC, base, source, offset, _ADD)


def fetch_and_add(base: int, source: int, offset: int = 0) -> Instruction:
    """*source* becomes what was there."""
    return Instruction(ATOMIC, base, source, offset, _ADD_AND_FETCH)


def exchange(base: int, source: int, offset: int = 0) -> Instruction:
    return Instruction(ATOMIC, base, source, offset, _EXCHANGE)


def replace(base: int, source: int, offset: int = 0) -> Instruction:
    """If R0 is there, put *source* there; R0 becomes what was there."""
    return Instruction(ATOMIC, base, source, offset, _COMPARE_AND_EXCHANGE)


def the_map(to: int, map: Fd) -> Instruction:
    return Instruction(LOAD_ADDRESS, to, _MAP, value=map.fileno())


def the_value(to: int, map: Fd) -> Instruction:
    """The address of what is in an array of one."""
    return Instruction(LOAD_ADDRESS, to, _MAP_VALUE, value=map.fileno())


def goto(label: str) -> Instruction:
    return Instruction(GOTO, offset=label)


def if_equal(left: int, value: int, label: str) -> Instruction:
    return Instruction(IF_EQUAL, left, offset=label, value=value)


def if_not_equal(left: int, value: int, label: str) -> Instruction:
    return Instruction(IF_NOT_EQUAL, left, offset=label, value=value)


def if_same(left: int, right: int, label: str) -> Instruction:
    """Of two registers."""
    return Instruction(IF_SAME, left, right, label)


def if_at_least(left: int, right: int, label: str) -> Instruction:
    """Of two registers, without a sign."""
    return Instruction(IF_AT_LEAST, left, right, label)


def if_less(left: int, right: int, label: str) -> Instruction:
    return Instruction(IF_LESS, left, right, label)


def call(helper: int) -> Instruction:
    return Instruction(CALL, value=helper)


def answer(value: int) -> tuple[Instruction, Instruction]:
    return put(R0, value), Instruction(EXIT)

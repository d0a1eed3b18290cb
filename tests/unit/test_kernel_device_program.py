"""The device filter, run through an interpreter and compared with the rules read by a person."""

import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.kernel import bpf_code
from hostd.kernel.device_program import ACCESS, DEFAULT_DEVICES, TYPES, DeviceRule, device_program

INSTRUCTION = struct.Struct("<BBhi")
WORD = 0xFFFFFFFF


def run(program: bytes, type: str, access: str, major: int, minor: int) -> bool:
    wanted = sum(ACCESS[letter] for letter in access)
    context = struct.pack("<III", TYPES[type] | wanted << 16, major, minor)
    registers, at, code = [0] * 11, 0, list(INSTRUCTION.iter_unpack(program))
    while True:
        opcode, pair, offset, value = code[at]
        to, source = pair & 15, pair >> 4
        at += 1
        match opcode:
            case bpf_code.LOAD_WORD:
                registers[to] = struct.unpack_from("<I", context, offset)[0]
            case bpf_code.MOVE | bpf_code.MOVE32:
                registers[to] = registers[source]
            case bpf_code.MOVE_VALUE:
                registers[to] = value
            case bpf_code.AND32:
                registers[to] &= value & WORD
            case bpf_code.SHIFT_RIGHT32:
                registers[to] >>= value
            case bpf_code.IF_NOT_EQUAL:
                at += offset if registers[to] != value else 0
            case bpf_code.EXIT:
                return bool(registers[0])
            case _:
                raise AssertionError(f"opcode {opcode:#x}")


def decide(rules: Iterable[DeviceRule], type: str, access: str, major: int, minor: int) -> bool:
    """The same, as the docstring of DeviceRule says it."""
    for rule in rules:
        fits = rule.type in ("a", type) and set(access) <= set(rule.access)
        if fits and rule.major in (None, major) and rule.minor in (None, minor):
            return rule.allow
    return False


small = st.integers(min_value=0, max_value=3)
rule = st.builds(
    DeviceRule,
    type=st.sampled_from("abc"),
    major=st.none() | small,
    minor=st.none() | small,
    access=st.sampled_from(["r", "w", "m", "rw", "rwm"]),
    allow=st.booleans(),
)


access = st.sampled_from(["r", "w", "m", "rw"])


@given(st.lists(rule, max_size=6), st.sampled_from("bc"), access, small, small)
def test_programs_decide_as_the_rules_say(
    rules: list[DeviceRule], type: str, access: str, major: int, minor: int
) -> None:
    assert run(device_program(rules), type, access, major, minor) == decide(rules, type, access, major, minor)


@pytest.mark.parametrize(
    ("device", "allowed"),
    [
        (("c", "rw", 1, 3), True),  # null
        (("c", "rw", 136, 7), True),  # a pty
        (("c", "r", 1, 1), False),  # mem
        (("b", "r", 8, 0), False),  # a disk
        (("b", "m", 8, 0), True),  # its node alone
        (("c", "rw", 10, 229), False),  # fuse
    ],
)
def test_default_devices(device: tuple[str, str, int, int], allowed: bool) -> None:
    assert run(device_program(DEFAULT_DEVICES), *device) is allowed


def test_nothing_follows_a_rule_for_everything() -> None:
    everything = DeviceRule("a", None, None, "rwm", True)
    disk = DeviceRule("b", 8, 0, "r", False)
    assert device_program([everything, disk]) == device_program([everything])


@pytest.mark.parametrize(("type", "access"), [("d", "r"), ("c", ""), ("c", "rx")])
def test_bad_rules_are_refused(type: str, access: str) -> None:
    with pytest.raises(ValueError, match="device"):
        DeviceRule(type, None, None, access, True)

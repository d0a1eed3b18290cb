"""The system call filter, run through an interpreter of classic BPF."""

import struct
from errno import ENOSYS

import pytest

from hostd.kernel import seccomp
from hostd.kernel.seccomp import ABIS, AUDIT_ARCH, MACHINES, RULES, Rule, deny_filter

INSTRUCTION = struct.Struct("<HBBI")
HARMLESS = 39  # no rule has this number on any ABI


def verdict(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """What the kernel would answer; AssertionError for what its checker would refuse."""
    code = list(INSTRUCTION.iter_unpack(program))
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, arch, 0, *padded)
    accumulator, at = 0, 0
    while True:
        opcode, if_true, if_false, operand = code[at]
        at += 1
        if opcode == seccomp.LOAD:
            accumulator = struct.unpack_from("<I", data, operand)[0]
        elif opcode == seccomp.RETURN:
            return int(operand)
        elif opcode == seccomp.JUMP:
            at += operand
        elif opcode == seccomp.IF_EQUAL:
            at += if_true if accumulator == operand else if_false
        else:
            assert opcode == seccomp.IF_AT_LEAST
            at += if_true if accumulator >= operand else if_false


def cases() -> list[tuple[str, str, Rule, int]]:
    return [
        (machine, abi, rule, number)
        for machine, abis in MACHINES.items()
        for abi in abis
        for rule in RULES
        if (number := rule.numbers[ABIS.index(abi)]) is not None
    ]


def arguments(rule: Rule) -> list[int]:
    values = [0] * 6
    for position, value in rule.when:
        values[position] = value
    return values


@pytest.mark.parametrize(("machine", "abi", "rule", "number"), cases())
def test_every_rule_denies_on_every_abi(machine: str, abi: str, rule: Rule, number: int) -> None:
    denied = verdict(deny_filter(machine), AUDIT_ARCH[abi], number, *arguments(rule))
    assert denied == seccomp.ERRNO | rule.errno


@pytest.mark.parametrize(("machine", "abi", "rule", "number"), cases())
def test_every_rule_can_be_allowed(machine: str, abi: str, rule: Rule, number: int) -> None:
    program = deny_filter(machine, allow=frozenset({rule.name}))
    assert verdict(program, AUDIT_ARCH[abi], number, *arguments(rule)) == seccomp.ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_other_calls_pass(machine: str) -> None:
    for abi in MACHINES[machine]:
        assert verdict(deny_filter(machine), AUDIT_ARCH[abi], HARMLESS) == seccomp.ALLOW


def test_other_sockets_and_ioctls_pass() -> None:
    program, arch = deny_filter("x86_64"), AUDIT_ARCH["x86_64"]
    assert verdict(program, arch, 41, 2, 1, 0) == seccomp.ALLOW
    assert verdict(program, arch, 41, seccomp.AF_NETLINK, 3, 0) == seccomp.ALLOW
    assert verdict(program, arch, 16, 0, 0x5413) == seccomp.ALLOW


def test_upper_halves_of_int_arguments_do_not_hide_the_value() -> None:
    arguments = (seccomp.AF_VSOCK | 1 << 32, 1, 0)
    denied = verdict(deny_filter("x86_64"), AUDIT_ARCH["x86_64"], 41, *arguments)
    assert denied != seccomp.ALLOW


def test_x32_is_not_implemented() -> None:
    denied = verdict(deny_filter("x86_64"), AUDIT_ARCH["x86_64"], seccomp.X32_BIT | 1)
    assert denied == seccomp.ERRNO | ENOSYS


def test_an_unknown_abi_ends_the_process() -> None:
    assert verdict(deny_filter("x86_64"), AUDIT_ARCH["aarch64"], HARMLESS) == seccomp.KILL


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="iopl2"):
        deny_filter("x86_64", allow=frozenset({"iopl2"}))
    with pytest.raises(ValueError, match="s390x"):
        deny_filter("s390x")

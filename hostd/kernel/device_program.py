"""The device filter of a container: a BPF program that is generated from rules."""

from collections.abc import Iterable
from dataclasses import dataclass

from hostd.kernel import bpf_code
from hostd.kernel.bpf import Hook
from hostd.kernel.bpf_code import AND32, MOVE32, SHIFT_RIGHT32, Code, Instruction, answer, if_not_equal, load_word, move

HOOK = Hook("vz_device", program=15, place=6)  # BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE

TYPES = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*
ACCESS = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_*
ALL_ACCESS = 7

# Registers: the context comes in r1, the answer leaves in r0.
CONTEXT, TYPE, WANTED, MAJOR, MINOR, SCRATCH = range(1, 7)


@dataclass(frozen=True)
class DeviceRule:
    """What to do with devices of *type* ('b', 'c', 'a' both), *major*, *minor* (None: any) for *access*
    ("rwm").

    A rule speaks for an access only when all of it is in *access*; the first rule that speaks decides.
    """

    type: str
    major: int | None
    minor: int | None
    access: str
    allow: bool

    def __post_init__(self) -> None:
        if self.type not in ("a", *TYPES):
            raise ValueError(f"device type {self.type!r} (a, b or c)")
        if not self.access or set(self.access) - set(ACCESS):
            raise ValueError(f"device access {self.access!r} (letters of rwm)")


DEFAULT_DEVICES = (
    *(DeviceRule("c", 1, minor, "rwm", True) for minor in (3, 5, 7, 8, 9)),  # null zero full random urandom
    DeviceRule("c", 5, 0, "rwm", True),  # tty
    DeviceRule("c", 5, 1, "rwm", True),  # console
    DeviceRule("c", 5, 2, "rwm", True),  # ptmx
    DeviceRule("c", 136, None, "rwm", True),  # pts
    DeviceRule("a", None, None, "m", True),  # a node that cannot be opened does no harm
)


def device_program(rules: Iterable[DeviceRule]) -> bytes:
    """The program: the first matching rule decides, without one the access is denied."""
    code: Code = [
        load_word(TYPE, CONTEXT, 0),  # access in the upper half, type in the lower
        move(WANTED, TYPE),
        Instruction(AND32, TYPE, value=0xFFFF),
        Instruction(SHIFT_RIGHT32, WANTED, value=16),
        load_word(MAJOR, CONTEXT, 4),
        load_word(MINOR, CONTEXT, 8),
    ]
    for number, rule in enumerate(rules):
        tests = _tests(rule, f"after {number}")
        code += [*tests, *answer(rule.allow), f"after {number}"]
        if not tests:  # matches everything: the verifier refuses code that nothing reaches
            return bpf_code.assemble(code)
    return bpf_code.assemble([*code, *answer(False)])


def _tests(rule: DeviceRule, otherwise: str) -> Code:
    code: Code = []
    mask = sum(ACCESS[letter] for letter in set(rule.access))
    if rule.type != "a":
        code += [if_not_equal(TYPE, TYPES[rule.type], otherwise)]
    if mask != ALL_ACCESS:
        code += [Instruction(MOVE32, SCRATCH, WANTED), Instruction(AND32, SCRATCH, value=~mask & ALL_ACCESS)]
        code += [if_not_equal(SCRATCH, 0, otherwise)]
    if rule.major is not None:
        code += [if_not_equal(MAJOR, rule.major, otherwise)]
    if rule.minor is not None:
        code += [if_not_equal(MINOR, rule.minor, otherwise)]
    return code

"""The device filter of a container: a BPF program on its cgroup in the unified tree.

Works on cgroup v2 and on the unified tree of a hybrid host.  A program is generated from rules, loaded and
attached; a child cgroup can only narrow it.  The kernel frees it with the cgroup.
"""

import os
import struct
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from hostd.kernel.facade import array, buffer, buffer_text, check, lib, unpack
from hostd.kernel.fd import Fd

TYPES = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*
ACCESS = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_*
ALL_ACCESS = 7
LOG_SIZE = 65536
MOST_PROGRAMS = 16  # at one cgroup; ours is the only one, unless the host's administrator adds some

# Opcodes of linux/bpf.h, as used here.
LOAD_WORD, MOVE, MOVE32, MOVE_VALUE = 0x61, 0xBF, 0xBC, 0xB7
AND32, SHIFT_RIGHT32, IF_NOT_EQUAL, EXIT = 0x54, 0x74, 0x55, 0x95

# Registers: the context comes in r1, the answer leaves in r0.
ANSWER, CONTEXT, TYPE, WANTED, MAJOR, MINOR, SCRATCH = range(7)


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
    program = [
        _instruction(LOAD_WORD, TYPE, CONTEXT, 0),  # access in the upper half, type in the lower
        _instruction(MOVE, WANTED, TYPE),
        _instruction(AND32, TYPE, value=0xFFFF),
        _instruction(SHIFT_RIGHT32, WANTED, value=16),
        _instruction(LOAD_WORD, MAJOR, CONTEXT, 4),
        _instruction(LOAD_WORD, MINOR, CONTEXT, 8),
    ]
    for rule in rules:
        tests = _tests(rule)
        program += _block(tests, rule.allow)
        if not tests:  # matches everything: the verifier refuses code that nothing reaches
            return b"".join(program)
    return b"".join([*program, *_answer(False)])


# A test is the instructions before a jump, and the register and value whose inequality ends the rule.
Test = tuple[list[bytes], int, int]


def _tests(rule: DeviceRule) -> list[Test]:
    tests: list[Test] = []
    mask = sum(ACCESS[letter] for letter in set(rule.access))
    if rule.type != "a":
        tests.append(([], TYPE, TYPES[rule.type]))
    if mask != ALL_ACCESS:
        more = [_instruction(MOVE32, SCRATCH, WANTED), _instruction(AND32, SCRATCH, value=~mask & ALL_ACCESS)]
        tests.append((more, SCRATCH, 0))
    if rule.major is not None:
        tests.append(([], MAJOR, rule.major))
    if rule.minor is not None:
        tests.append(([], MINOR, rule.minor))
    return tests


def _block(tests: list[Test], allow: bool) -> list[bytes]:
    answer = _answer(allow)
    left = sum(len(before) + 1 for before, _, _ in tests) + len(answer)
    block: list[bytes] = []
    for before, register, value in tests:
        left -= len(before) + 1
        block += [*before, _instruction(IF_NOT_EQUAL, register, offset=left, value=value)]
    return block + answer


def _answer(allow: bool) -> list[bytes]:
    return [_instruction(MOVE_VALUE, ANSWER, value=int(allow)), _instruction(EXIT)]


def _instruction(opcode: int, to: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", opcode, source << 4 | to, offset, value)


def load_device(program: bytes) -> Fd:
    """Load a program; OSError with the verifier's last words."""
    count = len(program) // 8
    result = lib.vz_bpf_load_device(program, count, buffer(1), 0)
    if result < 0:  # again, for the log: with one, a valid program could fail for a log that is too small
        log = buffer(LOG_SIZE)
        result = lib.vz_bpf_load_device(program, count, log, LOG_SIZE)
        if result < 0:
            words = buffer_text(log).strip().splitlines()[-1:] or ["no reason given"]
            raise OSError(-result, f"bpf load: {os.strerror(-result)} ({words[0]})", "device filter")
    return Fd(result, "device filter")


def attach_device(cgroup: Fd, prog: Fd) -> None:
    """Let *prog* decide at the directory *cgroup*, in the place of the one that did: at no moment nobody does."""
    with ExitStack() as owned:
        old = _attached(cgroup)
        replaced = owned.enter_context(old).fileno() if old is not None else -1
        check(lib.vz_bpf_attach_device(cgroup.fileno(), prog.fileno(), replaced), "bpf attach", cgroup.what)


def _attached(cgroup: Fd) -> Fd | None:
    """The program at *cgroup* itself."""
    ids = array("uint32_t", MOST_PROGRAMS)
    count = check(lib.vz_bpf_device_programs(cgroup.fileno(), ids, MOST_PROGRAMS), "bpf query", cgroup.what)
    for number in unpack(ids, count):
        return Fd(check(lib.vz_bpf_program(number), "bpf program", cgroup.what), "device filter")
    return None

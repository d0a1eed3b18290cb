"""The system call filter of a container: a deny list, as a classic BPF program generated here.

Everything not named is allowed: a container is a whole system.  Both ABIs of a 64-bit kernel are filtered by
the same rules; a third one ends the process.  adjtimex stays, because programs read the clock's state with it
and the kernel asks a writer for the capability anyway.
"""

import os
import struct
from errno import EAFNOSUPPORT, ENOSYS, EPERM
from typing import NamedTuple

ALLOW = 0x7FFF0000
KILL = 0x80000000
ERRNO = 0x00050000

# Opcodes of linux/bpf_common.h, as used here.
LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS: a word of struct seccomp_data
JUMP = 0x05
IF_EQUAL = 0x15
IF_AT_LEAST = 0x35
RETURN = 0x06

NUMBER_AT, ARCH_AT, ARGS_AT = 0, 4, 16  # offsets in struct seccomp_data
X32_BIT = 0x40000000

ABIS = ("x86_64", "i386", "aarch64", "arm")
AUDIT_ARCH = {"x86_64": 0xC000003E, "i386": 0x40000003, "aarch64": 0xC00000B7, "arm": 0x40000028}
MACHINES = {
    "x86_64": ("x86_64", "i386"),
    "aarch64": ("aarch64", "arm"),
    "armv7l": ("arm",),
    "armv8l": ("arm",),
}

AF_NETLINK, AF_ALG, AF_VSOCK = 16, 38, 40
NETLINK_AUDIT = 9
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
SOCKETCALL_SOCKET = 1


class Rule(NamedTuple):
    """One denied call.  `numbers` follow ABIS (None: not there); `when` are (argument, value) that must all
    hold."""

    name: str
    numbers: tuple[int | None, int | None, int | None, int | None]
    errno: int = EPERM
    when: tuple[tuple[int, int], ...] = ()


_SOCKET = (41, 359, 198, 281)
_IOCTL = (16, 54, 29, 54)

RULES = (
    # reach the host's kernel
    Rule("kexec_load", (246, 283, 104, 347)),
    Rule("kexec_file_load", (320, None, 294, 401)),
    Rule("init_module", (175, 128, 105, 128)),
    Rule("finit_module", (313, 350, 273, 379)),
    Rule("delete_module", (176, 129, 106, 129)),
    Rule("bpf", (321, 357, 280, 386)),
    Rule("perf_event_open", (298, 336, 241, 364)),
    Rule("lookup_dcookie", (212, 253, 18, 249)),
    Rule("iopl", (172, 110, None, None)),
    Rule("ioperm", (173, 101, None, None)),
    # reach files by handle, whatever the root is
    Rule("open_by_handle_at", (304, 342, 265, 371)),
    # belong to the whole host
    Rule("swapon", (167, 87, 224, 87)),
    Rule("swapoff", (168, 115, 225, 115)),
    Rule("acct", (163, 51, 89, 51)),
    Rule("settimeofday", (164, 79, 170, 79)),
    Rule("clock_settime", (227, 264, 112, 262)),
    Rule("clock_settime64", (None, 404, None, 404)),
    Rule("stime", (None, 25, None, None)),
    Rule("quotactl", (179, 131, 60, 131)),
    Rule("quotactl_fd", (443, 443, 443, 443)),
    Rule("uselib", (134, 86, None, 86)),
    # keys are counted per user of the host and seen across containers that share one; runtimes of nested containers
    # want one for each, and do without only on a kernel that has none
    Rule("add_key", (248, 286, 217, 309), ENOSYS),
    Rule("request_key", (249, 287, 218, 310), ENOSYS),
    Rule("keyctl", (250, 288, 219, 311), ENOSYS),
    # much used to build exploits; and no checkpoint can hold them
    Rule("userfaultfd", (323, 374, 282, 388)),
    Rule("io_uring", (425, 425, 425, 425)),
    # not namespaced: vsock reaches the hypervisor, audit the host's log
    Rule("vsock", _SOCKET, EAFNOSUPPORT, ((0, AF_VSOCK),)),
    Rule("alg", _SOCKET, EAFNOSUPPORT, ((0, AF_ALG),)),
    Rule("audit", _SOCKET, EAFNOSUPPORT, ((0, AF_NETLINK), (2, NETLINK_AUDIT))),
    # hides the family from a filter; a 32-bit distribution needs it allowed
    Rule("socketcall", (None, 102, None, None), EAFNOSUPPORT, ((0, SOCKETCALL_SOCKET),)),
    # put characters into a terminal's input
    Rule("tiocsti", _IOCTL, EPERM, ((1, TIOCSTI),)),
    Rule("tioclinux", _IOCTL, EPERM, ((1, TIOCLINUX),)),
)

RULE_NAMES = frozenset(rule.name for rule in RULES)


def deny_filter(machine: str = os.uname().machine, *, allow: frozenset[str] = frozenset()) -> bytes:
    """The sock_filter array for *machine* (as uname writes it), without the rules named in *allow*.

    ValueError for an unknown machine or rule.
    """
    if machine not in MACHINES:
        raise ValueError(f"no system call filter for {machine!r} (there are: {', '.join(MACHINES)})")
    if unknown := allow - RULE_NAMES:
        raise ValueError(f"unknown system call rule: {', '.join(sorted(unknown))}")
    rules = [rule for rule in RULES if rule.name not in allow]
    code = [_instruction(LOAD, ARCH_AT)]
    for abi in MACHINES[machine]:
        block = _abi_block(abi, rules)
        code.append(_instruction(IF_EQUAL, AUDIT_ARCH[abi], 1, 0))
        code.append(_instruction(JUMP, len(block)))  # a conditional jump reaches 255 instructions only
        code += block
    code.append(_instruction(RETURN, KILL))
    return b"".join(code)


def _instruction(opcode: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", opcode, if_true, if_false, operand)


def _abi_block(abi: str, rules: list[Rule]) -> list[bytes]:
    block = [_instruction(LOAD, NUMBER_AT)]
    if abi == "x86_64":  # x32 has the same architecture and numbers of its own
        block += [_instruction(IF_AT_LEAST, X32_BIT, 0, 1), _instruction(RETURN, ERRNO | ENOSYS)]
    for rule in rules:
        number = rule.numbers[ABIS.index(abi)]
        if number is not None:
            block += _rule_block(rule, number)
    return [*block, _instruction(RETURN, ALLOW)]


def _rule_block(rule: Rule, number: int) -> list[bytes]:
    """Skip unless the number is *number* and the low words of the arguments are as wanted."""
    deny = _instruction(RETURN, ERRNO | rule.errno)
    if not rule.when:
        return [_instruction(IF_EQUAL, number, 0, 1), deny]
    body: list[bytes] = []
    for left, (argument, value) in zip(range(len(rule.when), 0, -1), rule.when, strict=True):
        to_reload = 2 * (left - 1) + 1
        body += [_instruction(LOAD, ARGS_AT + 8 * argument), _instruction(IF_EQUAL, value, 0, to_reload)]
    body += [deny, _instruction(LOAD, NUMBER_AT)]
    return [_instruction(IF_EQUAL, number, 0, len(body)), *body]

"""BPF programs on a cgroup that count its IP sockets, and refuse those over a limit.

A socket that is counted carries a mark, and what takes the mark away counts it off: so none is counted twice, or
counted off that never was, whenever the programs came to the cgroup and wherever the socket has gone since.

    CREATE    socket(2): refused at the limit (ENOBUFS, as in OpenVZ), else counted and marked
    RELEASE   the last close(2): counted off
    STATES    a connection comes in at a listening socket: counted and marked; it ends before anybody has closed it,
              perhaps before anybody has accepted it: counted off; its owner has made another of it, or listens: counted
    INCOMING  at the limit of TCP a listening socket hears nothing, nor one that would be counted again: who connects
              tries again, as if a packet were lost
    MARK      getsockopt(2) of MARKING, which hostd asks of sockets that are older than the others: counted and marked

Only what RELEASE will hear of is counted: TCP, UDP, raw and ping sockets of IPv4 and IPv6.  The kernel asks no program
when a UNIX, packet or netlink socket is made, and says nothing of the end of a few rare kinds (SMC).
"""

import errno
from typing import NamedTuple

from hostd.kernel import bpf
from hostd.kernel.bpf import Hook
from hostd.kernel.bpf_code import (
    R0,
    R1,
    R2,
    R6,
    R7,
    R8,
    R9,
    Code,
    add,
    answer,
    assemble,
    call,
    either,
    exchange,
    fetch_and_add,
    goto,
    if_at_least,
    if_equal,
    if_less,
    if_not_equal,
    load,
    load_word,
    move,
    put,
    store,
    the_value,
)
from hostd.kernel.fd import Fd
from hostd.kernel.socket_parts import (
    CAME_IN,
    FREE,
    GONE,
    OF_TCP,
    OTHER,
    ROW,
    ROWS,
    TCP,
    count,
    kind,
    mark_at,
    to_row,
    turn,
)

# Of linux/bpf.h: BPF_PROG_TYPE_* and the place of BPF_CGROUP_*.
CREATE = Hook("vz_sock_create", program=9, place=2)
RELEASE = Hook("vz_sock_release", program=9, place=34)
STATES = Hook("vz_sock_states", program=13, place=3)
INCOMING = Hook("vz_sock_in", program=8, place=0)
MARK = Hook("vz_sock_mark", program=25, place=21)

MARKING = 0x767A  # a level of getsockopt(2) that no protocol has

_REFUSED = 16  # the second half of `counts`

_SET_FLAGS, _FULL_SOCKET, _SET_RETVAL = 59, 95, 187  # helpers of linux/bpf.h
_IP = (2, 10)  # AF_INET, AF_INET6
# BPF_SOCK_OPS_*: ACTIVE_ESTABLISHED_CB, PASSIVE_ESTABLISHED_CB, STATE_CB, TCP_LISTEN_CB
_GOT_THROUGH, _CAME_IN, _NEW_STATE, _BEGAN_TO_LISTEN = 4, 5, 10, 11
_TELL_STATES = 1 << 2  # BPF_SOCK_OPS_STATE_CB_FLAG
_CONNECTS, _CLOSED, _LISTENS = 2, 7, 10  # BPF_TCP_SYN_SENT, BPF_TCP_CLOSE, BPF_TCP_LISTEN

# Where it is in struct bpf_sock, bpf_sock_ops, __sk_buff and bpf_sockopt.
_FAMILY, _PROTOCOL, _STATE = 4, 12, 72
_OPERATION, _TO_STATE, _FLAGS, _SOCKET_OF_OPERATION = 0, 8, 84, 184
_SOCKET_OF_PACKET = 168
_SOCKET_OF_OPTION, _LEVEL = 0, 24


class Maps(NamedTuple):
    limits: Fd  # of TCP and of others; hostd writes it
    counts: Fd  # held of both, refused of both; hostd reads it
    marks: Fd

    @classmethod
    def new(cls) -> "Maps":
        numbers, rows = bpf.new_numbers, len(ROWS)
        return cls(numbers("vz_limits", rows), numbers("vz_counts", 2 * rows), bpf.new_socket_storage("vz_marks"))

    @classmethod
    def at(cls, cgroup: Fd) -> "Maps | None":
        """Those of the programs there; None when none counts there."""
        program = bpf.attached(CREATE, cgroup)
        if program is None:
            return None
        with program:
            found = bpf.maps_of(program)
        return cls(found["vz_limits"], found["vz_counts"], found["vz_marks"])


def programs(maps: Maps) -> dict[Hook, Code]:
    """Attached in this order, the first counts off what the others have counted, and nothing is missed."""
    return {
        RELEASE: _release(maps),
        STATES: _states(maps),
        INCOMING: _incoming(maps),
        CREATE: _create(maps),
        MARK: _mark(maps),
    }


def load_program(hook: Hook, maps: Maps) -> Fd:
    return bpf.load(hook, assemble(programs(maps)[hook]))


def _create(maps: Maps) -> Code:
    """R6: the socket.  R7: its mark.  R8: the limit.  R9: the counts of its kind."""
    return [
        move(R6, R1),
        *kind(R6, R7, "let"),
        the_value(R8, maps.limits),
        the_value(R9, maps.counts),
        *to_row(R7, R8, R9),
        load(R8, R8),
        put(R1, 1),
        fetch_and_add(R9, R1),
        if_at_least(R1, R8, "full"),
        *mark_at(maps.marks, R6, "uncounted"),
        store(R0, R7),
        "let",
        *answer(1),
        "full",
        *count(R9, 1, _REFUSED),
        *count(R9, -1),
        put(R1, -errno.ENOBUFS),
        call(_SET_RETVAL),
        *answer(0),
        "uncounted",  # no memory for a mark
        *count(R9, -1),
        *answer(1),
    ]


def _release(maps: Maps) -> Code:
    return [
        move(R6, R1),
        *mark_at(maps.marks, R6, "end", make=False),
        put(R7, GONE),
        exchange(R0, R7),
        if_equal(R7, FREE, "end"),
        if_equal(R7, GONE, "end"),
        the_value(R9, maps.counts),
        if_not_equal(R7, OTHER, "off"),
        add(R9, ROW[OTHER]),
        "off",
        *count(R9, -1),
        "end",
        *answer(1),
    ]


def _states(maps: Maps) -> Code:
    """The kernel tells the end only of sockets that it was asked to: of those that came in.

    R6: the operation.  R7: the socket.  R8: CAME_IN.  R9: the counts.
    """
    return [
        move(R6, R1),
        load_word(R2, R6, _OPERATION),
        load(R7, R6, _SOCKET_OF_OPERATION),
        if_equal(R7, 0, "end"),
        put(R8, CAME_IN),
        the_value(R9, maps.counts),
        if_equal(R2, _NEW_STATE, "state"),
        if_equal(R2, _CAME_IN, "came in"),
        if_equal(R2, _GOT_THROUGH, "used again"),
        if_not_equal(R2, _BEGAN_TO_LISTEN, "end"),
        "used again",
        *mark_at(maps.marks, R7, "end", make=False),
        goto("on"),
        "came in",
        move(R1, R6),
        load_word(R2, R6, _FLAGS),
        either(R2, _TELL_STATES),
        call(_SET_FLAGS),
        if_not_equal(R0, 0, "end"),
        *mark_at(maps.marks, R7, "end"),
        "on",
        *turn(FREE, R8, "end"),
        *count(R9, 1, ROW[CAME_IN]),
        goto("end"),
        "state",
        load_word(R2, R6, _TO_STATE),
        if_not_equal(R2, _CLOSED, "end"),
        *mark_at(maps.marks, R7, "end", make=False),
        put(R2, FREE),
        *turn(CAME_IN, R2, "end"),
        *count(R9, -1, ROW[CAME_IN]),
        "end",
        *answer(1),
    ]


def _incoming(maps: Maps) -> Code:
    """Of most packets this is the first four lines.  R6: the socket.  R7: its state."""
    return [
        load(R1, R1, _SOCKET_OF_PACKET),
        if_equal(R1, 0, "let"),
        load_word(R7, R1, _STATE),
        if_equal(R7, _LISTENS, "full?"),
        if_not_equal(R7, _CONNECTS, "let"),
        "full?",
        call(_FULL_SOCKET),
        if_equal(R0, 0, "let"),
        move(R6, R0),
        load_word(R2, R6, _PROTOCOL),
        if_not_equal(R2, OF_TCP[0], "let"),
        the_value(R8, maps.limits),
        the_value(R9, maps.counts),
        load(R1, R9, ROW[TCP]),
        load(R2, R8, ROW[TCP]),
        if_less(R1, R2, "let"),
        if_equal(R7, _LISTENS, "refuse"),
        *mark_at(maps.marks, R6, "let", make=False),
        load(R1, R0),
        if_not_equal(R1, FREE, "let"),
        "refuse",
        *count(R9, 1, _REFUSED + ROW[TCP]),
        *answer(0),
        "let",
        *answer(1),
    ]


def _mark(maps: Maps) -> Code:
    """For anybody who asks: it only makes the count of who asks right."""
    return [
        load_word(R2, R1, _LEVEL),
        if_not_equal(R2, MARKING, "end"),
        load(R6, R1, _SOCKET_OF_OPTION),
        if_equal(R6, 0, "end"),
        load_word(R2, R6, _FAMILY),
        *(if_equal(R2, family, "ip") for family in _IP),
        goto("end"),
        "ip",
        *kind(R6, R7, "end"),
        the_value(R9, maps.counts),
        *to_row(R7, R9),
        *mark_at(maps.marks, R6, "end"),
        *turn(FREE, R7, "end"),
        *count(R9, 1),
        "end",
        *answer(1),
    ]

"""What the programs that count sockets (`socket_programs`) have in common: the marks, their rows, pieces of code.

R1 to R5 are lost in each of the pieces.
"""

from hostd.kernel.bpf_code import (
    R0,
    R1,
    R2,
    R3,
    R4,
    Code,
    add,
    atomic_add,
    call,
    goto,
    if_equal,
    if_not_equal,
    load_word,
    move,
    put,
    replace,
    the_map,
)
from hostd.kernel.fd import Fd

# Marks.  What comes in at a listening socket is told from what socket(2) has made; FREE is what is not counted now, and
# GONE what will not be again: it has been closed, whatever comes to it still.
FREE, TCP, OTHER, CAME_IN, GONE = 0, 1, 2, 3, 4
ROWS = (TCP, OTHER)
ROW = {TCP: 0, OTHER: 8, CAME_IN: 0}  # in `limits`, and in each half of `counts`

_STORAGE_GET = 107  # a helper of linux/bpf.h
_STREAM, _DATAGRAM, _RAW = 1, 2, 3
OF_TCP = (6, 262)  # IPPROTO_TCP, IPPROTO_MPTCP
_TYPE, _PROTOCOL = 8, 12  # where they are in struct bpf_sock


def kind(socket: int, mark: int, otherwise: str) -> Code:
    """*mark*: TCP or OTHER, as *socket* is; neither: *otherwise*."""
    return [
        put(mark, OTHER),
        load_word(R1, socket, _TYPE),
        if_equal(R1, _DATAGRAM, "known"),
        if_equal(R1, _RAW, "known"),
        if_not_equal(R1, _STREAM, otherwise),
        put(mark, TCP),
        load_word(R1, socket, _PROTOCOL),
        *(if_equal(R1, protocol, "known") for protocol in OF_TCP),
        goto(otherwise),
        "known",
    ]


def to_row(mark: int, *addresses: int) -> Code:
    """From the first of both kinds to that of *mark*, TCP or OTHER."""
    moves = [add(address, ROW[OTHER]) for address in addresses]
    return [if_not_equal(mark, OTHER, "in row"), *moves, "in row"]


def mark_at(marks: Fd, socket: int, without: str, *, make: bool = True) -> Code:
    """R0: where the mark of *socket* is."""
    return [
        the_map(R1, marks),
        move(R2, socket),
        put(R3, 0),
        put(R4, int(make)),
        call(_STORAGE_GET),
        if_equal(R0, 0, without),
    ]


def turn(old: int, new: int, otherwise: str) -> Code:
    """The mark at R0 from *old* to what is in register *new*, unless it has become another."""
    return [move(R1, R0), put(R0, old), replace(R1, new), if_not_equal(R0, old, otherwise)]


def count(counts: int, by: int, offset: int = 0) -> Code:
    """So many more at the address *counts*."""
    return [put(R1, by), atomic_add(counts, R1, offset)]

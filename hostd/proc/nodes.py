"""The numbers of nodes, by name: for ever, as the kernel remembers them whoever serves them."""

from hostd.proc.points import POINTS
from hostd.proc.wire import ROOT

FILES = {
    **{name: ROOT + 1 + at for at, name in enumerate(POINTS)},
    **{name: 144 + at for at, name in enumerate(("user_beancounters", "veinfo", "veip", "vestat", "version", "vswap"))},
}
PRIME = (1 << 31) - 1


def number(name: str) -> int:
    """Below PRIME, and of the name alone: the next server may find others beside it."""
    found = 0
    for byte in name.encode():
        found = (found * 257 + byte) % PRIME
    return found

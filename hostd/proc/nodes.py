"""The numbers of the files, by name: for ever, as the kernel remembers them whoever serves them."""

from hostd.proc.points import POINTS
from hostd.proc.wire import ROOT

FILES = {
    **{name: ROOT + 1 + at for at, name in enumerate(POINTS)},
    **{name: 144 + at for at, name in enumerate(("user_beancounters", "veinfo", "veip", "vestat", "version", "vswap"))},
}

"""Netfilter rules that CRIU saves as text and nobody can load again: found before the container is given up."""

import glob
import re

from hostd.errors import Exit, Failure

FILES = "nftables-*.img"  # of CRIU's images: the rules as nft prints them
# How nft writes a match or a target of iptables-nft that it has no words of its own for.  Grep reads it as well.
UNLOADABLE = r'\bxt (match|target) "(\w+)"'


def check(images: str) -> None:
    """Raise Failure(16) when the directory *images* holds such a rule."""
    for path in sorted(glob.glob(f"{images}/{FILES}")):
        with open(path, encoding="utf-8", errors="replace") as file:
            found = sorted({match[2] for match in re.finditer(UNLOADABLE, file.read())})
        if found:
            why = f"netfilter rules of iptables-nft that nft cannot load ({', '.join(found)})"
            raise Failure(Exit.CHKPNT, f"Checkpointing failed: {why}", hint="remove them, or write them with nft")

"""Netfilter rules that CRIU saves as text and nobody can load again: found before the container is given up."""

import glob
import re

from hostd.errors import Exit, Failure

# How nft writes a match or a target of iptables-nft that it has no words of its own for.
_OF_IPTABLES = re.compile(r'\bxt (?:match|target) "(\w+)"')


def check(images: str) -> None:
    """Raise Failure(16) when the directory *images* holds such a rule."""
    for path in sorted(glob.glob(f"{images}/nftables-*.img")):
        with open(path, encoding="utf-8", errors="replace") as file:
            found = sorted({match[1] for line in file for match in _OF_IPTABLES.finditer(line)})
        if found:
            why = f"netfilter rules of iptables-nft that nft cannot load ({', '.join(found)})"
            raise Failure(Exit.CHKPNT, f"Checkpointing failed: {why}", hint="remove them, or write them with nft")

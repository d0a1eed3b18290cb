"""Action scripts as several tests want them."""

from hostd.config import files
from tests.harness.installation import Vz


def lasting(vz: Vz, name: str, first: str = "true") -> str:
    """The action script *name*, which does *first* and then lasts until somebody removes it: its path."""
    path = f"{vz.paths.conf_dir}/{name}"
    files.replace(path, f"#!/bin/sh\n{first}\nwhile [ -e {path} ]; do sleep 0.1; done\n", mode=0o755)
    return path

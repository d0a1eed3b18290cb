"""What an administrator wants done differently for a distribution, as OpenVZ has it:

    /etc/vz/dists/NAME.conf           KEY=FILE lines; NAME is DISTRIBUTION or OSTEMPLATE of the container, with as many
                                      `-part` cut off at its end as it takes
    /etc/vz/dists/default             for those that have none
    /etc/vz/dists/scripts/FILE        the shell script
    /etc/vz/dists/scripts/functions   what all scripts have before their own text

Of OpenVZ's keys vzhost asks for POST_CREATE.  The others name what it does itself for every distribution.
"""

import os
from collections.abc import Callable, Iterator

from hostd.config import files
from hostd.config.model import CtConfig
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf

POST_CREATE = "POST_CREATE"


def script(paths: Paths, config: CtConfig, key: str, warn: Callable[[str], None]) -> str | None:
    """Path of the script that *key* names for the distribution of *config*; None when there is none to run.

    Raises BadConfig and OSError for a file that cannot be read.
    """
    path = _conf(paths, config.raw.get("DISTRIBUTION") or config.ostemplate, warn)
    name = VeConf.load(path).get(key) if path else None
    return f"{paths.dists_dir}/scripts/{name}" if name else None


def text(path: str) -> str:
    """The script at *path*, after the functions that scripts share.  OSError."""
    shared = os.path.join(os.path.dirname(path), "functions")
    return "\n".join(files.read(part) for part in (shared, path) if part == path or os.path.exists(part))


def _conf(paths: Paths, distribution: str, warn: Callable[[str], None]) -> str | None:
    for name in _shorter_and_shorter(distribution):
        if os.path.isfile(path := f"{paths.dists_dir}/{name}.conf"):
            return path
    default = f"{paths.dists_dir}/default"
    if not os.path.isfile(default):
        return None
    warn(f"Warning: configuration file for distribution {distribution} not found, using defaults from {default}")
    return default


def _shorter_and_shorter(name: str) -> Iterator[str]:
    """`debian-12-x86_64`, `debian-12`, `debian`."""
    while name:
        yield name
        name = name.rpartition("-")[0]

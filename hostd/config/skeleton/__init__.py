"""The default configuration, and the first lay-out of an installation."""

import os
import tempfile

from hostd.config.paths import Paths
from hostd.errors import NoGlobalConfig

SAMPLES = tuple(
    f"ve-{name}.conf-sample"
    for name in (
        *("basic", "light"),
        *("vswap-256m", "vswap-512m", "vswap-1024m", "vswap-1g", "vswap-2g", "vswap-4g"),
    )
)
_HERE = os.path.dirname(__file__)


def install(paths: Paths) -> bool:
    """Lay out a default tree if there is no etc/vz at all; True when it did.

    An existing etc/vz is the administrator's: without a readable vz.conf it raises NoGlobalConfig.
    """
    if os.path.lexists(paths.etc_dir):
        if not os.access(paths.vz_conf, os.R_OK):
            raise NoGlobalConfig(f"Unable to open {paths.vz_conf}")
        return False
    _configuration(paths)
    directories(paths)
    return True


def directories(paths: Paths) -> None:
    """Make the directories of the state that are missing.  Trees of containers, which may hold set-user-id
    programs of anybody's making, are for root alone.
    """
    for path in (paths.lock_dir, paths.template_cache, os.path.dirname(paths.log_file)):
        os.makedirs(path, exist_ok=True)
    for path in (paths.private_default, paths.root_default):
        _secret(path.partition("/$VEID")[0])
    for path in (paths.template_tree, paths.dump_dir, paths.vzrm_dir):
        _secret(path)


def _secret(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass


def _configuration(paths: Paths) -> None:
    """etc/vz appears as a whole, by one rename."""
    parent = os.path.dirname(paths.etc_dir)
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".vz.", dir=parent) as scratch:
        tree = f"{scratch}/vz"
        for directory in (tree, f"{tree}/conf", f"{tree}/names"):
            os.mkdir(directory, 0o755)
        _copy("vz.conf", f"{tree}/vz.conf", paths)
        for name in ("0.conf", *SAMPLES):
            _copy(name, f"{tree}/conf/{name}", paths)
        os.rename(tree, paths.etc_dir)


def _copy(name: str, target: str, paths: Paths) -> None:
    """One packaged file, its paths moved below the prefix: scripts source vz.conf and know no prefix."""
    with open(f"{_HERE}/{name}", encoding="utf-8") as file:
        text = file.read()
    with open(target, "w", encoding="utf-8") as file:
        file.write(text.replace('="/var/', f'="{paths.prefix}/var/'))

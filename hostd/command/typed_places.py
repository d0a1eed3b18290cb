"""--private and --root: what cannot be the place of a container is refused by the option that named it."""

import os
from collections.abc import Mapping

from hostd.command.call import Call
from hostd.config import places
from hostd.config.model import GlobalConfig
from hostd.config.veconf import VeConf
from hostd.errors import BadValue

_OPTIONS = {"VE_PRIVATE": "private", "VE_ROOT": "root"}


def check(call: Call, texts: Mapping[str, str], conf: VeConf) -> None:
    """Of *texts*, what was typed by key, beside what *conf* says.  Raises BadValue."""
    globals = call.host.confs.globals()
    paths = {}
    for key in [key for key in _OPTIONS if key in texts]:
        try:
            paths[key] = places.place(globals.paths, texts[key], call.ctid)
            _reachable(paths[key])
        except ValueError as error:
            raise _refused(key, texts, error) from error
    if paths:
        _apart(call.ctid, texts, paths, conf, globals)


def _apart(
    ctid: int, texts: Mapping[str, str], paths: dict[str, str], conf: VeConf, globals: GlobalConfig
) -> None:
    """The one that was not typed comes from the file or from vz.conf; should it be no place, its file is to blame."""
    defaults = {"VE_PRIVATE": globals.private, "VE_ROOT": globals.root}
    typed = next(iter(paths))
    for key, default in defaults.items():
        if key not in paths:
            try:
                paths[key] = places.place(globals.paths, conf.get(key) or default, ctid)
            except ValueError:
                return
    try:
        places.apart(paths["VE_PRIVATE"], paths["VE_ROOT"])
    except ValueError as error:
        raise _refused(typed, texts, error) from error


def _reachable(path: str) -> None:
    """ValueError when something on the way to *path* is no directory; what is missing can be made."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        raise ValueError(f"{path} is not a directory")


def _refused(key: str, texts: Mapping[str, str], error: ValueError) -> BadValue:
    return BadValue(f"Bad parameter for --{_OPTIONS[key]}: {texts[key]}", hint=str(error))

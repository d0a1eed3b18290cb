"""A configuration that a command names as a file, wherever it is."""

import os
from collections.abc import Mapping
from contextlib import ExitStack

from hostd.command.call import typed_path
from hostd.command.programs import Tool
from hostd.config.lockfile import CtLock
from hostd.config.veconf import VeConf
from hostd.errors import Failure, VzError


def load(tool: Tool, word: str, complaint: str) -> VeConf:
    """Failure(1) with *complaint*, in which {} is the word, where there is no such file.  Raises BadConfig."""
    try:
        return VeConf.load(typed_path(tool.session, word))
    except FileNotFoundError as error:
        raise Failure(1, complaint.format(word)) from error
    except OSError as error:
        raise Failure(1, f"Unable to open {word}: {error.strerror}") from error


def save(tool: Tool, conf: VeConf, word: str) -> None:
    try:
        conf.save(typed_path(tool.session, word))
    except OSError as error:
        raise Failure(1, f"Unable to write {word}: {error.strerror}") from error


def put(tool: Tool, word: str, was: VeConf, texts: Mapping[str, str]) -> None:
    """Set *texts*, which were found for what the file *was*: everything else stays as it says by now.

    Failure(1) when one of them has become something else meanwhile.  A container's file is held as `set` holds it.
    """
    with ExitStack() as held:
        ctid = _container(tool, typed_path(tool.session, word))
        if ctid is not None:
            _lock(tool, held, ctid)
        conf = load(tool, word, "{} is gone; nothing was repaired")
        for key, text in texts.items():
            if conf.get(key) != was.get(key):
                raise Failure(1, f"{conf.place(key)}: {key} was changed meanwhile; nothing was repaired")
            conf.set(key, text)
        save(tool, conf, word)


def _container(tool: Tool, path: str) -> int | None:
    """Whose file it is."""
    directory, name = os.path.split(os.path.realpath(path))
    stem = name.removesuffix(".conf")
    ours = directory == os.path.realpath(tool.host.paths.conf_dir) and stem != name and stem.isdecimal()
    return int(stem) if ours else None


def _lock(tool: Tool, held: ExitStack, ctid: int) -> None:
    try:
        lock = held.enter_context(CtLock(tool.host.paths, ctid, "set"))
    except VzError as error:
        raise Failure(1, error.message, hint=error.hint) from error
    if lock.removed_stale:
        tool.console.note(f"Removing stale lock file {lock.removed_stale}")

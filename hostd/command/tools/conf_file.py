"""A configuration that a command names as a file, wherever it is."""

import os

from hostd.command.programs import Tool
from hostd.config.veconf import VeConf
from hostd.errors import Failure


def path(tool: Tool, word: str) -> str:
    """*word* as the user meant it: relative to where the command was typed."""
    return os.path.normpath(os.path.join(tool.session.cwd or "/", word))


def load(tool: Tool, word: str, complaint: str) -> VeConf:
    """Failure(1) with *complaint*, in which {} is the word, where there is no such file.  Raises BadConfig."""
    try:
        return VeConf.load(path(tool, word))
    except FileNotFoundError as error:
        raise Failure(1, complaint.format(word)) from error
    except OSError as error:
        raise Failure(1, f"Unable to open {word}: {error.strerror}") from error


def save(tool: Tool, conf: VeConf, word: str) -> None:
    try:
        conf.save(path(tool, word))
    except OSError as error:
        raise Failure(1, f"Unable to write {word}: {error.strerror}") from error

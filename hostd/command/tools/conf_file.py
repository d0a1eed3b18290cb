"""A configuration that a command names as a file, wherever it is."""

from hostd.command.call import typed_path
from hostd.command.programs import Tool
from hostd.config.veconf import VeConf
from hostd.errors import Failure


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

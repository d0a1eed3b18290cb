"""The file format of vz.conf and CTID.conf: `NAME="value"` lines, edited in place.

    NAME=value or NAME="value"      leading blanks skipped, a quoted value reaches up to the *last* quote
    # comment                       kept, as are unknown keys, order and blank lines
    NAME=a  NAME=b                  the first definition wins, the second is warned about

    anything else                   kept, skipped, and warned about

No shell expansion; `$VEID` is expanded by whoever uses the value.  Values may contain quotes (OpenVZ
writes them raw), but no newline.

A line can be skipped, a file cannot: one that is binary, or has more lines of something else than definitions, has
lost what it said (or never was a configuration), and the limits that it held must not be taken for absent.
"""

import os
import re

from hostd.config import files
from hostd.errors import BadConfig

LONGEST = 1 << 20  # bytes of a file

_ALIASES = {"DCACHE": "DCACHESIZE", "IPTENTRIES": "NUMIPTENT"}
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMMENT = re.compile(r"\s+#.*|^#.*")
_BINARY = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class VeConf:
    """One configuration file.  `origin` is the path it came from, for messages; `warnings` are complete
    lines.
    """

    __slots__ = ("_lines", "_strange", "_values", "_where", "origin", "warnings")

    def __init__(self, origin: str = "") -> None:
        self.origin = origin
        self.warnings: list[str] = []
        self._lines: list[str] = []
        self._strange: list[int] = []  # lines that are neither a definition, a comment nor blank
        self._values: dict[str, str] = {}
        self._where: dict[str, int] = {}

    @classmethod
    def parse(cls, text: str, origin: str = "") -> "VeConf":
        conf = cls(origin)
        conf._lines = text.split("\n")
        if conf._lines[-1] == "":
            conf._lines.pop()
        conf._index()
        return conf

    @classmethod
    def load(cls, path: str) -> "VeConf":
        """Read *path*.  Raises OSError, and BadConfig for a file that is no configuration."""
        conf = cls.parse(_read(path), path)
        conf._must_be_one()
        return conf

    def save(self, path: str) -> None:
        """Replace *path* by this text in one step.  Raises OSError."""
        files.replace(path, self.text())

    def copy(self) -> "VeConf":
        return VeConf.parse(self.text(), self.origin)

    def text(self) -> str:
        return "".join(line + "\n" for line in self._lines)

    def get(self, key: str) -> str | None:
        return self._values.get(key)

    def items(self) -> list[tuple[str, str]]:
        """Keys and values in the order of the file."""
        return list(self._values.items())

    def place(self, key: str) -> str:
        """Where *key* is defined, for messages: `PATH:LINE`, or `PATH` when it is not."""
        return f"{self.origin}:{self._where[key] + 1}" if key in self._where else self.origin

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def set(self, key: str, value: str) -> None:
        """Define *key*: in its old place, or at the end.  ValueError for a value that does not fit one
        line.
        """
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a configuration key: {key!r}")
        if any(mark in value for mark in "\n\r\0"):
            raise ValueError(f"{key}: the value must be one line of text")
        line = f'{key}="{value}"'
        if key in self._where:
            self._lines[self._where[key]] = line
        else:
            self._where[key] = len(self._lines)
            self._lines.append(line)
        self._values[key] = value

    def unset(self, key: str) -> None:
        """Remove every definition of *key*; none is fine."""
        self._lines = [line for line in self._lines if _key_of(line) != key]
        self._index()

    def _index(self) -> None:
        self._values, self._where, self._strange, self.warnings = {}, {}, [], []
        for number, line in enumerate(self._lines):
            key, value = _split(line)
            if key is None:
                if value:
                    self._strange.append(number)
                    self.warnings.append(f"{self.origin}:{number + 1}: not NAME=value: {value[:60]}")
            elif key in self._values:
                self.warnings.append(f"{self.origin}:{number + 1}: duplicate for {key}, the first is used")
            else:
                self._values[key] = value
                self._where[key] = number

    def _must_be_one(self) -> None:
        strange = self._strange
        binary = [n for n in strange if _BINARY.search(self._lines[n])]
        binary += [n for n, line in enumerate(self._lines) if "\0" in line]
        if binary:
            raise _no_configuration(self.origin, f"line {min(binary + strange) + 1} is binary data")
        if len(strange) > len(self._values):
            line = self._lines[strange[0]].strip()[:60]
            raise _no_configuration(self.origin, f"line {strange[0] + 1} is not NAME=value: {line}")


def _no_configuration(path: str, why: str) -> BadConfig:
    return BadConfig(f"{path} is not a configuration: {why}", hint="put a good file in its place")


def _read(path: str) -> str:
    """The text of a regular file.  Raises OSError, BadConfig."""
    with files.open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LONGEST:
            raise _no_configuration(path, f"it has {size >> 10} KiB")
        return file.read(LONGEST)


def _key_of(line: str) -> str | None:
    return _split(line)[0]


def _split(line: str) -> tuple[str | None, str]:
    """(key, value), or (None, the offending text) for a line that is neither a definition, a comment nor
    blank.
    """
    line = line.strip()
    if not line or line.startswith("#"):
        return None, ""
    key, mark, value = line.partition("=")
    if not mark or not _KEY.fullmatch(key):
        return None, line
    return _ALIASES.get(key, key), _unquote(value)


def _unquote(value: str) -> str:
    if not value.startswith('"'):
        return _COMMENT.sub("", value)
    end = value.rfind('"')
    return value[1:end] if end > 0 else value[1:]

"""systemd's unit files: finding, reading, specifiers, quoting.

Runs in the planner; knows nothing of services.
"""

import posix

from vzinit import fds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORIES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/run/systemd/generator.late",
)

BOOLEANS = {
    "1": True, "yes": True, "y": True, "true": True, "t": True, "on": True,
    "0": False, "no": False, "n": False, "false": False, "f": False, "off": False,
}  # fmt: skip

Section = dict[str, list[str]]


class Unit:
    """One unit.  `values["Service"]["ExecStart"]` is the list of assignments; an empty one cleared it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.values: dict[str, Section] = {}
        self.files: list[str] = []  # where it is written
        self.complaints: list[str] = []  # about values that cannot be read: `unit_values`

    def all(self, section: str, key: str) -> list[str]:
        return [self.expand(value) for value in self.values.get(section, {}).get(key, [])]

    def last(self, section: str, key: str, default: str = "") -> str:
        values = self.all(section, key)
        return values[-1] if values else default

    def words(self, section: str, key: str) -> list[str]:
        """All words of all assignments, as dependency lists are written."""
        return [word for value in self.all(section, key) for word in value.split()]

    @property
    def prefix(self) -> str:
        """The name without type and instance: `ssh` of ssh.service, `getty` of getty@tty1.service."""
        return self.name.rpartition(".")[0].partition("@")[0]

    @property
    def instance(self) -> str:
        return self.name.rpartition(".")[0].partition("@")[2]

    def expand(self, text: str) -> str:
        """Replace the specifiers (%n, %i...)."""
        if "%" not in text:
            return text
        values = {
            "n": self.name, "N": self.name.rpartition(".")[0], "p": self.prefix, "P": unescape(self.prefix),
            "i": self.instance, "I": unescape(self.instance), "t": "/run", "S": "/var/lib", "C": "/var/cache",
            "L": "/var/log", "E": "/etc", "T": "/tmp", "V": "/var/tmp", "u": "root", "U": "0", "h": "/root",
            "H": posix.uname().nodename, "v": posix.uname().release, "%": "%",
        }  # fmt: skip
        letters = iter(text)
        parts = []
        for letter in letters:
            if letter == "%":
                key = next(letters, "%")
                parts.append(values.get(key, "%" + key))
            else:
                parts.append(letter)
        return "".join(parts)


def is_true(text: str) -> bool:
    """A boolean, in capitals or not; what is none is not true."""
    return BOOLEANS.get(text.lower(), False)


def find(name: str) -> str | None:
    """The path of the unit file, or of its template; None when there is none or it is masked."""
    for candidate in (name, template_of(name)):
        for directory in DIRECTORIES if candidate else ():
            path = f"{directory}/{candidate}"
            try:
                posix.lstat(path)
            except OSError:
                continue
            return None if real_name(path) == "null" else path
    return None


def template_of(name: str) -> str:
    head, at, tail = name.partition("@")
    return f"{head}@.{tail.rpartition('.')[2]}" if at else ""


def real_name(path: str) -> str:
    """The file name behind all symlinks of *path* (which stay inside the container: `/` is its root)."""
    for _ in range(16):
        try:
            target = posix.readlink(path)
        except OSError:
            break
        path = target if target.startswith("/") else f"{path.rpartition('/')[0]}/{target}"
    return path.rpartition("/")[2]


def load(name: str) -> Unit | None:
    """The unit called *name*, by its real name if that is an alias, with its drop-ins; None without one."""
    path = find(name)
    if not path:
        return None
    behind = real_name(path)
    if "@" not in name and behind.rpartition(".")[2] == name.rpartition(".")[2]:
        name = behind
    unit = Unit(name)
    owners = {name, template_of(name)} - {""}
    unit.files = [path, *(file for owner in owners for file in drop_ins(owner))]
    for file in unit.files:
        parse(fds.read_text(file), unit.values)
    return unit


def drop_ins(name: str) -> list[str]:
    """`NAME.d/*.conf` of all directories, by file name; the first directory wins over a later one."""
    found: dict[str, str] = {}
    for directory in reversed(DIRECTORIES):
        for file in fds.listdir(f"{directory}/{name}.d"):
            if file.endswith(".conf"):
                found[file] = f"{directory}/{name}.d/{file}"
    return [found[file] for file in sorted(found)]


def wanted_by_links(name: str) -> list[str]:
    """What the `.wants` and `.requires` directories of *name* hold."""
    return [
        file
        for directory in DIRECTORIES
        for kind in ("wants", "requires")
        for file in sorted(fds.listdir(f"{directory}/{name}.{kind}"))
    ]


def parse(text: str, values: dict[str, Section]) -> None:
    """Read *text* into *values*: `[Section]`, `Key=value`, comments, lines continued by a backslash."""
    section = ""
    for line in logical_lines(text):
        if line.startswith("["):
            section = line.strip("[]")
            continue
        key, equals, value = line.partition("=")
        if not equals:
            continue
        assignments = values.setdefault(section, {}).setdefault(key.strip(), [])
        if value.strip():
            assignments.append(value.strip())
        else:
            assignments.clear()


def logical_lines(text: str) -> list[str]:
    """Lines joined where a backslash ends them; without comments, also those in the middle."""
    lines: list[str] = []
    open_line = ""
    for line in text.splitlines():
        if line.lstrip()[:1] in ("#", ";"):
            continue
        if line.endswith("\\"):
            open_line += line[:-1] + " "
        elif (open_line + line).strip():
            lines.append((open_line + line).strip())
            open_line = ""
    return [*lines, open_line.strip()] if open_line.strip() else lines


ESCAPES = {"n": "\n", "t": "\t", "s": " ", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def split(text: str) -> list[str]:
    """Words of a command line: blanks, '...' and "...", backslash escapes."""
    words: list[str] = []
    word: str | None = None
    quote = ""
    letters = iter(text)
    for letter in letters:
        if letter == "\\":
            word = (word or "") + escaped(letters)
        elif quote:
            quote, word = ("", word) if letter == quote else (quote, (word or "") + letter)
        elif letter in "'\"" and word is None:
            quote, word = letter, ""
        elif letter.isspace():
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + letter
    return words if word is None else [*words, word]


def escaped(letters: "Iterator[str]") -> str:
    """What stands behind a backslash."""
    letter = next(letters, "\\")
    if letter == "x":
        return chr(int(next(letters, "") + next(letters, ""), 16))
    return ESCAPES.get(letter, letter)


def unescape(name: str) -> str:
    """Undo systemd-escape: `-` is /, `\\x2d` is -; what is no number stays."""
    head, *rest = name.replace("-", "/").split("\\x")
    for part in rest:
        try:
            head += chr(int(part[:2], 16)) + part[2:]
        except ValueError:
            head += "\\x" + part
    return head


UNITS = {  # systemd.time(7), "Parsing Time Spans"
    "us": 1e-6, "usec": 1e-6, "ms": 1e-3, "msec": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0,
    "hours": 3600.0, "d": 86400.0, "day": 86400.0, "days": 86400.0, "w": 604800.0, "week": 604800.0,
    "weeks": 604800.0, "M": 2629800.0, "month": 2629800.0, "months": 2629800.0, "y": 31557600.0, "year": 31557600.0,
    "years": 31557600.0,
}  # fmt: skip
FOREVER = 1e9
LETTERS = "abcdefghijklmnopqrstuvwxyzM"


def seconds(text: str, default: float) -> float:
    """A time span (`5`, `1min 30s`, `infinity`); *default* when *text* is empty or not one."""
    if text == "infinity":
        return FOREVER
    total = 0.0
    spaced = "".join(
        f" {new}" if new.isdigit() and old.isalpha() else new for old, new in zip(" " + text, text, strict=False)
    )
    words = spaced.split()
    for at, word in reversed(list(enumerate(words))):  # `5 min` is one span, `5min 30` two
        if word.isalpha() and at:
            words[at - 1 : at + 1] = [words[at - 1] + word]
    for word in words:
        number = word.rstrip(LETTERS)
        try:
            total += float(number) * UNITS[word[len(number) :] or "s"]
        except (ValueError, KeyError):
            return default
    return total if text else default

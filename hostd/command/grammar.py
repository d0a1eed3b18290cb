"""Command lines as getopt_long(3) of glibc reads them.  Pure.

Options may stand after positional words; `--opt value`, `--opt=value`, `-o value`, `-ovalue` and glued flags
(`-aHo x`) are equal to their long forms; a unique prefix of a long option is that option; `--` ends the
options. Messages are glibc's, so that scripts which know them keep working.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hostd.errors import Usage


class Option(NamedTuple):
    """A long option, its short letter, and the name under which its value is found (itself, or an alias)."""

    name: str
    short: str = ""
    value: bool = False
    dest: str = ""

    @property
    def target(self) -> str:
        return self.dest or self.name


class Parsed(NamedTuple):
    """`given`: (target, value) in the order of the line, "" as value of a flag."""

    given: tuple[tuple[str, str], ...]
    words: tuple[str, ...]

    def has(self, target: str) -> bool:
        return any(name == target for name, _ in self.given)

    def last(self, target: str) -> str | None:
        return next((value for name, value in reversed(self.given) if name == target), None)

    def all(self, target: str) -> list[str]:
        return [value for name, value in self.given if name == target]


class Grammar:
    def __init__(self, options: Iterable[Option], *, prog: str = "vzctl") -> None:
        options = tuple(options)
        self.prog = prog
        self._long = {option.name: option for option in options if len(option.name) > 1}
        self._short = {option.short: option for option in options if option.short}

    def parse(self, args: Sequence[str]) -> Parsed:
        """Raises Usage with glibc's text."""
        given: list[tuple[str, str]] = []
        words: list[str] = []
        rest = list(reversed(args))
        while rest:
            word = rest.pop()
            if word == "--":
                words += reversed(rest)
                break
            if word.startswith("--"):
                given.append(self._take_long(word[2:], rest))
            elif word.startswith("-") and word != "-":
                given += self._take_short(word[1:], rest)
            else:
                words.append(word)
        return Parsed(tuple(given), tuple(words))

    def _take_long(self, word: str, rest: list[str]) -> tuple[str, str]:
        name, mark, value = word.partition("=")
        option = self._find(name)
        if not option.value:
            if mark:
                raise self._error(f"option '--{option.name}' doesn't allow an argument")
            return option.target, ""
        if not mark:
            if not rest:
                raise self._error(f"option '--{option.name}' requires an argument")
            value = rest.pop()
        return option.target, value

    def _find(self, name: str) -> Option:
        if name in self._long:
            return self._long[name]
        found = [option for option in self._long.values() if option.name.startswith(name)]
        if not found:
            raise self._error(f"unrecognized option '--{name}'")
        if len({(option.target, option.value) for option in found}) > 1:
            choices = " ".join(f"'--{option.name}'" for option in found)
            raise self._error(f"option '--{name}' is ambiguous; possibilities: {choices}")
        return found[0]

    def _take_short(self, letters: str, rest: list[str]) -> Iterable[tuple[str, str]]:
        while letters:
            letter, letters = letters[0], letters[1:]
            option = self._short.get(letter)
            if option is None:
                raise self._error(f"invalid option -- '{letter}'")
            if not option.value:
                yield option.target, ""
                continue
            if not letters and not rest:
                raise self._error(f"option requires an argument -- '{letter}'")
            yield option.target, letters or rest.pop()
            return

    def _error(self, text: str) -> Usage:
        return Usage(f"{self.prog}: {text}")

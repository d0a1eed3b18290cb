"""`vzubc -w`: the same command again and again, by watch(1)."""

import posix

from hostd.cli import place

ITSELF = ("-w", "--watch")
FLAGS = {"-wd": "-d", "-wt": "-t"}
INTERVAL = "-wn"
TAKING = ("-qh", "-qm", "-rd", "-id", "-f", "--file", INTERVAL)  # a word behind them is theirs
NO_COLORS = ("-c", "--color")  # watch(1) shows none: hostd says so


def over(argv: list[str]) -> None:
    """Become watch(1) when *argv* asks for it; returns when it does not, or there is none on this machine."""
    options, rest = split(argv)
    if options is None or any(word in NO_COLORS for word in argv):
        return
    line = ["watch", *options, "--", *map(quoted, (place.program(), *rest))]
    for directory in place.environment("PATH", "/usr/bin:/bin").split(":"):
        try:
            posix.execv(f"{directory}/watch", line)
        except OSError:
            continue


def quoted(word: str) -> str:
    """*word* for sh(1), to which watch(1) gives all its words joined by blanks.  (The program has no shlex.)"""
    plain = word and all(char.isalnum() or char in "-_./:,=@%+" for char in word)
    return word if plain else "'" + word.replace("'", "'\\''") + "'"


def split(argv: list[str]) -> "tuple[list[str] | None, list[str]]":
    """The options of watch(1), None when it is not asked for; and the words that are left."""
    options: list[str] = []
    rest: list[str] = []
    asked = False
    words = iter(argv)
    for word in words:
        value = [next(words, "")] if word in TAKING else []
        if word in ITSELF or word in FLAGS or word == INTERVAL:
            asked = True
            options += [FLAGS[word]] if word in FLAGS else ["-n", *value] if value else []
        else:
            rest += [word, *value]
    return (options if asked else None), rest

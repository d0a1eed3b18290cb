"""Names of units: as objects of D-Bus, and as patterns.  Pure."""

UNITS = "/org/freedesktop/systemd1/unit/"


def path_of(name: str) -> str:
    """The object of the unit *name*: everything but letters and digits is written as _XX."""
    plain = name[:1].isalpha()
    parts = [letter if letter.isascii() and letter.isalnum() else escaped(letter) for letter in name]
    return UNITS + ("" if plain else escaped(name[0]) if name else "_") + "".join(parts[0 if plain else 1 :])


def escaped(letter: str) -> str:
    return "".join(f"_{byte:02x}" for byte in letter.encode())


def name_of(path: str) -> str:
    """The unit whose object *path* is.  Raises ValueError for other objects."""
    if not path.startswith(UNITS):
        raise ValueError(f"no unit: {path}")
    head, *rest = path.removeprefix(UNITS).split("_")
    return head + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in rest).decode()


def matches(name: str, pattern: str) -> bool:
    """As fnmatch(3), but for character classes."""
    head, star, rest = pattern.partition("*")
    if not star:
        return len(name) == len(pattern) and all(want in ("?", have) for want, have in zip(pattern, name, strict=True))
    if not matches(name[: len(head)], head):
        return False
    return any(matches(name[at:], rest) for at in range(len(head), len(name) + 1))

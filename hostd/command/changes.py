"""Settings given on a command line, and what they make of a configuration.  Pure.

Everything is parsed and validated before anything is changed: `read` raises, `Changes` cannot fail any more.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hostd.config import clamped, permits, values
from hostd.config.addresses import Interface, addresses, addresses_text
from hostd.config.settings import BY_OPTION, KEY_ORDER, Effect, Setting
from hostd.config.veconf import VeConf
from hostd.errors import BadValue

_LISTS = ("NAMESERVER", "SEARCHDOMAIN")  # repeated options are one list
_MERGED = ("FEATURES", "CAPABILITY", *permits.READERS)  # what is not named stays as it is


class Changes(NamedTuple):
    """`texts`: new text by key; `passwords` by user.  Addresses are told as edits: all removed, these removed, these
    added.  `clamped`: a line for each value that was more than there can be.
    """

    texts: Mapping[str, str] = {}
    settings: tuple[Setting, ...] = ()
    add: tuple[Interface, ...] = ()
    remove: tuple[Interface, ...] = ()
    remove_all: bool = False
    passwords: Mapping[str, str] = {}
    clamped: tuple[str, ...] = ()

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(row.key for row in self.settings if row.key) | frozenset(self.texts)

    def options(self, effect: Effect) -> list[str]:
        return list(dict.fromkeys(row.option for row in self.settings if row.effect is effect))

    def addresses(self, current: tuple[Interface, ...]) -> tuple[Interface, ...]:
        """*current* after the removals and the additions; an address is the same whatever its prefix."""
        gone = {one.ip for one in self.remove}
        kept = () if self.remove_all else tuple(one for one in current if one.ip not in gone)
        known = {one.ip for one in kept}
        return (*kept, *(one for one in self.add if one.ip not in known))

    def edited(self, conf: VeConf) -> VeConf:
        """A copy of *conf* with the changes."""
        after = conf.copy()
        self.edit(after)
        return after

    def edit(self, conf: VeConf) -> None:
        """Write the changes into *conf*: known keys in their place, new ones in OpenVZ's order."""
        texts = dict(self.texts)
        if "IP_ADDRESS" in self.keys:
            texts["IP_ADDRESS"] = addresses_text(self.addresses(_lenient(conf.get("IP_ADDRESS"))))
        for key in sorted(texts, key=_order):
            text = _merged(key, conf.get(key), texts[key]) if key in _MERGED else texts[key]
            conf.set(key, _stored(key, text))


def read(given: Iterable[tuple[str, str]]) -> Changes:
    """The changes that (option, value) pairs ask for.  BadValue names the first one that cannot be."""
    rows = [(BY_OPTION[option], value) for option, value in given if option in BY_OPTION]
    for row, _ in rows:
        if row.effect is Effect.REFUSED:
            raise BadValue(f"--{row.option} is not supported yet")
    texts: dict[str, str] = {}
    add: tuple[Interface, ...] = ()
    remove: tuple[Interface, ...] = ()
    remove_all, passwords, notes = False, dict[str, str](), []
    for row, value in rows:
        text = _parsed(row, value)
        notes.append(clamped.line(row, value, text))
        match row.option:
            case "ipadd":
                add += addresses(text)
            case "ipdel" if text == "all":
                remove_all = True
            case "ipdel":
                remove += addresses(text)
            case "userpasswd":
                user, _, secret = text.partition(":")
                passwords[user] = secret
            case _ if not row.key:
                pass  # a file: `hostd.command.given`
            case _ if row.key in _LISTS:
                texts[row.key] = _joined(row, f"{texts.get(row.key, '')} {text}")
            case _ if row.key in _MERGED:
                texts[row.key] = _merged(row.key, texts.get(row.key), text)
            case _:
                texts[row.key] = text
    unique = addresses(addresses_text(add))
    settings = tuple(row for row, _ in rows)
    return Changes(texts, settings, unique, remove, remove_all, passwords, tuple(filter(None, notes)))


def _parsed(row: Setting, value: str) -> str:
    try:
        return row.parse(value)
    except ValueError as error:
        raise BadValue(f"Bad parameter for --{row.option}: {_shown(row, value)}", hint=str(error)) from error


def _shown(row: Setting, value: str) -> str:
    """*value* for a message: one line, and never a password."""
    if row.option == "userpasswd":
        return value.partition(":")[0]
    return "".join(char if char.isprintable() else "?" for char in value)


def _joined(row: Setting, text: str) -> str:
    words = list(dict.fromkeys(text.split()))
    return "inherit" if "inherit" in words else " ".join(words)


def _merged(key: str, old: str | None, new: str) -> str:
    if key in permits.READERS:
        return permits.text(_permits(key, old) | permits.READERS[key](new))
    known = values.FEATURES if key == "FEATURES" else values.CAPABILITIES
    before = _switches(old or "", key, known)
    return values.switches_text(before | _switches(new, key, known))


def _stored(key: str, text: str) -> str:
    return permits.stored(key, permits.READERS[key](text)) if key in permits.READERS else text


def _permits(key: str, text: str | None) -> permits.Permits:
    try:
        return permits.READERS[key](text or "")
    except ValueError:
        return {}  # garbage in the file is replaced


def _switches(text: str, key: str, known: frozenset[str]) -> dict[str, bool]:
    try:
        return values.switches(text, upper=key == "CAPABILITY", known=known)
    except ValueError:
        return {}


def _lenient(text: str | None) -> tuple[Interface, ...]:
    """The usable addresses of a file; what is not one is dropped when the list is written anew."""
    found: list[Interface] = []
    for word in (text or "").split():
        try:
            found += addresses(word)
        except ValueError:
            continue
    return tuple(found)


def _order(key: str) -> int:
    return KEY_ORDER.index(key) if key in KEY_ORDER else len(KEY_ORDER)

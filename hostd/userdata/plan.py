"""What a first boot has to do, and the file in which that waits for it."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from shlex import quote
from typing import NamedTuple

from hostd.userdata import sshkeys
from hostd.userdata.sshkeys import PublicKey


class Item(NamedTuple):
    """One thing to do: *what* it is called, and shell text of ours that does it.

    Cut off in the middle it is begun again by the next start, unless that would do something twice: then *once*.
    """

    what: str
    text: str
    once: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """`early` comes before the services, `late` when they are up.  `keys` of root's are put in before everything.

    `start` is the one that carries it out, 0 while it waits, and `late_begun` how far that is.  `id` names this plan:
    nothing that was done for another counts for it.
    """

    early: tuple[Item, ...] = ()
    late: tuple[Item, ...] = ()
    keys: tuple[PublicKey, ...] = ()
    start: int = 0
    late_begun: bool = False
    id: str = field(default_factory=lambda: os.urandom(16).hex())

    @property
    def before_services(self) -> tuple[Item, ...]:
        return (*authorize("root", self.keys), *self.early)

    def with_keys(self, keys: Sequence[PublicKey]) -> "Plan":
        """The same with *keys* as well."""
        return replace(self, keys=tuple(dict.fromkeys((*self.keys, *keys))))

    def dump(self) -> str:
        """The text of the file."""
        items = {name: [(one.what, one.text, one.once) for one in getattr(self, name)] for name in ("early", "late")}
        keys = [one.line for one in self.keys]
        state = {"start": self.start, "late_begun": self.late_begun, "id": self.id}
        return json.dumps({**items, "keys": keys, **state}, indent=1) + "\n"


def load(text: str) -> Plan:
    """What `Plan.dump` made.  ValueError."""
    try:
        raw = json.loads(text)
        early, late = (tuple(Item(*row) for row in raw[name]) for name in ("early", "late"))
        keys = tuple(map(sshkeys.public_key, raw["keys"]))
        return Plan(early, late, keys, int(raw["start"]), bool(raw["late_begun"]), str(raw["id"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"is no plan of a first boot: {error}") from error


def authorize(user: str, keys: Sequence[PublicKey]) -> tuple[Item, ...]:
    """The item that lets *user* in with *keys*; none without keys."""
    text = f"authorize {quote(user)} <<'E'\n{sshkeys.lines(keys)}E"
    return (Item(f"ssh keys of {user}", text),) if keys else ()

"""`#cloud-config`: the part of it that means something in a container, as a plan.

`EARLY` and `LATE` are what is done, in this order; a key that no row reads is unknown, and is told by name.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from shlex import quote

from hostd.config import values
from hostd.userdata import accounts, files
from hostd.userdata.fields import Fields
from hostd.userdata.plan import Item

Reader = Callable[[Fields], Iterable[Item]]
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.:-]*(?:[=/][A-Za-z0-9.+:~-]+)?")


def hostname(fields: Fields) -> str:
    """The name that becomes the setting HOSTNAME: the longer one, of which the shorter is a part.

    /etc/hosts has a line for it in every container, whether `manage_etc_hosts` wants it or not.
    """
    fields.raw("manage_etc_hosts")
    short, full = fields.line("hostname"), fields.line("fqdn")
    name = full or short
    try:
        return values.host_domain(name) if name else ""
    except ValueError as error:
        raise ValueError(f"{'fqdn' if full else 'hostname'}: {error}") from None


def timezone(fields: Fields) -> Iterator[Item]:
    if zone := fields.line("timezone"):
        if not _ZONE.fullmatch(zone):
            raise ValueError(f"timezone is no name of one: {zone!r}")
        yield Item(f"timezone {zone}", f"in_timezone {quote(zone)}")


def packages(fields: Fields) -> Iterator[Item]:
    """A name, or a list of a name and a version."""
    found = []
    for number, one in enumerate(fields.items("packages")):
        name = "=".join(map(str, one)) if isinstance(one, list) else one
        if not isinstance(name, str) or not _PACKAGE.fullmatch(name):
            raise ValueError(f"packages.{number} is no name of a package")
        found.append(name)
    if found:
        yield Item("packages", f"install_packages {' '.join(map(quote, found))}")


def final_message(fields: Fields) -> Iterator[Item]:
    if text := fields.text("final_message").replace("\0", ""):
        yield Item("final message", f"say {quote(text)}")


EARLY: tuple[Reader, ...] = (
    lambda fields: files.commands(fields, "bootcmd"),
    files.early,
    accounts.users,
    accounts.root_keys,
    files.of_users,
    accounts.passwords,
    timezone,
)
LATE: tuple[Reader, ...] = (
    packages,
    lambda fields: files.commands(fields, "runcmd"),
    final_message,
)


def items(readers: Iterable[Reader], fields: Fields) -> tuple[Item, ...]:
    return tuple(item for reader in readers for item in reader(fields))

"""The files that make a started container this one: its name, its resolver, its identity.

They are written from inside, by vzinit, before the start barrier opens: no link in the container's tree can lead
such a write out of it.
"""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from hostd.config.model import CtConfig
from hostd.container.init_link import InitLink
from hostd.kernel.boot import random_uuid
from hostd.net import resolver

OURS = "# vzhost"  # the end of each line of ours in a file that the container's owner edits too
UNINITIALIZED = "uninitialized"  # a machine-id of a template for systemd
LOCALHOST = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
HOSTNAME = "/etc/hostname"
SAID = frozenset(("HOSTNAME", "NAMESERVER", "SEARCHDOMAIN", "IP_ADDRESS"))  # the settings that `files` come from


class File(NamedTuple):
    """A file to be written inside.

    `unless_set` leaves one alone that is neither empty nor says just `placeholder`; with a `mark`, only its lines
    that end so are replaced.
    """

    path: str
    text: str
    mode: int = 0o644
    unless_set: bool = False
    placeholder: str = ""
    mark: str = ""


def hostname(config: CtConfig) -> str:
    """What the container is called inside."""
    return config.hostname or f"ct{config.ctid}"


def files(config: CtConfig) -> tuple[File, ...]:
    """What to write at a start: only what the configuration says, and an identity where the image has none."""
    machine_id = random_uuid().replace("-", "") + "\n"
    wanted = [
        File("/etc/machine-id", machine_id, 0o444, unless_set=True, placeholder=_placeholder(config)),
        File("/etc/hosts", LOCALHOST, unless_set=True),
        File("/etc/hosts", hosts_lines(config), mark=OURS),
    ]
    if config.hostname:
        wanted.append(File(HOSTNAME, config.hostname + "\n"))
    dns = resolver.text(config.nameservers, config.searchdomains)
    if dns is not None:
        wanted.append(File("/etc/resolv.conf", dns))
    return tuple(wanted)


def _placeholder(config: CtConfig) -> str:
    """What systemd takes for the first boot of a machine; then it makes the identity by itself."""
    return UNINITIALIZED if config.init == "vz" else ""


def changed(before: CtConfig, after: CtConfig) -> list[File]:
    """What to write when *after* takes the place of *before* in a running container."""
    old = files(before)
    return [file for file in files(after) if file not in old and not file.unless_set]


def hosts_lines(config: CtConfig) -> str:
    """The container's own name, without which sudo and mail servers complain."""
    full = hostname(config)
    short = full.partition(".")[0]
    names = full if full == short else f"{full} {short}"
    addresses = ["127.0.1.1", *(str(address.ip) for address in config.addresses)]
    return "".join(f"{address} {names} {OURS}\n" for address in addresses)


async def write_all(link: InitLink, wanted: Iterable[File]) -> None:
    """Have vzinit write *wanted*, each by tmp + rename, in this order.  Raises as `InitLink.ask`, for the first."""
    writes = (
        link.ask(
            "write",
            path=file.path,
            mode=f"{file.mode:o}",
            data=file.text,
            unless_set="1" if file.unless_set else None,
            placeholder=file.placeholder or None,
            mark=file.mark or None,
        )
        for file in wanted
    )
    # All are on their way before the first is answered: each answer waited for would be two changes of processes.
    for outcome in await asyncio.gather(*writes, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome

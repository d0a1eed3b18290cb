"""The files that make a started container this one: its name, its resolver, its identity.

They are written from inside, by vzinit, before the start barrier opens: no link in the container's tree can lead
such a write out of it.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from hostd.config.model import CtConfig
from hostd.container.init_link import InitLink
from hostd.net import resolver

HOSTS_MARK = "# managed by vzhost"


@dataclass(frozen=True)
class File:
    """A file to be written inside.  `unless_set` leaves a non-empty one alone."""

    path: str
    text: str
    mode: int = 0o644
    unless_set: bool = False


def files(config: CtConfig) -> tuple[File, ...]:
    """What to write at a start: only what the configuration says, and an identity where the image has none."""
    wanted = [File("/etc/machine-id", uuid.uuid4().hex + "\n", 0o444, unless_set=True)]
    if config.hostname:
        wanted += hostname_files(config)
    dns = resolver.text(config.nameservers, config.searchdomains)
    if dns is not None:
        wanted.append(File("/etc/resolv.conf", dns))
    return tuple(wanted)


def hostname_files(config: CtConfig) -> list[File]:
    """/etc/hostname and /etc/hosts for a container that has a HOSTNAME."""
    full = config.hostname
    short = full.partition(".")[0]
    names = full if full == short else f"{full} {short}"
    lines = [
        HOSTS_MARK,
        "127.0.0.1 localhost",
        "::1 localhost ip6-localhost ip6-loopback",
        f"127.0.1.1 {names}",
    ]
    lines += [f"{address.ip} {names}" for address in config.addresses]
    return [File("/etc/hostname", full + "\n"), File("/etc/hosts", "\n".join(lines) + "\n")]


async def write_all(link: InitLink, wanted: Iterable[File]) -> None:
    """Have vzinit write *wanted*, each by tmp + rename."""
    for file in wanted:
        await link.ask(
            "write",
            path=file.path,
            mode=f"{file.mode:o}",
            data=file.text,
            unless_set="1" if file.unless_set else None,
        )

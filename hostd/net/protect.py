"""What the host's network namespace needs once, before the first container: forwarding, anti-spoofing,
optional NAT.
"""

import asyncio
import os
import shutil
import subprocess

from hostd.errors import Exit, Failure
from hostd.log import log
from hostd.net import firewall, plumbing

_SYSCTL = "/proc/sys/net"
_SBIN = "/usr/sbin:/sbin:/usr/local/sbin"


async def install(*, nat: bool = False) -> None:
    """Forward IPv4 and IPv6 and drop what a container sends with a source address that is not its own.

    Idempotent and atomic: the rules are replaced in one transaction.  *nat*: let containers reach the outside
    with the host's address.  Raises Failure when this machine cannot protect itself: no nft, or a kernel
    without fib rules.
    """
    await asyncio.to_thread(_install, nat)


async def remove() -> bool:
    """Take the rules away (forwarding stays: others may use it).  False, and nothing done, while host ends
    exist.
    """
    return await asyncio.to_thread(_remove)


async def installed() -> bool:
    """Are the rules there?  An administrator's `flush ruleset` takes them as well."""
    listing = await asyncio.to_thread(_nft, ["list", "chain", "inet", firewall.TABLE, "spoofing"], "")
    return listing.returncode == 0 and "fib saddr" in listing.stdout


def _install(nat: bool) -> None:
    _apply(firewall.rules(nat=nat))
    forward()


def _remove() -> bool:
    if plumbing.host_ends():
        return False
    _apply(firewall.removal())
    return True


def forward() -> None:
    """Switch forwarding on in this thread's network namespace.

    A forwarding host ignores router advertisements, which may be where its own default route comes from:
    devices that accept them (accept_ra 1) are told to go on (2) first.  Not the template of future devices: a
    container shall not advertise routes to its host.
    """
    _write("ipv4/ip_forward", "1")
    if not os.path.isdir(f"{_SYSCTL}/ipv6/conf/all") or _read("ipv6/conf/all/forwarding") == "1":
        return
    for device in os.listdir(f"{_SYSCTL}/ipv6/conf"):
        if device not in ("all", "default") and _read(f"ipv6/conf/{device}/accept_ra") == "1":
            _write(f"ipv6/conf/{device}/accept_ra", "2")
    _write("ipv6/conf/all/forwarding", "1")


def _apply(text: str) -> None:
    done = _nft(["-f", "-"], text)
    if done.returncode:
        first = next(iter(done.stderr.splitlines()), "no reason given")
        raise Failure(Exit.SYSTEM, f"cannot protect the network from containers: nft: {first}")


def _nft(arguments: list[str], text: str) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("nft", path=os.environ.get("PATH", "") + ":" + _SBIN)
    if program is None:
        raise Failure(
            Exit.SYSTEM,
            "nft is missing: without it containers could use foreign addresses",
            hint="install nftables",
        )
    done = subprocess.run([program, *arguments], input=text, capture_output=True, text=True, check=False)
    log.debug("nft %s: %d", " ".join(arguments), done.returncode)
    return done


def _read(name: str) -> str:
    try:
        with open(f"{_SYSCTL}/{name}", encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:  # the device went away
        return ""


def _write(name: str, value: str) -> None:
    if _read(name) == value:  # a read-only /proc/sys that says it already is as good
        return
    try:
        with open(f"{_SYSCTL}/{name}", "w", encoding="ascii") as file:
            file.write(value)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise Failure(Exit.SYSTEM, f"cannot set net/{name} to {value}: {error.strerror}") from error

"""Files of the host that a command line names: read before anything is done, and refused by name and line."""

import asyncio
import os
import stat

from hostd.command.call import Call
from hostd.errors import BadValue
from hostd.kernel.fd import Fd
from hostd.userdata import reader, sshkeys
from hostd.userdata.reader import UserData
from hostd.userdata.sshkeys import PublicKey

LONGEST = 1 << 20  # bytes


def ssh_keys(call: Call) -> tuple[PublicKey, ...]:
    """The public keys of every --sshkey.  Raises BadValue."""
    found: dict[str, PublicKey] = {}
    for path in call.parsed.all("sshkey"):
        try:
            found |= {one.key: one for one in sshkeys.read(text(call, "sshkey", path))}
        except ValueError as error:
            raise BadValue(f"Bad parameter for --sshkey: {path}: {error}") from error
    return tuple(found.values())


async def user_data(call: Call) -> UserData | None:
    """What --userdata asks for; keys of it that nothing is done about are told.  Raises BadValue."""
    path = call.parsed.last("userdata")
    if path is None:
        return None
    try:
        found = await asyncio.to_thread(reader.read, text(call, "userdata", path))
    except ValueError as error:
        raise BadValue(f"Bad parameter for --userdata: {path}: {error}") from error
    if found.unknown:
        call.console.say(f"Warning: {path}: nothing is done about {', '.join(found.unknown)}")
    return found


def with_hostname(call: Call, data: UserData | None) -> list[tuple[str, str]]:
    """The options of the line, and the host name of the user data unless they have one."""
    given = list(call.parsed.given)
    if data is None or not data.hostname or call.parsed.has("hostname"):
        return given
    return [*given, ("hostname", data.hostname)]


def text(call: Call, option: str, path: str) -> str:
    """What is in the file *path* that *option* names.  Raises BadValue."""
    try:
        return _read(call.host_path(path))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise BadValue(f"Bad parameter for --{option}: {path}: {why}") from error


def _read(path: str) -> str:
    """Nothing that could keep the daemon waiting or fill its memory is read.  OSError, ValueError."""
    with Fd.open(path, os.O_RDONLY | os.O_NONBLOCK) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is no regular file")
        if status.st_size > LONGEST:
            raise ValueError(f"is longer than {LONGEST >> 10} KiB")
        with open(file.fileno(), "rb", closefd=False) as stream:
            return stream.read(LONGEST).decode("utf-8", "surrogateescape")

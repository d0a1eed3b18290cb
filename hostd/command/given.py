"""Files of the host that a command line names: read before anything is done, and refused by name and line."""

import os
import stat

from hostd.command.call import Call
from hostd.errors import BadValue
from hostd.kernel.fd import Fd
from hostd.userdata import sshkeys
from hostd.userdata.plan import Plan
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


def plan(call: Call) -> Plan | None:
    """What the first boot has to do because of --sshkey.  Raises BadValue."""
    keys = ssh_keys(call)
    return Plan(keys=keys) if keys else None


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

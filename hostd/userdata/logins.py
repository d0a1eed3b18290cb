"""What lets people into a container, and of which no file of the host knows."""

from collections.abc import Mapping
from typing import NamedTuple

from hostd.userdata.sshkeys import PublicKey


class Logins(NamedTuple):
    """*passwords* by user; *keys* with which root may log in."""

    passwords: Mapping[str, str] = {}
    keys: tuple[PublicKey, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.passwords or self.keys)

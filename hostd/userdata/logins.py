"""What lets people into a container, and of which no file of the host knows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hostd.userdata.sshkeys import PublicKey


@dataclass(frozen=True, slots=True)
class Logins:
    """*passwords* by user; *keys* with which root may log in."""

    passwords: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[PublicKey, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.passwords or self.keys)

"""What makes a fresh copy of a template a machine of its own, as data.

An image carries no identity.  Files are written by vzinit at a start; what only a program of the image can
make is run at the first boot, before services are started.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FirstBoot:
    """Run *argv* inside when *program* is there and *missing* is not."""

    what: str
    missing: str
    program: str
    argv: tuple[str, ...]


# Debian's own way (the package's install script, or a unit that wants systemd's first boot) does not happen
# in a container that was copied from an image, and sshd does not start without host keys.
FIRST_BOOT: tuple[FirstBoot, ...] = (
    FirstBoot(
        "ssh host keys",
        "/etc/ssh/ssh_host_ed25519_key",
        "/usr/bin/ssh-keygen",
        ("/usr/bin/ssh-keygen", "-A"),
    ),
)

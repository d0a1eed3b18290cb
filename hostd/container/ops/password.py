"""userpasswd: set passwords with the container's own tools; an unknown user is created."""

from collections.abc import Mapping

from hostd.container.container import Container
from hostd.container.ops import tool
from hostd.userdata import shell

# Written for any Bourne shell; the password comes on stdin so that no process list shows it.
SCRIPT = f"""{shell.BECAUSE}
{shell.ACCOUNT}{shell.USERS}
for user; do
    make_user "$user" || exit 1
done
chpasswd
"""


async def change(ct: Container, passwords: Mapping[str, str]) -> None:
    """Set *passwords*, by user.  Raises Failure(74)."""
    lines = "".join(f"{user}:{secret}\n" for user, secret in passwords.items())
    await tool.run(ct, SCRIPT, passwords, lines, failing="Password change failed")

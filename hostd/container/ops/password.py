"""userpasswd: set passwords with the container's own tools; an unknown user is created."""

from collections.abc import Mapping

from hostd.container.container import Container
from hostd.container.ops import tool

# Written for any Bourne shell; the password comes on stdin so that no process list shows it.
SCRIPT = """
for user; do
    grep -q "^$user:" /etc/passwd && continue
    if command -v useradd >/dev/null 2>&1; then useradd -m "$user"; else adduser -D "$user"; fi || exit 1
done
chpasswd
"""


async def change(ct: Container, passwords: Mapping[str, str]) -> None:
    """Set *passwords*, by user.  Raises Failure(74)."""
    lines = "".join(f"{user}:{secret}\n" for user, secret in passwords.items())
    await tool.run(ct, SCRIPT, passwords, lines, failing="Password change failed")

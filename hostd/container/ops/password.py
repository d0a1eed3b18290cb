"""userpasswd: set a user's password with the container's own tools; an unknown user is created."""

from hostd.container.container import Container
from hostd.container.ops import sessions
from hostd.errors import Exit, Failure
from hostd.log import printable

# Written for any Bourne shell; the password comes on stdin so that no process list shows it.
SCRIPT = """
user=$1
if ! grep -q "^$user:" /etc/passwd; then
    if command -v useradd >/dev/null 2>&1; then useradd -m "$user"; else adduser -D "$user"; fi || exit 1
fi
chpasswd
"""


async def change(ct: Container, user: str, secret: str) -> None:
    """Set *user*'s password to *secret*.  Raises Failure(74)."""
    code, output = await sessions.capture(
        ct, ["/bin/sh", "-c", SCRIPT, "sh", user], f"{user}:{secret}\n".encode()
    )
    if code:
        reason = output.decode("utf-8", "replace").strip().splitlines()
        raise Failure(Exit.CHANGEPASS, f"Password change failed: {printable(reason[-1]) if reason else f'code {code}'}")

"""userpasswd: set a user's password with the container's own tools; an unknown user is created."""

from hostd.container import numproc
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
    refused = numproc.refusals(ct)
    argv = ["/bin/sh", "-c", SCRIPT, "sh", user]
    try:
        code, output = await sessions.capture(ct, argv, f"{user}:{secret}\n".encode())
    except Failure as failure:
        raise _failed(failure.message, failure.hint) from failure
    if code:
        lines = output.decode("utf-8", "replace").strip().splitlines()
        hint = f"numproc is reached: {numproc.remedy(ct.ctid)}" if numproc.refusals(ct) > refused else ""
        raise _failed(printable(lines[-1]) if lines else f"code {code}", hint)


def _failed(reason: str, hint: str) -> Failure:
    return Failure(Exit.CHANGEPASS, f"Password change failed: {reason}", hint=hint)

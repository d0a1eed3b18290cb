"""userpasswd: set passwords with the container's own tools; an unknown user is created."""

from collections.abc import Mapping

from hostd.container import numproc
from hostd.container.container import Container
from hostd.container.ops import sessions
from hostd.errors import Exit, Failure
from hostd.log import printable

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
    refused = numproc.refusals(ct)
    argv = ["/bin/sh", "-c", SCRIPT, "sh", *passwords]
    lines = "".join(f"{user}:{secret}\n" for user, secret in passwords.items())
    try:
        code, output = await sessions.capture(ct, argv, lines.encode())
    except Failure as failure:
        raise _failed(failure.message, failure.hint) from failure
    if code:
        said = output.decode("utf-8", "replace").strip().splitlines()
        hint = f"numproc is reached: {numproc.remedy(ct.ctid)}" if numproc.refusals(ct) > refused else ""
        raise _failed(printable(said[-1]) if said else f"code {code}", hint)


def _failed(reason: str, hint: str) -> Failure:
    return Failure(Exit.CHANGEPASS, f"Password change failed: {reason}", hint=hint)

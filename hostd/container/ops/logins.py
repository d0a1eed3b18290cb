"""userpasswd and sshkey: who may log in.  Nobody knows the old password, so nothing can be taken back."""

from hostd.container.container import Container
from hostd.container.ops import keys, password
from hostd.errors import Failure
from hostd.userdata.logins import Logins


async def change(ct: Container, logins: Logins) -> None:
    """Raises Failure(74).  Keys come first: one more of them locks nobody out."""
    if logins.keys:
        await keys.add(ct, logins.keys)
    if not logins.passwords:
        return
    try:
        await password.change(ct, logins.passwords)
    except Failure as failure:
        if logins.keys:
            failure.message += "; the keys were added"
        raise

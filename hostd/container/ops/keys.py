"""sshkey: public keys with which root may log in, beside those that are there."""

from collections.abc import Sequence

from hostd.container.container import Container
from hostd.container.ops import tool
from hostd.userdata import shell, sshkeys
from hostd.userdata.sshkeys import PublicKey

SCRIPT = f"{shell.BECAUSE}\n{shell.AUTHORIZE}\nauthorize root"


async def add(ct: Container, keys: Sequence[PublicKey]) -> None:
    """Add *keys*; one that is there already stays as it is.  Raises Failure(74)."""
    await tool.run(ct, SCRIPT, (), sshkeys.lines(keys), failing="Keys were not added")

"""When the services of a container are up."""

import asyncio

from hostd.container.container import Container
from hostd.errors import Exit, Failure

TIMEOUT = 300.0  # seconds


async def up(ct: Container) -> None:
    """Wait until every service was started.  Raises Failure(133) when that does not happen."""
    try:
        async with asyncio.timeout(TIMEOUT):
            up, end = asyncio.ensure_future(ct.services_up()), asyncio.ensure_future(ct.ended())
            try:
                await asyncio.wait({up, end}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                up.cancel()
                end.cancel()
    except TimeoutError:
        raise Failure(Exit.WAIT_FAILED, f"services were not up after {TIMEOUT:g} s") from None
    if not ct.running:
        raise Failure(Exit.WAIT_FAILED, "the container stopped before its services were up")

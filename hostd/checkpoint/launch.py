"""Start the helper process and wait for what it leaves."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence

from hostd.checkpoint import images_dir
from hostd.checkpoint.images_dir import Result
from hostd.checkpoint.job import DumpJob, Job, encode
from hostd.kernel.fd import Fd
from hostd.log import log

# -ISE: nothing of the environment or the machine's site decides what is imported; the paths are the daemon's.
BOOT = "import sys; sys.path[:] = sys.argv[1:-1]; from hostd.checkpoint.stage import main; main()"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


async def run(job: Job, fds: Sequence[int]) -> Result | None:
    """The result of *job* (descriptors: *fds*); None when the helper was killed, and CRIU may go on then.

    The work is not interruptible: a cancelled caller waits for the end all the same, then is cancelled.
    """
    directory = images_dir.part(job.path) if isinstance(job, DumpJob) else job.path
    working = asyncio.ensure_future(_run(job, directory, fds))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise


async def _run(job: Job, directory: str, fds: Sequence[int]) -> Result | None:
    path = f"{directory}/{images_dir.STAGE_LOG}"
    with Fd.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) as output:
        helper = await asyncio.create_subprocess_exec(
            sys.executable, "-ISE", "-c", BOOT, *sys.path, encode(job),
            stdin=subprocess.DEVNULL, stdout=output.fileno(), stderr=output.fileno(),
            pass_fds=fds, env=ENVIRONMENT, cwd="/", start_new_session=True,
        )  # fmt: skip
    status = await helper.wait()
    for place in (directory, job.path):  # a dump that succeeded has been renamed
        result = images_dir.read_result(place)
        if result is not None and result.action == job.action:
            return result
    log.warning("%s: the helper ended with status %d and left no result", job.action, status)
    return None

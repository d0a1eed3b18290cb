"""Action scripts of the administrator, beside the configuration: `vps.ACTION` for all containers, or `CTID.ACTION`.

    premount, mount       on the host, before and after VE_ROOT is mounted     vps.* first
    umount, postumount    on the host, before and after it is unmounted        the container's own first
    create                on the host, after a create                          vps.create only
    start, stop           in the container, before its services and at an orderly stop

Beside them are the scripts for a distribution (`hostd.config.dists`), which run in the container.

A script that fails is error 79.  One that mounts ends the start, and all is undone; one that unmounts is told and the
operation goes on, because what is half down cannot stay.  The record notes which of the first line have begun, so that
the undo runs their counterparts, after a crash of hostd as well: a script may run twice then.
"""

import asyncio
import errno
import logging
import os
import signal
from collections.abc import Mapping

from hostd.config import dists, files
from hostd.config.paths import Paths
from hostd.container.container import Container
from hostd.container.ops import inside, sessions
from hostd.container.output import Lines
from hostd.container.report import Report
from hostd.container.run import Run
from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.log import detail, log

GLOBAL = "vps"
# All that a script on the host gets, beside VEID and VE_CONFFILE.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/",
    "TERM": "linux",
}


# --- steps of a start -------------------------------------------------------------------------------------------


async def premount(run: Run) -> None:
    await _begin(run, "premount")


async def postumount(run: Run) -> None:
    await _end(run, "premount", "postumount")


async def mount(run: Run) -> None:
    await _begin(run, "mount")


async def umount(run: Run) -> None:
    await _end(run, "mount", "umount")


async def _begin(run: Run, action: str) -> None:
    paths, ctid = run.world.paths, run.ct.ctid
    run.record.scripts.append(action)
    found = _found(paths, action, GLOBAL, ctid)
    if found:
        run.save()
    for path in found:
        await _on_host(paths, ctid, path, run.report)


async def _end(run: Run, begun: str, action: str) -> None:
    """Run what takes *begun* back, if that has begun.  Failures go to `run.failures`; then it counts as not done."""
    paths, ctid = run.world.paths, run.ct.ctid
    if begun not in run.record.scripts:
        return
    failures = []
    for path in _found(paths, action, ctid, GLOBAL):
        try:
            await _on_host(paths, ctid, path, run.report)
        except Failure as failure:
            failures.append(failure)
        except asyncio.CancelledError:  # the user will not wait for this script; what is half down still goes down
            failures.append(Failure(Exit.ACTIONSCRIPT, f"{path} was interrupted"))
    for failed in failures:
        log.warning("%s", failed.message)
    if failures:
        run.failures += failures
    else:
        run.record.scripts.remove(begun)


def mounting(paths: Paths, ctid: int) -> bool:
    """There is a script that may have mounted something below VE_ROOT."""
    return bool(_found(paths, "premount", GLOBAL, ctid) or _found(paths, "mount", GLOBAL, ctid))


# --- the others -------------------------------------------------------------------------------------------------


async def created(paths: Paths, ctid: int, report: Report) -> None:
    """vps.create.  Unlike the others it is left out when it is not executable.  Raises Failure(79)."""
    for path in _found(paths, "create", GLOBAL):
        if os.access(path, os.X_OK):
            await _on_host(paths, ctid, path, report)


def inner(paths: Paths, ctid: int, action: str) -> str | None:
    """Path of the script to run in the container at its `start` or `stop`, None when there is none."""
    return next(iter(_found(paths, action, ctid)), None)


async def run_inside(
    ct: Container, path: str, report: Report, variables: Mapping[str, str] | None = None
) -> None:
    """Run the file *path* of the host in the container; with *variables* it is a distribution's, and takes its time.

    Raises Failure(79).
    """
    of_a_distribution = variables is not None
    patience = None if of_a_distribution else sessions.OF_SCRIPT
    environment = {**sessions.ENVIRONMENT, **(variables or {})}
    try:
        text = dists.text(path) if of_a_distribution else files.read(path)
        with Lines(report) as output, Fd.open("/dev/null", os.O_RDONLY) as null:
            stdio = (null.fileno(), output.writer.fileno(), output.writer.fileno())
            async with inside.brought_in(ct, text, shell=of_a_distribution) as candidates:
                code = await sessions.run_first(ct, candidates, stdio, environment, patience)
    except OSError as error:
        raise Failure(Exit.ACTIONSCRIPT, f"{path} cannot be run in the container: {error.strerror}") from error
    except Failure as failure:
        if failure.exit_code != Exit.EXEC_TIMEOUT:
            raise
        raise Failure(Exit.ACTIONSCRIPT, f"{path} failed in the container: {failure.message}") from failure
    if code:
        raise Failure(Exit.ACTIONSCRIPT, f"{path} failed in the container: {_reason(code)}")


# --- running ----------------------------------------------------------------------------------------------------


def _found(paths: Paths, action: str, *owners: int | str) -> list[str]:
    candidates = (f"{paths.conf_dir}/{owner}.{action}" for owner in owners)
    return [path for path in candidates if os.path.exists(path)]


async def _on_host(paths: Paths, ctid: int, path: str, report: Report) -> None:
    """Run *path*, its output as progress; a cancelled one is killed with all it started.  Raises Failure(79)."""
    if not os.access(path, os.X_OK):
        raise Failure(Exit.ACTIONSCRIPT, f"{path} is not executable", hint="chmod +x it, or remove it")
    environment = {"VEID": str(ctid), "VE_CONFFILE": paths.ct_conf(ctid), **ENVIRONMENT}
    detail(f"running {path}", level=logging.INFO)
    with Lines(report) as output:
        code = await _wait(await _spawn(path, output.writer, environment))
    if code:
        raise Failure(Exit.ACTIONSCRIPT, f"{path} failed: {_reason(code)}")


async def _spawn(path: str, output: Fd, environment: dict[str, str]) -> asyncio.subprocess.Process:
    async def spawn(*argv: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=output.fileno(), stderr=output.fileno(),
            env=environment, cwd="/", start_new_session=True,
        )  # fmt: skip

    try:
        return await spawn(path)
    except OSError as error:
        if error.errno == errno.ENOEXEC:  # no #! line
            return await spawn("/bin/sh", path)
        raise Failure(Exit.ACTIONSCRIPT, f"{path} cannot be run: {error.strerror}") from error


async def _wait(process: asyncio.subprocess.Process) -> int:
    try:
        return await process.wait()
    except asyncio.CancelledError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise


def _reason(code: int) -> str:
    """Of an exit status: negative or above 128 for a signal."""
    number = -code if code < 0 else code - 128
    return f"killed by signal {number}" if number > 0 else f"exit code {code}"

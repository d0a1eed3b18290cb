"""Run CRIU from the helper: its arguments, its hook before the tasks resume, and its reason when it fails."""

import os
import select
import subprocess
from collections.abc import Callable, Sequence

from hostd.checkpoint import log_text
from hostd.checkpoint.private import RUN, join

IMAGES = f"{RUN}/images"
GHOST_LIMIT = 64 << 20  # bytes of an unlinked but open file that go into the image; CRIU's default is 1 MiB

# Without our own handling CRIU would recreate cgroups (and mount all of the host's below the images to do
# so).
COMMON = (
    "-D", IMAGES, "-v1", "--tcp-established", "--file-locks", "--link-remap", "--manage-cgroups=ignore",
    "--network-lock", "nftables",
)  # fmt: skip

HOOK, ASK, ANSWER = f"{RUN}/hook", f"{RUN}/ask", f"{RUN}/answer"
# CRIU runs it at every stage; only before the tasks resume it hands PID 1's number over and waits.
HOOK_TEXT = f"""#!/bin/sh
[ "$CRTOOLS_SCRIPT_ACTION" = pre-resume ] || exit 0
echo "$CRTOOLS_INIT_PID" >{ASK} && read -r answer <{ANSWER} && [ "$answer" = ok ]
"""


class CriuFailed(Exception):
    """The message is the reason, from CRIU's log."""


def dump(criu: Sequence[str], arguments: Sequence[str], inherited: Sequence[int] = ()) -> None:
    """`criu dump`.  Raises CriuFailed; the container goes on then."""
    log = f"{IMAGES}/dump.log"
    command = [*criu, "dump", "-o", "dump.log", *COMMON, "--ghost-limit", str(GHOST_LIMIT), *arguments]
    _check("criu dump", subprocess.run(command, pass_fds=inherited, stdin=subprocess.DEVNULL).returncode, log)


def restore(
    criu: Sequence[str],
    arguments: Sequence[str],
    cgroups: list[int],
    inherited: Sequence[int],
    before_resume: Callable[[int], None] | None,
) -> int:
    """`criu restore`, started in the container's cgroups: PID 1's number.  Raises CriuFailed.

    *before_resume* is called with that number while all tasks are restored but still stopped.
    """
    command = [*criu, "restore", "-o", "restore.log", *COMMON]
    command += ["--restore-detached", "--pidfile", f"{IMAGES}/pid"]
    if before_resume:
        _make_hook()
        command += ["--action-script", HOOK]
    child = subprocess.Popen(
        [*command, *arguments],
        pass_fds=inherited,
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: join(cgroups),  # this process has one thread
    )
    if before_resume:
        _serve(child, before_resume)
    _check("criu restore", child.wait(), f"{IMAGES}/restore.log")
    with open(f"{IMAGES}/pid", encoding="ascii") as file:
        return int(file.read())


def _make_hook() -> None:
    os.mkfifo(ASK)
    os.mkfifo(ANSWER)
    with open(HOOK, "w", encoding="ascii") as file:
        file.write(HOOK_TEXT)
    os.chmod(HOOK, 0o700)


def _serve(child: "subprocess.Popen[bytes]", work: Callable[[int], None]) -> None:
    """Answer the hook once, or see the child end."""
    ask, answer = os.open(ASK, os.O_RDWR), os.open(ANSWER, os.O_RDWR)  # read-write: opening never waits
    ended = os.pidfd_open(child.pid)
    try:
        poll = select.poll()
        poll.register(ask, select.POLLIN)
        poll.register(ended, select.POLLIN)
        while True:
            ready = {number for number, _ in poll.poll()}
            if ask in ready:
                work(int(os.read(ask, 32)))
                os.write(answer, b"ok\n")
                return
            if ended in ready:
                return
    finally:
        for number in (ask, answer, ended):
            os.close(number)


def _check(what: str, status: int, log: str) -> None:
    if status == 0:
        return
    reason = log_text.reason(log_text.read(log))
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    raise CriuFailed(reason or f"{what} {how} and gave no reason")

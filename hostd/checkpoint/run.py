"""Run CRIU: its arguments, its hook before the tasks resume, and its reason when it fails."""

import os
import select
from collections.abc import Callable, Mapping, Sequence

from hostd.checkpoint import images_dir, log_text, netfilter
from hostd.checkpoint.private import RUN
from hostd.kernel.fd import Fd
from hostd.kernel.process import Process
from hostd.kernel.spawn import Program, start

IMAGES = f"{RUN}/images"
OUTPUT = f"{RUN}/output"  # what CRIU says before it has its log
GHOST_LIMIT = 64 << 20  # bytes of an unlinked but open file that go into the image; CRIU's default is 1 MiB

# Without our own handling CRIU would recreate cgroups (and mount all of the host's below the images to do
# so).
COMMON = (
    "-D", IMAGES, "-v1", "--tcp-established", "--file-locks", "--link-remap", "--manage-cgroups=ignore",
    "--network-lock", "nftables",
)  # fmt: skip
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    # CRIU's switch for "no hardware breakpoints": each restore would make the kernel's first perf event, and wait
    # for two grace periods (10 to 25 ms), where stopping at system calls costs next to nothing.
    "CRIU_FAULT": "130",
}

# CRIU writes the scores of what it restores where they are not 0, and hostd's own is one that the OOM killer spares.
# Not before the exec: the child shares hostd's memory up to there, and who shares memory has one score.
UNSPARED = ("/bin/sh", "-c", 'echo 0 >/proc/self/oom_score_adj; exec "$@"', "sh")

LOCK, CHANNEL, ASK, ANSWER = 3, 4, 5, 6  # descriptors in CRIU
HOOK = f"{RUN}/hook"
# Of CRIU's stages: a dump's, and two of a restore.
ALL_STOPPED, NAMESPACES_MADE, BEFORE_RESUME = "network-lock", "post-setup-namespaces", "pre-resume"
ALL_SAVED = "post-dump"  # of a dump, the last before the tasks end
# CRIU runs it at every stage, without its own descriptors; at some it asks us, and waits.  When hostd is gone, or could
# not do its part, there is no answer: a dump is given up and the container goes on; a restore ends before any task
# runs, by the death of PID 1 and of CRIU, which would resume all the same, and waits for ever for who is dead.
# From ALL_STOPPED on a dump needs no hostd: what could not be loaded again the hook finds by itself.
HOOK_TEXT = f"""#!/bin/sh
case $CRTOOLS_SCRIPT_ACTION in
    {ALL_STOPPED}|{NAMESPACES_MADE}|{BEFORE_RESUME}) ;;
    {ALL_SAVED})
        grep -Eqs '{netfilter.UNLOADABLE}' {IMAGES}/{netfilter.FILES} || exit 0
        : >{IMAGES}/{images_dir.REFUSED}
        exit 1 ;;
    *) exit 0 ;;
esac
echo $CRTOOLS_SCRIPT_ACTION >/proc/$PPID/fd/{ASK} && read -r answer </proc/$PPID/fd/{ANSWER} && exit 0
[ $CRTOOLS_SCRIPT_ACTION = {BEFORE_RESUME} ] && kill -9 $CRTOOLS_INIT_PID $PPID
exit 1
"""


class CriuFailed(Exception):
    """The message is the reason, from CRIU's log.  *damaged*: the images are not what was written."""

    def __init__(self, reason: str, *, damaged: bool = False) -> None:
        super().__init__(reason)
        self.damaged = damaged


def dump(criu: Sequence[str], arguments: Sequence[str], lock: Fd, at_stage: Callable[[str], None]) -> None:
    """`criu dump`.  Raises CriuFailed, or what *at_stage* raises; the container goes on then.

    *at_stage* is called at ALL_STOPPED, when no task of the container runs any more.
    """
    command = [*criu, "dump", "-o", "dump.log", *COMMON, "--ghost-limit", str(GHOST_LIMIT), *arguments]
    _check("criu dump", _with_hook(command, {LOCK: lock}, (), None, at_stage), f"{IMAGES}/dump.log")


def restore(
    criu: Sequence[str],
    arguments: Sequence[str],
    fds: Mapping[int, Fd],
    join: tuple[Fd, ...],
    into: Fd | None,
    at_stage: Callable[[str], None] | None,
) -> int:
    """`criu restore`, born in the container's cgroups: PID 1's number.  Raises CriuFailed.

    *at_stage* is called at NAMESPACES_MADE, when there is but CRIU and a PID 1 to be, and at BEFORE_RESUME, while all
    tasks are restored but still stopped.
    """
    command = [*UNSPARED, *criu, "restore", "-o", "restore.log", *COMMON]
    command += ["--restore-detached", "--pidfile", f"{IMAGES}/pid", *arguments]
    hooked = at_stage and _with_hook(command, fds, join, into, at_stage)
    status = _wait(_start(command, fds, join, into)) if hooked is None else hooked
    _check("criu restore", status, f"{IMAGES}/restore.log")
    with open(f"{IMAGES}/pid", encoding="ascii") as file:
        return int(file.read())


def _start(
    command: Sequence[str], fds: Mapping[int, Fd], join: tuple[Fd, ...] = (), into: Fd | None = None
) -> Process:
    with Fd.open(OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) as output:
        return start(Program(tuple(command), ENVIRONMENT, {1: output, 2: output, **fds}, join, into))


def _wait(child: Process) -> int:
    """Exit code, or minus the signal."""
    with child.pidfd:
        end = os.waitid(os.P_PIDFD, child.fileno(), os.WEXITED)
        assert end is not None
        return end.si_status if end.si_code == os.CLD_EXITED else -end.si_status


def _with_hook(
    command: Sequence[str], fds: Mapping[int, Fd], join: tuple[Fd, ...], into: Fd | None, work: Callable[[str], None]
) -> int:
    with open(HOOK, "w", encoding="ascii") as file:
        file.write(HOOK_TEXT)
    os.chmod(HOOK, 0o700)
    (asked, ask), (answer, answered) = ([Fd(end, "hook") for end in os.pipe()] for _ in range(2))
    with asked, answered:
        with ask, answer:
            child = _start([*command, "--action-script", HOOK], {**fds, ASK: ask, ANSWER: answer}, join, into)
        poll = select.poll()
        for end in (asked, child):
            poll.register(end.fileno(), select.POLLIN)
        try:
            while dict(poll.poll()).get(asked.fileno()) == select.POLLIN:
                work(os.read(asked.fileno(), 100).decode().strip())
                os.write(answered.fileno(), b"go\n")
        finally:
            answered.close()
            status = _wait(child)
        return status


def _check(what: str, status: int, log: str) -> None:
    if status == 0:
        return
    said, output = log_text.read(log), log_text.read(OUTPUT)
    reason = log_text.reason(said) or log_text.reason(output) or "".join(output.splitlines()[-1:])
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    raise CriuFailed(reason or f"{what} {how} and gave no reason", damaged=log_text.damaged(said))

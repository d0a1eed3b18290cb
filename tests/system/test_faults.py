"""kill -9 of hostd at every fault point of every operation: consistent, nothing leaked, nothing lost.

The points are asked of the product: the operation runs once with VZ_FAULT_TRACE, then once more per point
with VZ_FAULT.  A neighbour (CT 102) runs through all of it and must never notice.
"""

import glob
import io
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hostd.config import files
from tests.harness import leaks, machine, thinned
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS

pytestmark = [pytest.mark.system, pytest.mark.slow]

RUNNING = "exist mounted running"
MOUNTED = "exist mounted down"
DOWN = "exist unmounted down"
SUSPENDED = "exist unmounted down suspended"
GONE = "deleted unmounted down"
# Names end like this only while something is done.
HALF = (".tmp", ".new", ".part", ".old", ".gone", ".creating", ".destroying")
VICTIMS = ("daemon", "keeper", "both")
PATIENT_DEATHS = 4  # in a row, after which the wait is a fifth of a second
CREATE = ("create", "101", "--ostemplate", "busybox", "--ipadd", "192.0.2.1", "--name", "web")


@dataclass(frozen=True)
class Operation:
    """What is interrupted: from which state, by which command, and the states that may come out."""

    command: tuple[str, ...]
    before: str
    after: tuple[str, ...]
    keeps_pid_1: bool = False  # a container that still runs afterwards was never interrupted
    reset: tuple[str, ...] = ()  # given before it, so that the command has something to do again
    then: Callable[[Vz, str], None] = lambda _vz, _clock: None  # what follows the command by itself
    code: int | None = 0  # how the command ends that nobody interrupts
    refused: bool = False  # by vps.create


def rebooted(vz: Vz, clock: str) -> None:
    vz.wait_reboot(101, clock)


OTHERS = ("--numpty", "50", "--numtcpsock", "40", "--devnodes", "fuse:rw")
OTHERS_AGAIN = ("--numpty", "60", "--numtcpsock", "unlimited", "--devnodes", "fuse:none")

OPERATIONS = {
    "create": Operation(CREATE, GONE, (GONE, DOWN)),
    "refused": Operation(CREATE, GONE, (GONE, DOWN), code=79, refused=True),
    "mount": Operation(("mount", "101"), DOWN, (DOWN, MOUNTED)),
    "umount": Operation(("umount", "101"), MOUNTED, (DOWN, MOUNTED)),
    "start": Operation(("start", "101"), DOWN, (DOWN, RUNNING)),
    "stop": Operation(("stop", "101"), RUNNING, (DOWN, RUNNING), keeps_pid_1=True),
    "set": Operation(
        ("set", "101", "--ipadd", "192.0.2.7", "--hostname", "new", "--ram", "200M", *OTHERS, "--save"),
        RUNNING,
        (RUNNING,),
        keeps_pid_1=True,
        reset=("set", "101", "--ipdel", "192.0.2.7", "--hostname", "old", "--ram", "256M", *OTHERS_AGAIN, "--save"),
    ),
    "reboot": Operation(("exec", "101", "reboot"), RUNNING, (RUNNING,), then=rebooted, code=None),
    "chkpnt": Operation(("chkpnt", "101"), RUNNING, (RUNNING, SUSPENDED), keeps_pid_1=True),
    "restore": Operation(("restore", "101"), SUSPENDED, (RUNNING, SUSPENDED)),
    "destroy": Operation(("destroy", "101"), DOWN, (DOWN, GONE)),
}


def marks(name: str) -> list[pytest.MarkDecorator]:
    """What the kernel must have for this operation."""
    return [CHECKPOINTS] if SUSPENDED in OPERATIONS[name].after else []


def bring_to(vz: Vz, state: str) -> None:
    """CT 101 in *state*, whatever it was before, by commands that must all work."""
    vz.template("busybox")
    for _ in range(5):
        now = vz.status(101)
        if now == state:
            return
        vz.ctl(*towards(now, state))
        if now == GONE:
            vz.ctl("set", "101", "--stop-timeout", "20", "--save")
    raise AssertionError(f"{now} does not lead to {state}")


def towards(now: str, state: str) -> tuple[str, ...]:
    """The next command on the way from *now* to *state*."""
    if now == GONE:
        return CREATE
    if now == RUNNING:
        return ("chkpnt", "101") if state == SUSPENDED else ("stop", "101", "--fast")
    if now == SUSPENDED:
        return ("restore", "101")
    if now == MOUNTED:
        return ("umount", "101")
    return {GONE: ("destroy", "101"), MOUNTED: ("mount", "101")}.get(state, ("start", "101"))


def points(vz: Vz, operation: Operation) -> list[str]:
    """Every fault point that the operation passes, in order."""
    trace = f"{vz.prefix}/trace"
    bring_to(vz, operation.before)
    if operation.refused:
        files.replace(f"{vz.paths.conf_dir}/vps.create", "#!/bin/sh\nexit 1\n", mode=0o755)
    vz.stop_hostd()
    vz.start_hostd(VZ_FAULT_TRACE=trace)
    marked = len(machine.read(trace).splitlines())
    clock = vz.uptime_clock(101)
    vz.ctl(*operation.command, check=operation.code)
    operation.then(vz, clock)
    names = list(dict.fromkeys(machine.read(trace).splitlines()[marked:]))
    vz.stop_hostd()
    assert len(names) >= 3, f"only {names}: the trace does not see the operation"
    return names


def settled(vz: Vz, operation: Operation, clock: str) -> None:
    """The state is one that a user knows; what runs, works; what does not, holds nothing."""
    machine.until(f"one of {operation.after}", lambda: vz.status(101) in operation.after)
    operation.then(vz, clock)
    state = vz.status(101)
    if state == RUNNING:
        machine.until("CT 101 answers", lambda: vz.answers(101))
        if operation.keeps_pid_1:
            assert vz.uptime_clock(101) == clock, "CT 101 was restarted"
        vz.ping("192.0.2.1")
    else:
        # What takes longer than the patience of a recovery is settled in the background, as what CRIU has begun is.
        machine.until(f"nothing held by a {state} container", lambda: not held(vz, state))
        if state != MOUNTED:  # mounts of who was killed end in a kernel worker, and the disk with them
            leaks.wait_for_disk(vz.prefix, 101)
    nothing_half_done(vz, state)


def held(vz: Vz, state: str) -> list[str]:
    """What CT 101, which does not run, has all the same; but for its disk."""
    found = [name for name in (vz.paths.veth(101),) if name in vz.ip("-o", "link")]
    found += [name for name in os.listdir(vz.paths.lock_dir) if ".lck" in name]
    found += [line for line in vz.ip("route").splitlines() if line.startswith("192.0.2.1 ")]
    if state != MOUNTED:
        of_it = leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101)
        found += [line for line in of_it if not line.startswith("loop ")]
        found += [path for path in (vz.paths.ct_record(101),) if os.path.lexists(path)]
    return found


def nothing_half_done(vz: Vz, state: str) -> None:
    """On the disk there is all of a container or nothing of it."""
    for path in (vz.paths.conf_dir, vz.paths.records_dir, vz.paths.dump_dir, vz.paths.lock_dir):
        left = [name for name in os.listdir(path) if name.endswith(HALF) or ".lck" in name]
        assert left == [], f"{path}: {left}"
    private = os.path.dirname(vz.paths.private_default)
    exists = state != GONE
    assert [name for name in os.listdir(private) if name.startswith("101")] == ["101"] * exists
    assert os.path.lexists(vz.paths.ct_conf(101)) == exists, "configuration without private area, or the reverse"
    names = os.listdir(vz.paths.names_dir) if os.path.isdir(vz.paths.names_dir) else []
    assert names == ["web"] * exists
    trees = [name for name in os.listdir(vz.paths.template_tree) if name.startswith(".unpack")]
    assert not trees, f"half a template: {trees}"


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in OPERATIONS])
def test_killed_at_every_point(vz: Vz, name: str, victim: str, request: pytest.FixtureRequest) -> None:
    """From every state that comes out, the same command, given again, does what it always does."""
    operation = OPERATIONS[name]
    vz.start(102, "--ipadd", "192.0.2.2")
    neighbour = vz.uptime_clock(102)
    found = points(vz, operation)
    request.node.user_properties.append(("points", len(found)))
    fault = f"{vz.prefix}/fault"
    vz.env["VZ_FAULT"] = f"@{fault}"  # for every hostd that is started on demand
    for number, point in enumerate(thinned.cases(found, VICTIMS.index(victim), len(VICTIMS))):
        if victim == "daemon" and number % PATIENT_DEATHS == 0:
            vz.stop_hostd()  # a keeper whose daemons die young waits longer each time
        try:
            bring_to(vz, operation.before)
        except AssertionError as error:
            said = machine.read(vz.paths.log_file)[-4000:]
            raise AssertionError(f"after all points before {point}: {error}\n{said}") from error
        if operation.reset:
            vz.ctl(*operation.reset)
        clock = vz.uptime_clock(101)
        files.replace(fault, f"{point}:{victim}")
        vz.ctl(*operation.command, check=None)
        machine.until(f"{point} passed", lambda: not os.path.exists(fault))
        try:
            settled(vz, operation, clock)
            assert vz.uptime_clock(102) == neighbour, "the neighbour was disturbed"
            assert vz.ctl("exec2", "102", "echo calm").stdout == "calm\n"
            if vz.status(101) == operation.before and operation.then is not rebooted:
                vz.ctl(*operation.command, check=operation.code)
        except AssertionError as error:
            raise AssertionError(f"killed {victim} at {point}: {error}\n{vz.log_tail()}") from error
    machine.until("every child was waited for", lambda: not zombies_of(vz.keeper_pid))


def zombies_of(keeper: int) -> list[int]:
    """Children that have ended and that nobody has waited for: those of a daemon that became the keeper, too."""
    children = machine.read(f"/proc/{keeper}/task/{keeper}/children").split()
    return [int(pid) for pid in children if machine.read(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] == ["Z"]]


@pytest.mark.parametrize("kill", [Vz.kill_daemon, Vz.kill_both], ids=["daemon", "both"])
@pytest.mark.parametrize("layout", ["overlay", "simfs"])
def test_killed_while_a_template_is_unpacked(vz: Vz, kill: Callable[[Vz], None], layout: str) -> None:
    """Neither half a tree nor a tar that goes on without us; the same create works afterwards."""
    template = "big"
    with tarfile.open(f"{vz.paths.template_cache}/{template}.tar", "w") as tar:
        for number in range(10000):
            member = tarfile.TarInfo(f"etc/{number}")
            member.size = 1000
            tar.addfile(member, io.BytesIO(bytes(1000)))
    create = ("create", "101", "--ostemplate", template, "--layout", layout)
    child = vz.popen("vzctl", *create)
    machine.until("tar is at work", lambda: glob.glob(f"{vz.paths.template_tree}/.unpack-*/etc/19?"), pause=0.001)
    kill(vz)
    child.wait()
    assert vz.status(101) == GONE
    machine.until("nothing of it is left", lambda: not glob.glob(f"{vz.paths.template_tree}/.unpack-*"))
    nothing_half_done(vz, GONE)
    assert not [pid for pid in machine.processes_of(vz.prefix) if "--extract" in machine.cmdline(pid)]
    vz.ctl(*create)
    assert vz.status(101) == DOWN


@pytest.mark.parametrize(
    "kill", [Vz.kill_daemon, Vz.kill_keeper, Vz.kill_both], ids=["daemon", "keeper", "both"]
)
def test_killed_while_idle(vz: Vz, kill: Callable[[Vz], None]) -> None:
    """Channel, console, network and the reason of a reboot are there again."""
    vz.start(101, "--ipadd", "192.0.2.1")
    clock = vz.uptime_clock(101)
    for _ in range(3):
        kill(vz)
        assert vz.ctl("exec2", "101", "echo alive").stdout == "alive\n"
        assert vz.status(101) == RUNNING
        assert vz.uptime_clock(101) == clock
    vz.ctl("set", "101", "--ipadd", "192.0.2.9")
    vz.ping("192.0.2.9")
    vz.ctl("exec", "101", "reboot", check=None)
    vz.wait_reboot(101, clock)
    vz.ctl("stop", "101")
    machine.until("nothing is held", lambda: not leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101))


def test_reboot_f_after_the_daemon_was_killed(vz: Vz) -> None:
    vz.start(101)
    vz.kill_daemon()
    clock = vz.uptime_clock(101)
    vz.ctl("exec", "101", "reboot -f", check=None)
    vz.wait_reboot(101, clock)


def test_a_container_that_ended_while_nobody_watched(vz: Vz) -> None:
    """PID 1 dies while keeper and daemon are dead: the next hostd finds it, and cleans up."""
    vz.start(101, "--ipadd", "192.0.2.1")
    pid = vz.init_pid(101)
    vz.kill_both()
    machine.kill_and_wait(pid)
    vz.wait_status(101, DOWN)
    machine.until("nothing is held", lambda: not leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101))
    vz.ctl("start", "101")


def test_a_reboot_while_the_daemon_was_dead(vz: Vz) -> None:
    """SIGSTOP the daemon, reboot inside, kill it: its successor still starts the container again."""
    vz.start(101)
    clock = vz.uptime_clock(101)
    child = vz.popen("vzctl", "exec2", "101", "echo begun; sleep 2; reboot")
    assert child.stdout and child.stdout.readline() == "begun\n"
    vz.kill_daemon()
    vz.wait_reboot(101, clock)
    child.kill()

"""start: from a configuration to a container that is READY.

`STEPS` is the operation.  The undos of the same steps take a container down: in reverse when a step of the start
itself fails, and in the shorter order of `RELEASE` after a stop and after a crash of hostd in the middle of anything.
"""

import os
from collections.abc import Sequence

from hostd.config import live
from hostd.config.model import CtConfig
from hostd.container import faults, host_side, init_side, scripts
from hostd.container.container import Container
from hostd.container.record import Record
from hostd.container.report import Report
from hostd.container.run import Run
from hostd.container.steps import Step, run, together, undo
from hostd.errors import AlreadyRunning, Exit, Failure

LEASE = Step("lease", host_side.take_lease, host_side.give_back)
STORAGE = Step("storage", host_side.mount_storage, host_side.unmount_storage)
CGROUP = Step("cgroup", host_side.make_cgroup, host_side.remove_cgroup)
LIMITS = Step("limits", host_side.limit)
MOUNTS = Step("mounts", init_side.make_mounts, init_side.drop_mounts)
SPAWN = Step("spawn", init_side.spawn_init, init_side.kill_init)
NETWORK = Step("network", host_side.plug_network, host_side.unplug_network)
INSIDE = Step("inside", init_side.greet_and_furnish)
OVERTAKE = Step("overtake", init_side.overtake_checkpoint)
GO = Step("go", init_side.release_barrier, stops=True)
COMMIT = Step("commit", init_side.commit)
# In this order: when PID 1 dies at once, its reason is the one to tell, not that its network is gone.
INIT_STEPS = (SPAWN, together("outfit", INSIDE, NETWORK), OVERTAKE, GO, COMMIT)
BEFORE_MOUNT = Step("premount", scripts.premount, scripts.postumount, stops=True)
AFTER_MOUNT = Step("mount", scripts.mount, scripts.umount, stops=True)
MOUNT_STEPS = (LEASE, BEFORE_MOUNT, STORAGE, AFTER_MOUNT)
RUN_STEPS = (together("ground", CGROUP, MOUNTS), LIMITS, *INIT_STEPS)
GROUND_STEPS = (LEASE, BEFORE_MOUNT, together("ground", STORAGE, CGROUP, MOUNTS), LIMITS, AFTER_MOUNT)
STEPS = (*GROUND_STEPS, *INIT_STEPS)
# For a script or a password: the addresses may be another container's meanwhile.
SETUP_STEPS = (*GROUND_STEPS, SPAWN, INSIDE, GO, COMMIT)
# The same before a container has its configuration, which action scripts would read.
NEW_STEPS = (LEASE, together("ground", STORAGE, CGROUP, MOUNTS), LIMITS, SPAWN, INSIDE, GO, COMMIT)
# Undone, these take down the same as RUN_STEPS and STEPS: once PID 1 is dead nothing else depends on anything.
RUN_RELEASE = (together("ground", CGROUP, MOUNTS, NETWORK), SPAWN)
RELEASE = (LEASE, BEFORE_MOUNT, together("ground", STORAGE, CGROUP, MOUNTS, NETWORK), AFTER_MOUNT, SPAWN)


async def start(ct: Container, config: CtConfig, report: Report, *, steps: Sequence[Step[Run]] = STEPS) -> Run:
    """Start *ct*; when this returns it is READY: network up, services being started.

    By other *steps* than STEPS it comes up without both, for a script.
    """
    if ct.running:
        raise AlreadyRunning("Container is already running")
    if not os.path.isdir(config.private):
        raise Failure(Exit.FS_NOPRVT, f"Container private area {config.private} does not exist")
    ct.world.require(config)
    await release(ct, report)  # left mounted by `vzctl mount`, or by a start that an earlier daemon did not finish
    ct.record = Record(ctid=ct.ctid, intent="start", live=live.texts(config, ct.world.load_globals()))
    this = Run(ct, ct.record, report, config, setup=steps is not STEPS)
    try:
        await run("start", steps, this)
    except BaseException:
        ct.buried()
        raise
    return this


async def again(ct: Container, config: CtConfig, report: Report) -> None:
    """Start a container that asked for a reboot: the storage stays mounted, the rest is made anew."""
    assert ct.record is not None
    old = Run(ct, ct.record, report)
    old.record.intent = "reboot"
    old.save()
    faults.point("reboot.intent")
    await undo(RUN_RELEASE, old)
    ct.buried()
    ct.record = old.record.of_what_is_mounted("reboot")
    ct.record.live = live.texts(config, ct.world.load_globals())
    this = Run(ct, ct.record, report, config)
    host_side.note_network(this)
    try:
        this.save()
        await run("reboot", RUN_STEPS, this)
    except BaseException:
        await undo(MOUNT_STEPS, this)
        ct.buried()
        raise


async def release(ct: Container, report: Report) -> list[Failure]:
    """Take down whatever the record of *ct* says may exist.  Idempotent; without a record there is nothing.

    Returns the action scripts that failed; nothing is left standing because of them.
    """
    failures: list[Failure] = []
    if ct.record is not None:
        this = Run(ct, ct.record, report)
        failures = this.failures
        try:
            await undo(RELEASE, this)
        finally:
            ct.buried()
    return failures

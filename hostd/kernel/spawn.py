"""spawn(): a container's PID 1 from a prepared plan, in one C call.  start(): a program of the host's, born in a
container's cgroups.

The plan is pure data, complete before the clone: between clone and exec nothing is looked up or allocated.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from hostd.kernel import facade, namespace
from hostd.kernel.clocks import Clocks
from hostd.kernel.facade import Plan, Pointer, lib
from hostd.kernel.fd import Fd
from hostd.kernel.mount import MountAttr
from hostd.kernel.process import Process
from hostd.kernel.steps import STEPS

CLONE_PARENT = 0x00008000
CLONE_NEW_ALL = (
    namespace.CLONE_NEWNS | namespace.CLONE_NEWUTS | namespace.CLONE_NEWIPC
    | namespace.CLONE_NEWPID | namespace.CLONE_NEWNET
)
INSTRUCTION = 8  # bytes of a sock_filter
LOCKED_DOWN = MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC


class ChildMount(NamedTuple):
    """A file system that only the child can make, because it shows the child's own namespaces.

    *target* is relative to the root of the container.  *read_only* and *writable* are paths below *target*:
    first the former become read-only, then the latter writable again; missing ones are skipped.
    """

    fstype: str
    target: str
    options: Mapping[str, str | None] = {}
    attrs: MountAttr = LOCKED_DOWN
    read_only: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()


# A writable /proc/sys would let the sysctl.d of a privileged container change the host; net is per namespace.
PROC = ChildMount(
    "proc", "proc", {"source": "proc"}, read_only=("sys", "bus", "fs", "irq", "sysrq-trigger"),
    writable=("sys/net",)
)
# Read-only tells udev and systemd to leave the devices alone.
SYS = ChildMount("sysfs", "sys", {"source": "sysfs"}, attrs=LOCKED_DOWN | MountAttr.RDONLY)
CGROUP2 = ChildMount("cgroup2", "sys/fs/cgroup", {"source": "cgroup2"})
MQUEUE = ChildMount("mqueue", "dev/mqueue", {"source": "mqueue"})
DEFAULT_MOUNTS = (PROC, SYS, CGROUP2, MQUEUE)
# A user namespace below the container's may mount a proc or sysfs only where one without masks is in sight of the
# kernel.  In nobody else's: the folder is closed, and has the name that runtimes which look through /dev pass over.
NESTING_MOUNTS = (
    *DEFAULT_MOUNTS,
    ChildMount("proc", "dev/.lxc/proc", {"source": "proc"}),
    ChildMount("sysfs", "dev/.lxc/sys", {"source": "sysfs"}),
)


class SpawnPlan(NamedTuple):
    """Everything `spawn()` needs to know.  The descriptors stay the caller's; the mounts are moved away.

    root        detached mount that becomes "/"; a tree can be used once: keep a clone for the next start
    submounts   detached mounts and their paths below the root, attached in this order before *mounts*
    files       (detached mount, file in it, path): that file alone is there, read-only, after *mounts*; "": the mount
                is of a file, and left out where the kernel has none of that path
    covers      (detached mount, path, name): it is there after *files*, and in its directory *name* is what was there
                before, read-only; left out where the kernel has none of that path
    fds         number in the child -> descriptor; 0, 1, 2 are /dev/null of the container unless given
    uid_base    the host's id of user 0; None: no user namespace (privileged)
    join        opened cgroup v1 `tasks` files
    into        directory of a cgroup v2 (also the unified tree of a hybrid host): the child is born there
    clocks      of a time namespace of its own, which the kernel has to let it enter by execve (`Features`)
    seccomp     sock_filter array, installed without no_new_privs
    parent      the child becomes a child of our parent, with exit signal 0 (wait for it with __WALL)
    """

    root: Fd
    argv: tuple[str, ...]
    env: Mapping[str, str]
    fds: Mapping[int, Fd]
    uid_base: int | None
    hostname: str
    id_count: int = namespace.IDS
    join: tuple[Fd, ...] = ()
    into: Fd | None = None
    clocks: Clocks | None = None
    seccomp: bytes = b""
    drop_caps: tuple[int, ...] = ()
    submounts: tuple[tuple[Fd, str], ...] = ()
    files: tuple[tuple[Fd, str, str], ...] = ()
    covers: tuple[tuple[Fd, str, str], ...] = ()
    mounts: tuple[ChildMount, ...] = DEFAULT_MOUNTS
    parent: bool = False


class Program(NamedTuple):
    """What `start()` needs to know; the descriptors stay the caller's.

    argv[0] is a path.  *fds*: number in the child -> descriptor; 0, 1, 2 are /dev/null unless given, and everything
    else is closed.  *join* and *into* as in `SpawnPlan`: a process that enters a cgroup later waits 11 ms for it.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    fds: Mapping[int, Fd] = {}
    join: tuple[Fd, ...] = ()
    into: Fd | None = None


class _Mount(NamedTuple):
    """One struct vz_mount."""

    target: str
    source: Fd | None = None
    file: str | None = None
    kept: str | None = None
    fstype: str | None = None
    options: tuple[tuple[str, str | None], ...] = ()
    set: MountAttr = MountAttr.NONE
    clear: MountAttr = MountAttr.NONE
    optional: bool = False


def mount_steps(plan: SpawnPlan) -> list[_Mount]:
    """The mounts of the child, flat and in order."""
    steps = [_Mount(path, source=mnt) for mnt, path in plan.submounts]
    for mount in plan.mounts:
        options = tuple(mount.options.items())
        steps.append(_Mount(mount.target, fstype=mount.fstype, options=options, set=mount.attrs))
        for part in mount.read_only:
            steps.append(_Mount(f"{mount.target}/{part}", set=MountAttr.RDONLY, optional=True))
        for part in mount.writable:
            steps.append(_Mount(f"{mount.target}/{part}", clear=MountAttr.RDONLY, optional=True))
    for mnt, file, path in plan.files:
        steps.append(_Mount(path, source=mnt, file=file or None, set=MountAttr.RDONLY, optional=not file))
    for mnt, path, name in plan.covers:
        steps.append(_Mount(path, source=mnt, kept=f"{path}/{name}", set=MountAttr.RDONLY, optional=True))
    return steps


def spawn(plan: SpawnPlan) -> Process:
    """Make the namespaces and the process of *plan*; return when its program runs (it has passed execve).

    OSError names the system call, what it was for, and the path, descriptor or capability; then nothing is
    left, except that with *parent* our parent still has to reap an exit status 127.
    """
    raw, keep = _pack(plan)
    pid = lib.vz_spawn(raw)
    del keep
    if pid < 0:
        raise _error(plan, raw)
    return Process(pid, Fd(raw.pidfd, f"process {pid}"))


def start(program: Program) -> Process:
    """Run *program* in a session of its own, with the namespaces, root and directory of the calling thread; our child.

    OSError as `spawn()`.
    """
    keep: list[object] = []
    raw = facade.new_plan()
    _pack_program(program, raw, keep)
    pid = lib.vz_start(raw)
    if pid < 0:
        raise _error(program, raw)
    return Process(pid, Fd(raw.pidfd, f"process {pid}"))


def _error(plan: SpawnPlan | Program, raw: Plan) -> OSError:
    step = STEPS[raw.step]
    return OSError(raw.error, f"{step.syscall}: {os.strerror(raw.error)} ({step.what})", _subject(plan, raw))


def _subject(plan: SpawnPlan | Program, raw: Plan) -> str:
    match STEPS[raw.step]:
        case ("execve", _, _):
            return plan.argv[0]
        case ("open", _, _):
            return "/dev/null"
        case (_, _, "join"):
            return plan.join[raw.index].what
        case (_, _, "fds") if raw.index >= 0:
            return f"descriptor {sorted(plan.fds)[raw.index]}"
    if isinstance(plan, Program):
        return plan.argv[0]
    match STEPS[raw.step]:
        case (_, _, "mounts"):
            return "/" + mount_steps(plan)[raw.index].target
        case (_, _, "drop"):
            return f"capability {plan.drop_caps[raw.index]}"
        case _:
            return plan.hostname


# ---- the plan in C


def _strings(texts: list[str], keep: list[object]) -> Pointer:
    """A NULL-terminated array of C strings."""
    pointers = [facade.text(text) for text in texts]
    keep.extend(pointers)
    return _kept(facade.array("char *", [*pointers, facade.NULL]), keep)


def _kept(pointer: Pointer, keep: list[object]) -> Pointer:
    keep.append(pointer)
    return pointer


def _options(options: tuple[tuple[str, str | None], ...], keep: list[object]) -> Pointer:
    flat: list[Pointer] = []
    for key, value in options:
        flat.append(facade.text(key))
        flat.append(facade.NULL if value is None else facade.text(value))
    keep.extend(flat)
    return _kept(facade.array("const char *", [*flat, facade.NULL]), keep)


def _c_mount(mount: _Mount, keep: list[object]) -> dict[str, object]:
    return {
        "fd": -1 if mount.source is None else mount.source.fileno(),
        "fstype": facade.NULL if mount.fstype is None else _kept(facade.text(mount.fstype), keep),
        "options": _options(mount.options, keep),
        "target": _kept(facade.text(mount.target), keep),
        "file": facade.NULL if mount.file is None else _kept(facade.text(mount.file), keep),
        "kept": facade.NULL if mount.kept is None else _kept(facade.text(mount.kept), keep),
        "set": int(mount.set),
        "clear": int(mount.clear),
        "optional": int(mount.optional),
    }


def _pack(plan: SpawnPlan) -> tuple[Plan, list[object]]:
    """The plan as C has it, and what must stay alive for it."""
    keep: list[object] = []
    raw = facade.new_plan()
    userns = plan.uid_base is not None
    raw.flags = CLONE_NEW_ALL
    if userns:
        raw.flags |= namespace.CLONE_NEWUSER
    if plan.parent:
        raw.flags |= CLONE_PARENT
    raw.uid_base, raw.id_count = plan.uid_base or 0, plan.id_count
    raw.root = plan.root.fileno()
    raw.clocks = facade.NULL if plan.clocks is None else _kept(facade.text(plan.clocks.offsets()), keep)
    _pack_program(plan, raw, keep)
    mounts = [_c_mount(mount, keep) for mount in mount_steps(plan)]
    raw.mounts, raw.mount_count = _kept(facade.array("struct vz_mount", mounts), keep), len(mounts)
    raw.hostname = _kept(facade.text(plan.hostname), keep)
    raw.drop = _kept(facade.array("int", list(plan.drop_caps)), keep)
    raw.drop_count = len(plan.drop_caps)
    raw.filter = _kept(facade.bytes_at(plan.seccomp), keep)
    raw.filter_length = len(plan.seccomp) // INSTRUCTION
    return raw, keep


def _pack_program(plan: SpawnPlan | Program, raw: Plan, keep: list[object]) -> None:
    raw.into = -1 if plan.into is None else plan.into.fileno()
    raw.join = _kept(facade.array("int", [fd.fileno() for fd in plan.join]), keep)
    raw.join_count = len(plan.join)
    fds = [{"from": fd.fileno(), "to": number} for number, fd in sorted(plan.fds.items())]
    raw.fds, raw.fd_count = _kept(facade.array("struct vz_fd", fds), keep), len(fds)
    raw.argv = _strings(list(plan.argv), keep)
    raw.env = _strings([f"{key}={value}" for key, value in plan.env.items()], keep)

"""Features: what this kernel can do, found out by doing it.

Nothing is concluded from version numbers.  `probe()` takes some 20 ms and leaves nothing behind.
`ROWS` says for each feature what is lost without it: `vzctl check` prints them.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from hostd.kernel import probes, probes_storage


class Features(NamedTuple):
    """One bool for each row of ROWS, and how cgroups are mounted ("v1", "hybrid", "v2", or "none")."""

    cgroup_mode: str
    userns: bool
    fsopen: bool
    openat2: bool
    close_range: bool
    detached_trees: bool
    idmap_ext4: bool
    idmap_tmpfs: bool
    overlay: bool
    overlay_fd_layers: bool
    overlay_idmapped: bool
    loop: bool
    loop_direct_io: bool
    ext4_prjquota: bool
    pidfs: bool
    time_namespaces: bool
    seccomp: bool
    device_filter: bool
    socket_limits: bool
    sysinfo: bool
    into_cgroup: bool
    cgroup_freeze: bool
    cgroup_kill: bool
    memory: bool
    swap_accounting: bool
    pids: bool
    cpu: bool
    cpuset: bool
    io: bool
    ipv6: bool
    nftables: bool
    fuse: bool
    checkpoint: bool
    criu: bool
    soft_dirty: bool
    sys_resource: bool


class Row(NamedTuple):
    """`consequence`: one line, what a host without the feature cannot do."""

    name: str
    field: str
    consequence: str


ROWS = (
    Row("user namespaces", "userns", "only privileged containers can run"),
    Row("mount API (fsopen, open_tree, ...)", "fsopen", "no container can be started"),
    Row("openat2", "openat2", "no container can be started"),
    Row("close_range", "close_range", "no container can be started"),
    Row("mounts on detached mounts", "detached_trees", "none: mounts are attached one by one inside"),
    Row("idmapped mounts on ext4", "idmap_ext4", "only privileged containers can use ext4 storage"),
    Row("idmapped mounts on tmpfs", "idmap_tmpfs", "only privileged containers can have storage on tmpfs"),
    Row("overlay", "overlay", "layout overlay is not available; use simfs"),
    Row("overlay layers by descriptor", "overlay_fd_layers", "none: layers are attached for a moment and named"),
    Row("overlay on idmapped layers", "overlay_idmapped", "only privileged containers can use overlay"),
    Row("loop devices", "loop", "layout overlay is not available; use simfs"),
    Row("direct I/O on loop devices", "loop_direct_io", "disk data of containers is cached twice"),
    Row("ext4 project quota", "ext4_prjquota", "layout simfs cannot limit disk space"),
    Row("unique process inodes (pidfs)", "pidfs", "none: processes are told apart by their start time"),
    Row("time namespaces, by execve", "time_namespaces", "containers go by the clocks of the host since its boot"),
    Row("system call filters", "seccomp", "containers cannot be started: no seccomp filter"),
    Row("device filter (BPF on cgroups)", "device_filter", "devices of the host are open to containers"),
    Row("socket limits (BPF on cgroups)", "socket_limits", "--numtcpsock and --numothersock are refused"),
    Row("sysinfo(2) of containers (BPF)", "sysinfo", "sysinfo(2) tells containers of the host's memory"),
    Row("clone into a cgroup", "into_cgroup", "no container can be started on cgroup v2"),
    Row("cgroup.freeze", "cgroup_freeze", "containers cannot be frozen (suspend, checkpoint)"),
    Row("cgroup.kill", "cgroup_kill", "containers are killed process by process"),
    Row("memory limit", "memory", "containers with --ram, --swap or guarantees are refused"),
    Row("swap limit", "swap_accounting", "containers with --swap are refused; boot with swapaccount=1"),
    Row("process limit", "pids", "containers with --numproc are refused; in others a fork bomb can stop the host"),
    Row("CPU share and limit", "cpu", "containers with --cpuunits, --cpulimit or --cpus are refused"),
    Row("CPU sets", "cpuset", "--cpumask and --nodemask are refused"),
    Row("I/O limits", "io", "--iolimit and --iopslimit are refused, --ioprio is only stored"),
    Row("IPv6", "ipv6", "containers cannot have IPv6 addresses"),
    Row("nftables", "nftables", "no anti-spoofing, no NAT, no network lock during a checkpoint"),
    Row("FUSE", "fuse", "containers see the memory and processors of the host in /proc"),
    Row("checkpoint support in the kernel", "checkpoint", "chkpnt, restore and migration are not available"),
    Row("CRIU", "criu", "chkpnt and restore are not available; run `make build`"),
    Row("soft-dirty tracking", "soft_dirty", "migration sends all memory while the container stands still"),
    Row("CAP_SYS_RESOURCE", "sys_resource", "ext4 images cannot grow while mounted; limits cannot be raised"),
)

_ESSENTIAL = ("fsopen", "openat2", "close_range", "seccomp")
_FOR_OVERLAY = ("overlay", "loop")

_PROBES: dict[str, Callable[[], bool]] = {
    "userns": probes.userns,
    "fsopen": probes.fsopen,
    "openat2": probes.openat2,
    "close_range": probes.close_range,
    "pidfs": probes.pidfs,
    "time_namespaces": probes.time_namespaces,
    "seccomp": probes.seccomp,
    "sysinfo": probes.sysinfo,
    "ipv6": probes.ipv6,
    "nftables": probes.nftables,
    "fuse": probes.fuse,
    "checkpoint": probes.checkpoint,
    "criu": probes.criu,
    "soft_dirty": probes.soft_dirty,
    "sys_resource": probes.sys_resource,
}


def probe() -> Features:
    """Try everything, as root.  A probe that fails in any way means that the feature is not there."""
    found = {name: _succeeds(try_it) for name, try_it in _PROBES.items()}
    mode = probes.cgroup_mode()
    found |= probes.cgroup_features(mode)
    with suppress(OSError):
        found |= probes_storage.storage_features()
    return Features(mode, **{name: found.get(name, False) for name in Features._fields if name != "cgroup_mode"})


def lacking(found: Features, *, userns: bool, overlay: bool) -> list[str]:
    """The rows without which no container runs: one with a user namespace or without, on this layout or another."""
    needed = {*_ESSENTIAL, *(_FOR_OVERLAY if overlay else ())}
    if userns:
        needed |= {"userns", "overlay_idmapped"} if overlay else {"userns"}
    return [row.name for row in ROWS if row.field in needed and not getattr(found, row.field)]


def _succeeds(try_it: Callable[[], bool]) -> bool:
    try:
        return try_it()
    except OSError:
        return False

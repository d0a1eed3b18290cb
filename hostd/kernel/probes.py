"""The probes behind Features that need no storage: each tries one thing; False or OSError means "no"."""

import errno
import mmap
import os
import shutil
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from hostd.kernel import (
    bpf,
    caps,
    device_program,
    mount,
    namespace,
    process,
    socket_programs,
    spawn,
    swaps,
    sysinfo_program,
)
from hostd.kernel.facade import address_of, lib
from hostd.kernel.fd import Fd

SOFT_DIRTY = 1 << 55  # in an entry of /proc/PID/pagemap
PAGEMAP_ENTRY = 8  # bytes
NETLINK_NETFILTER = 12
NFT_GETGEN = 10 << 8 | 16  # subsystem nftables, NFT_MSG_GETGEN
NLM_F_REQUEST = 1
NLMSG_ERROR = 2
PROBE_BASE = 1 << 30  # some host id; nothing is stored with it
PRIVATE_CRIU = "../../build/criu/lib/criu"  # beside the code, made by `make build`


def userns() -> bool:
    namespace.userns(PROBE_BASE).close()
    return True


def fsopen() -> bool:
    """The whole mount API; a place that is not there is found out only by a move_mount that there is."""
    with mount.new_filesystem("tmpfs", {}) as made, mount.open_tree("/", clone=False):
        mount.mount_setattr(made, set=mount.MountAttr.NOSUID)
        with suppress(FileNotFoundError):
            mount.move_mount(made, "/proc/self/nowhere")
    return True


def openat2() -> bool:
    with Fd.open("/", os.O_PATH | os.O_DIRECTORY) as root:
        mount.openat2(root, ".", os.O_PATH).close()
    return True


def close_range() -> bool:
    return lib.vz_close_range(0x7FFFFFFE, 0x7FFFFFFF) == 0


def pidfs() -> bool:
    return process.have_pidfs()


def time_namespaces() -> bool:
    """That they are entered by execve: else the kernel refuses (EINVAL) to clone in shared memory who is to be in one.

    A thread's own, and the program does not exist.
    """

    def refused() -> int:
        namespace.unshare(namespace.CLONE_NEWTIME, "time")
        try:
            spawn.start(spawn.Program(("/nowhere/at/all",), {})).close()
        except OSError as error:
            return error.errno or 0
        return 0

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(refused).result() == errno.ENOENT


def seccomp() -> bool:
    return lib.vz_seccomp_probe() == -errno.EFAULT


def sysinfo() -> bool:
    """As far as the verifier; refused where the kernel is locked down (Secure Boot)."""
    sysinfo_program.load_program(root=0, swap_alone=True).close()
    return True


def ipv6() -> bool:
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    return True


def nftables() -> bool:
    """Ask for the generation of the rules: any answer but an error."""
    request = struct.pack("=IHHIIBBH", 20, NFT_GETGEN, NLM_F_REQUEST, 1, 0, socket.AF_UNSPEC, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as sock:
        sock.settimeout(1)
        sock.sendto(request, (0, 0))
        answer = sock.recv(4096)
    return int(struct.unpack_from("=IH", answer)[1]) != NLMSG_ERROR


def fuse() -> bool:
    Fd.open("/dev/fuse", os.O_RDWR).close()
    return True


def checkpoint() -> bool:
    """CONFIG_CHECKPOINT_RESTORE, of which this file is a part."""
    return os.path.exists("/proc/sys/kernel/ns_last_pid")


def criu() -> bool:
    """A program is there; whether it is new enough, hostd.checkpoint asks it."""
    private = os.path.join(os.path.dirname(os.path.abspath(__file__)), PRIVATE_CRIU)
    return os.path.exists(private) or shutil.which("criu", path="/usr/local/sbin:/usr/sbin:/sbin") is not None


def soft_dirty() -> bool:
    """A page that was just written must say so."""
    with mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        page[0] = 1
        entry = address_of(page) // mmap.PAGESIZE * PAGEMAP_ENTRY
        with Fd.open("/proc/self/pagemap", os.O_RDONLY) as pagemap:
            raw = os.pread(pagemap.fileno(), PAGEMAP_ENTRY, entry)
    return bool(int.from_bytes(raw, "little") & SOFT_DIRTY)


def sys_resource() -> bool:
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        mask = next(line.split()[1] for line in file if line.startswith("CapEff:"))
    return caps.number("sys_resource") in caps.bits(mask)


# ---- cgroups


def cgroup_mode() -> str:
    """How cgroups are mounted: "v2", "v1", both ("hybrid"), or "none"."""
    kinds = {fstype for _, fstype, _ in _cgroup_mounts()}
    if kinds == {"cgroup", "cgroup2"}:
        return "hybrid"
    return {"cgroup2": "v2", "cgroup": "v1"}.get("".join(kinds), "none")


def cgroup_features(mode: str) -> dict[str, bool]:
    """The cgroup fields of Features."""
    found = {"swap_accounting": not swaps.possible()}  # a kernel that cannot swap keeps any limit of it
    unified: str | None = None
    controllers: set[str] = set()
    for point, fstype, options in _cgroup_mounts():
        if fstype == "cgroup2":
            unified = unified or point
        else:
            controllers |= set(options.split(","))
            found["swap_accounting"] |= os.path.exists(f"{point}/memory.memsw.limit_in_bytes")
    if unified is not None:
        with suppress(OSError):
            found |= _unified_features(unified)
            controllers |= _read_words(f"{unified}/cgroup.controllers")
    if "blkio" in controllers:
        controllers.add("io")
    return found | {name: name in controllers for name in ("memory", "pids", "cpu", "cpuset", "io")}


def _unified_features(point: str) -> dict[str, bool]:
    with _scratch_cgroup(point) as path, Fd.open(path, os.O_RDONLY | os.O_DIRECTORY) as cgroup:
        found = {
            "cgroup_freeze": os.path.exists(f"{path}/cgroup.freeze"),
            "cgroup_kill": os.path.exists(f"{path}/cgroup.kill"),
            "into_cgroup": lib.vz_into_cgroup(cgroup.fileno()) == 0,
            "device_filter": _device_filter(cgroup),
            "socket_limits": _socket_limits(),
        }
        if os.path.exists(f"{path}/memory.swap.max"):
            found["swap_accounting"] = True
        return found


def _device_filter(cgroup: Fd) -> bool:
    try:
        with bpf.load(device_program.HOOK, device_program.device_program(())) as program:
            bpf.attach(device_program.HOOK, cgroup, program)
    except OSError:
        return False
    return True


def _socket_limits() -> bool:
    """As far as the verifier: where one program can be attached, others can."""
    try:
        maps = socket_programs.Maps.new()
        for hook in socket_programs.programs(maps):
            socket_programs.load_program(hook, maps).close()
    except OSError:
        return False
    return True


@contextmanager
def _scratch_cgroup(point: str) -> Iterator[str]:
    path = f"{point}/vz-probe-{os.getpid()}"
    os.mkdir(path)
    try:
        yield path
    finally:
        os.rmdir(path)


def _cgroup_mounts() -> list[tuple[str, str, str]]:
    """(mount point, "cgroup" or "cgroup2", super options) of each hierarchy."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            front, _, back = line.rstrip("\n").partition(" - ")
            fstype, _, options = back.split(" ", 2)
            if fstype in ("cgroup", "cgroup2"):
                found.append((front.split(" ")[4], fstype, options))
    return found


def _read_words(path: str) -> set[str]:
    with open(path, encoding="ascii") as file:
        return set(file.read().split())

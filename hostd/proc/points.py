"""The files that a container sees about itself, and where.  What is mounted there is the server's."""

POINTS = {
    "cpuinfo": "/proc/cpuinfo",
    "diskstats": "/proc/diskstats",
    "loadavg": "/proc/loadavg",
    "meminfo": "/proc/meminfo",
    "stat": "/proc/stat",
    "swaps": "/proc/swaps",
    "uptime": "/proc/uptime",
    "vmstat": "/proc/vmstat",
    "online": "/sys/devices/system/cpu/online",
}
# Beside them: the directory that is /proc of a container with OpenVZ's files, and in it the place of the kernel's own.
# That of all is what those have that an earlier hostd has started; since then each has its own.
OPENVZ, KERNELS = "openvz", ".vz"
# And the one that is this directory, of each container, likewise with a place for the kernel's own.
CPU, PROCESSORS = "/sys/devices/system/cpu", "cpu"
KERNELS_CPU = f"{CPU}/{KERNELS}"
# What the host notes at a container's cgroup, as extended attributes that nobody inside can read or write.
BORN = "trusted.vz.born"  # when its uptime was 0: nanoseconds of CLOCK_BOOTTIME
OWN_CLOCKS = "trusted.vz.clocks"  # 1: its processes have clocks that were 0 then
CPUS = "trusted.vz.cpus"  # --cpus; 0: not given
SPENT = "trusted.vz.spent"  # microseconds in user mode and in the kernel, before it was restored here
MEMORY = "trusted.vz.memory"  # --meminfo in bytes, at most what the machine has; 0: not given
BEANCOUNTERS = "trusted.vz.beancounters"  # what user_beancounters says, of a container that has it
ADDRESSES = "trusted.vz.addresses"  # those of it, separated by blanks


def openvz_of(ctid: int) -> str:
    """The directory of container *ctid*'s own."""
    return f"{OPENVZ}-{ctid}"


def processors_of(ctid: int) -> str:
    """The directory that is CPU of container *ctid*."""
    return f"{PROCESSORS}-{ctid}"


def in_kernels(path: str) -> str:
    """Where *path*, of /proc, is in a container with OpenVZ's files."""
    return path.replace("/proc", f"/proc/{KERNELS}", 1)

"""What the host has, from /proc."""

import os
import re
from typing import NamedTuple

_POWER_PER_BOGOMIPS = 25  # as OpenVZ reckons


class Machine(NamedTuple):
    """Bytes, and processes and threads.  *low*: the part of RAM that the kernel can use for itself."""

    ram: int
    swap: int
    low: int
    threads: int


def machine(proc: str = "/proc") -> Machine:
    with open(f"{proc}/meminfo", encoding="ascii") as file:
        found = {match[1]: int(match[2]) * 1024 for match in re.finditer(r"(\w+):\s+([0-9]+) kB", file.read())}
    with open(f"{proc}/sys/kernel/threads-max", encoding="ascii") as file:
        threads = int(file.read())
    ram = found["MemTotal"]
    return Machine(ram, found.get("SwapTotal", 0), found.get("LowTotal") or ram, threads)


def cpu_power(proc: str = "/proc") -> int:
    """In CPU units: a processor that tells no BogoMIPS counts by nothing, as in OpenVZ."""
    with open(f"{proc}/cpuinfo", encoding="utf-8", errors="replace") as file:
        found = re.findall(r"^bogomips\s*:\s*([0-9.]+)", file.read(), re.MULTILINE | re.IGNORECASE)
    return int(sum(map(float, found)) * _POWER_PER_BOGOMIPS)


def disk(path: str) -> tuple[int, int]:
    """KiB and inodes of the file system that *path* is on, or is going to be.  Raises OSError."""
    while not os.path.exists(path) and path != "/":
        path = os.path.dirname(path)
    status = os.statvfs(path)
    return status.f_blocks * status.f_frsize // 1024, status.f_files

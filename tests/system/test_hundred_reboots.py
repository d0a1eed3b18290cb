"""Reboots by every way there is, one after the other: the host holds in the end what it held after the first ones."""

import os
import re
import time
from collections import Counter
from functools import partial
from itertools import cycle, islice

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.patience import patient

pytestmark = [pytest.mark.system, pytest.mark.slow]

FIRST = 3  # one by each way: what is made once is there
STOP_TIMEOUT = 60  # seconds; what is deaf is killed a few earlier
GROWTH = 1024  # KiB of private memory that keeper and daemon together may take more: their logs, their caches
MOST_THREADS = 3 + min(32, (os.cpu_count() or 1) + 4)  # itself, who spawns, who deletes links, asyncio's at most
WAYS = (("restart", "101"), ("exec", "101", "reboot"), ("exec", "101", "systemctl reboot"))
# Of all boots.  systemd tries to unmount what it may not.
TROUBLE = r"""systemctl --failed --no-legend
journalctl -q -o cat _PID=1 -p warning | grep -v 'Failed unmounting .*/\.vz' || :"""


@pytest.mark.parametrize(("init", "times"), [("vz", 100), ("handoff", 12)])
def test_nothing_is_left_of_a_reboot(vz: Vz, init: str, times: int) -> None:
    vz.start(101, "--init", init, "--ipadd", "192.0.2.101", template="debian-12")
    vz.ctl("set", "101", "--stop-timeout", str(STOP_TIMEOUT), "--save")
    vz.ctl("exec2", "101", "mkdir -p /var/log/journal")  # from the next boot on
    took = [reboot(vz, way) for way in WAYS]
    before, memory = held(vz), private(vz)
    took += [reboot(vz, way) for way in islice(cycle(WAYS), times - FIRST)]
    print(f"{init}: {times} reboots, median {sorted(took)[times // 2]:.2f} s, longest {max(took):.2f} s")
    machine.until("as it was", partial(is_as, vz, before), pause=0.5)
    print(f"private memory {memory} -> {private(vz)} KiB")
    assert private(vz) - memory < GROWTH
    assert threads(vz.keeper_pid) == 1 and threads(vz.daemon_pid) <= MOST_THREADS
    assert max(took) < patient(STOP_TIMEOUT - 10)
    boots = vz.ctl("exec2", "101", "journalctl -q -o cat -u cron | grep -c 'Started cron'").stdout
    assert int(boots) >= min(times, 50)  # the oldest ones may have been rotated away
    assert vz.ctl("exec2", "101", TROUBLE).stdout == ""


def reboot(vz: Vz, way: tuple[str, ...]) -> float:
    """Seconds until it answers again."""
    clock, start = vz.uptime_clock(101), time.monotonic()
    vz.ctl(*way, check=0 if way[0] == "restart" else None)
    vz.wait_reboot(101, clock)
    settled = "until systemctl is-system-running | grep -E 'running|degraded'; do sleep 0.02; done"
    vz.ctl("exec2", "101", f"timeout {patient(60):g} sh -c \"{settled}\"")
    return time.monotonic() - start


def is_as(vz: Vz, before: dict[str, object]) -> bool:
    now = held(vz)
    print([(kind, before[kind], now[kind]) for kind in before if before[kind] != now[kind]])
    return now == before


def held(vz: Vz) -> dict[str, object]:
    """What the host has because of the container and of its own doing, by kind."""
    ours = (vz.keeper_pid, vz.daemon_pid)
    return {
        "mounts": sorted(machine.mounts_below(vz.prefix)),
        "loop devices": len(machine.loops_below(vz.prefix)),
        "cgroups": own_cgroups(vz),
        "processes": len(machine.processes_of(vz.prefix)),
        "links": re.findall(r"^\d+: ([^:@]+)", vz.ip("-o", "link"), re.MULTILINE),
        "routes": vz.ip("route") + vz.ip("-6", "route"),
        "nft": vz.run("nft", "list", "ruleset").stdout,
        "descriptors": [descriptors(pid) for pid in ours],
        "keys": keys(vz.init_pid(101)),
    }


def own_cgroups(vz: Vz) -> list[str]:
    """Without those that systemd makes for its units."""
    return sorted(path for path in machine.cgroups_named(vz.paths.cgroup_root) if ".slice" not in path)


def descriptors(pid: int) -> Counter[str]:
    """What a process has open: names without the numbers in them."""
    return Counter(re.sub(r"\d+", "N", name) for name in machine.descriptors(pid))


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def keys(init: int) -> int:
    """Keys and keyrings of the users of the container."""
    base, size = (int(word) for word in machine.read(f"/proc/{init}/uid_map").split()[1:3])
    lines = (line.replace(":", " ").split() for line in machine.read("/proc/key-users").splitlines())
    return sum(int(words[1]) for words in lines if base <= int(words[0]) < base + size)


def private(vz: Vz) -> int:
    """KiB of memory that keeper and daemon share with nobody."""
    rollups = [machine.read(f"/proc/{pid}/smaps_rollup") for pid in (vz.keeper_pid, vz.daemon_pid)]
    return sum(int(number) for text in rollups for number in re.findall(r"^Private_\w+:\s+(\d+)", text, re.MULTILINE))

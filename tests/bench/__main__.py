"""make bench: vzhost beside other managers, one run, interleaved in random order with gaps.

    python -m tests.bench --out build/bench [--rounds 30] [--many 200]

Writes results.json, table.md and plot.svg.  Figures of a busy machine: trust medians and same-round ratios.
"""

import argparse
import contextlib
import ctypes
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict

from tests.bench import distributions, measure, peers, report
from tests.bench.measure import Samples
from tests.bench.ours import CTIDS, PLAIN, Vzhost
from tests.harness import installation, machine
from tests.harness.installation import CHECKOUT, Vz

CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = 0x4000 | 0x40000
UNIFIED = "/sys/fs/cgroup/unified"
CLONE = 90  # a container of the longest way: create and start
PEERS_MANY = 20  # containers of a peer for its memory figure

Table = dict[str, dict[str, Samples]]


def private_mounts() -> None:
    """Leave the mount namespace that we share with others."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "private mount namespace")


def memory_for_run(vz: Vz) -> str:
    """Below a prefix /run would be a directory of a disk, and is a tmpfs on every machine.  Returns the mount point."""
    place = f"{vz.prefix}/run"
    os.makedirs(place, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", place], check=True)
    return place


def hide_unified() -> None:
    """crun refuses v1 beside a unified tree that has a controller."""
    private_mounts()
    if os.path.ismount(UNIFIED):
        subprocess.run(["umount", UNIFIED], check=True)


def root_filesystem(scratch: str, cache: str) -> str:
    """The busybox template as a plain tree, with our static /init and the FIFO /stamp."""
    rootfs = f"{scratch}/rootfs"
    os.makedirs(rootfs)
    archive = f"{cache}/busybox-{os.uname().machine}.tar.zst"
    subprocess.run(["tar", "--zstd", "-xpf", archive, "-C", rootfs], check=True)
    source = os.path.join(CHECKOUT, "tests", "bench", "init.c")
    subprocess.run(["gcc", "-O2", "-static", "-o", f"{rootfs}/init", source], check=True)
    os.mkfifo(f"{rootfs}/stamp")
    return rootfs


class Bench:
    """The rounds: every manager once per round, in another order each time."""

    def __init__(self, ours: Vzhost, managers: list[peers.Manager], rootfs: str) -> None:
        self._ours = ours
        self._managers = {manager.name: manager for manager in [ours, *managers]}
        self._stamp = os.open(f"{rootfs}/stamp", os.O_RDWR | os.O_NONBLOCK)
        self.results: Table = defaultdict(lambda: defaultdict(Samples))
        self.errors: list[str] = []

    def run(self, rounds: int) -> None:
        for number in range(rounds):
            for name in measure.shuffled(list(self._managers), seed=number):
                try:
                    self._one(number, name)
                except (RuntimeError, OSError, AssertionError, subprocess.SubprocessError) as error:
                    self.errors.append(f"{name}, round {number}: {error}")
                    with contextlib.suppress(Exception):
                        self._managers[name].stop()
            print(f"\rbench: round {number + 1} of {rounds}", end="", flush=True)
        print()

    def _one(self, number: int, name: str) -> None:
        manager = self._managers[name]
        time.sleep(measure.GAP)  # a gap between starts is part of the method, not synchronisation
        with contextlib.suppress(BlockingIOError):
            os.read(self._stamp, 4096)
        began = time.monotonic_ns()
        took = measure.timed(manager.start)
        self._main(name, number, began)
        if name != "systemd-nspawn":
            self._add("start", name, number, took)
        self._add("exec", name, number, measure.timed(manager.run_true))
        self._add("status", name, number, measure.timed(manager.status))
        if manager is self._ours:
            self._only_ours(number)
        took = measure.timed(manager.stop)
        self._add("stop", name, number, took)
        self._add("stop, daemon", name, number, self._part(name, r"stop: ([\d.]+) ms", took))
        self._add("stop, plain", name, number, self._plain_stop() if manager is self._ours else took)

    def _only_ours(self, number: int) -> None:
        ours = self._ours
        for verb, phase, action in (("chkpnt", "dump", ours.chkpnt), ("restore", "restore", ours.restore)):
            self._add(verb, ours.name, number, measure.timed(action))
            self._add(f"{verb}, daemon", ours.name, number, ours.logged(rf"{verb}: ([\d.]+) ms"))
            self._add(f"{verb}, criu", ours.name, number, ours.logged(rf"{phase}: criu ([\d.]+) ms"))
        self._add("reboot", ours.name, number, measure.timed(ours.reboot))

    def _plain_stop(self) -> float:
        """Ours of a container that, as those of the others, has no file system of its own to unmount."""
        self._ours.command("start", str(PLAIN))
        time.sleep(measure.GAP)
        self._ours.command("stop", str(PLAIN), "--fast")
        return self._ours.logged(r"stop: ([\d.]+) ms", PLAIN)

    def _main(self, name: str, number: int, began: int) -> None:
        """When PID 1 reached main.  *began*: CLOCK_MONOTONIC ns before the command."""
        if name == self._ours.name:
            clock = self._part(name, r"main at (\d+)")
        else:
            machine.until("the stamp of PID 1", self._stamped)
            clock = float(self._text.split()[-1])
        took = (clock - began) / 1e6
        self._add("main", name, number, took)
        self._add("main, daemon", name, number, self._part(name, r"main at \d+: ([\d.]+) ms", took))

    def _part(self, name: str, what: str, whole: float = 0.0) -> float:
        """What our daemon says of its own part; others have no daemon, their part is the *whole*."""
        return self._ours.logged(what) if name == self._ours.name else whole

    def _stamped(self) -> bool:
        try:
            self._text = os.read(self._stamp, 4096)
        except BlockingIOError:
            return False
        return bool(self._text)

    def _add(self, operation: str, name: str, number: int, milliseconds: float) -> None:
        self.results[operation][name].add(number, milliseconds)


def clones(vz: Vz, results: Table, rounds: int) -> None:
    """Create and start a Debian container whose template is unpacked already."""
    for number in range(-1, rounds):  # the first unpacks it
        time.sleep(measure.GAP)
        took = measure.timed(lambda: vz.start(CLONE, template="debian-12"))
        if number >= 0:
            results["clone"]["vzhost"].add(number, took)
        vz.ctl("stop", str(CLONE), "--fast")
        vz.ctl("destroy", str(CLONE))


def memory_of_ours(vz: Vz, many: int, results: Table, rounds: int) -> dict[str, float]:
    """Start *many* containers: memory of each, and vzlist of all of them."""
    numbers = range(CTIDS.stop, CTIDS.stop + many)
    for ctid in numbers:
        vz.create(ctid)
    before, kernel = measure.all_private(), measure.kernel_kib()
    hostd = before.get(vz.daemon_pid, 0) + before.get(vz.keeper_pid, 0)
    for ctid in numbers:
        vz.ctl("start", str(ctid))
    for number in range(rounds):
        results["vzlist"]["vzhost"].add(number, measure.timed(lambda: vz.vzlist("-a")))
    inits = [measure.private_kib(vz.init_pid(ctid)) for ctid in list(numbers)[:20]]
    now = measure.private_kib(vz.daemon_pid) + measure.private_kib(vz.keeper_pid)
    row = {
        "PID 1 private": sorted(inits)[len(inits) // 2],
        "manager": (now - hostd) / many,
        "kernel": (measure.kernel_kib() - kernel) / many,
    }
    for ctid in numbers:
        vz.ctl("stop", str(ctid), "--fast")
    return row


def memory_of_peers(rootfs: str, scratch: str, failures: list[str]) -> dict[str, dict[str, float]]:
    """The same for each peer with fewer containers; a new process that names our container is the manager's."""
    rows: dict[str, dict[str, float]] = {}
    for kind in range(len(peers.available(rootfs, scratch))):
        group = [peers.available(rootfs, scratch, n)[kind] for n in range(PEERS_MANY)]
        name = group[0].name
        if name == "systemd-nspawn":
            continue  # one container per directory
        before, kernel = measure.all_private(), measure.kernel_kib()
        try:
            for manager in group:
                manager.start()
            new = {pid: kib for pid, kib in measure.all_private().items() if pid not in before}
            inits = [kib for pid, kib in new.items() if machine.cmdline(pid)[0] == "/init"]
            rows[f"{name} ({PEERS_MANY})"] = {
                "PID 1 private": sorted(inits)[len(inits) // 2] if inits else 0,
                "manager": sum(kib for pid, kib in new.items() if names_ours(pid)) / PEERS_MANY,
                "kernel": (measure.kernel_kib() - kernel) / PEERS_MANY,
            }
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            failures.append(f"{name}: {error}")
        finally:
            for manager in group:
                with contextlib.suppress(RuntimeError, OSError):
                    manager.stop()
    return rows


def names_ours(pid: int) -> bool:
    return any(f"vzbench-{os.getpid()}" in word for word in machine.cmdline(pid))


def facts(rounds: int) -> str:
    load = os.getloadavg()[0]
    return (
        f"{platform.release()} {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, "
        f"{rounds} rounds, {measure.GAP * 1000:.0f} ms before each start, {time.strftime('%Y-%m-%d')}.  "
        "One busybox root filesystem; vzhost with user namespace, seccomp, cgroup limits, ext4 image and "
        "a routed address; the others without user namespace and network device."
    )


def write(
    out: str, bench: Bench, memory: dict[str, dict[str, float]], whole: distributions.Figures, rounds: int
) -> str:
    os.makedirs(out, exist_ok=True)
    text = report.table(bench.results, memory, facts(rounds)) + "\n" + distributions.table(whole)
    raw = plain(bench.results)
    files = {
        "results.json": json.dumps(
            {"ms": raw, "memory_kib": memory, "distributions": plain(whole), "errors": bench.errors}, indent=1
        ),
        "table.md": text,
        "plot.svg": report.plot(bench.results),
    }
    for name, content in files.items():
        with open(f"{out}/{name}", "w", encoding="utf-8") as file:
            file.write(content)
    return text


def plain(table: Table) -> dict[str, dict[str, dict[int, float]]]:
    return {op: {name: samples.values for name, samples in row.items()} for op, row in table.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("--cache", default=installation.CACHE)
    parser.add_argument("--out", default="build/bench")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--many", type=int, default=200)
    options = parser.parse_args()
    for name in peers.missing():
        print(f"bench: {name} is not installed and left out (make bench-deps)")
    out = os.path.abspath(options.out)
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="vzbench-") as scratch:
        rootfs = root_filesystem(scratch, options.cache)
        vz = Vz()
        private_mounts()
        run = memory_for_run(vz)
        try:
            ours = Vzhost(vz)
            hide_unified()
            bench = Bench(ours, peers.available(rootfs, scratch), rootfs)
            bench.run(options.rounds)
            clones(vz, bench.results, options.rounds)
            print(f"bench: memory of {options.many} containers")
            memory = {
                f"vzhost ({options.many} containers)": memory_of_ours(vz, options.many, bench.results, options.rounds)
            }
            memory |= memory_of_peers(rootfs, scratch, bench.errors)
            print("bench: whole distributions")
            whole = distributions.measured(vz, options.rounds)
            print(write(out, bench, memory, whole, options.rounds))
        finally:
            left = [line for line in vz.remove() if line != f"mount {run}"]
            peers.forget()
    for text in [*bench.errors[:5], *left]:
        print(f"bench: {text}", file=sys.stderr)
    print(f"bench: {out}/table.md, results.json, plot.svg")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())

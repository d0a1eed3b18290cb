"""What four quiet containers feel of a fifth that takes all it can get, and how exactly limits and weights are kept.

    python -m tests.bench.neighbours [--seconds 10] [--only NAME ...] [--hog="--iolimit 10M"] [--disk bfq]

The neighbours do a fixed small job fifty times a second, as much less often as the machine is slow (job.c): a
millisecond of arithmetic, a process, 16 KiB that reach the disk.  They have a guarantee: four times the processor
weight of the other one, memory.low where there is one, and the highest I/O priority, which counts where the disk's
scheduler knows any (--disk).  The table has the median of each part in microseconds, and its ratio to that without a
stress, as measured right before and right after.  Figures of a busy machine say nothing.
"""

import argparse
import base64
import os
import shlex
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from tests.bench import disk, shares
from tests.harness import machine
from tests.harness.installation import CHECKOUT, Vz
from tests.harness.patience import patient
from tests.harness.stresses import LIMITS, STRESSES, Stress

HOG, NEIGHBOURS = 101, (102, 103, 104, 105)
GUARANTEE = ("--cpuunits", "4000", "--vmguarpages", "64M", "--ioprio", "7")
LAST = ("--ioprio", "0")
PARTS = ("compute", "process", "file")
PAUSE = patient(20)  # milliseconds from one job to the next: they are quiet neighbours
REST = 1  # seconds: what a stress has left in caches and queues is on its way

Figures = dict[str, float]  # part -> microseconds


def build(vz: Vz) -> str:
    """The job, for a container of any distribution, as text."""
    program = f"{vz.prefix}/job"
    subprocess.run(["gcc", "-O2", "-static", "-o", program, f"{CHECKOUT}/tests/bench/job.c"], check=True)
    with open(program, "rb") as file:
        return base64.b64encode(file.read()).decode("ascii")


def settle(vz: Vz) -> None:
    """The neighbours run and have the job."""
    program = build(vz)
    for ctid in NEIGHBOURS:
        vz.create(ctid)
        vz.ctl("set", str(ctid), *GUARANTEE, "--save")
        vz.ctl("start", str(ctid))
        vz.ctl("exec2", str(ctid), "base64 -d >/job && chmod 755 /job", input=program)


def latency(vz: Vz, seconds: int) -> Figures:
    """All neighbours at once, for so long."""
    job = ("/job", str(seconds), f"{PAUSE:.0f}")
    jobs = [vz.popen("vzctl", "exec3", str(ctid), *job) for ctid in NEIGHBOURS]
    took: dict[str, list[int]] = defaultdict(list)
    for one in jobs:
        for line in one.communicate(timeout=patient(seconds + 60))[0].splitlines():
            part, nanoseconds = line.split()
            took[part].append(int(nanoseconds))
    return {part: statistics.median(took[part]) / 1000 for part in PARTS}


@contextmanager
def under(vz: Vz, stress: Stress, hog: list[str]) -> Iterator[None]:
    """The hog has all it can get inside of this, with *hog* set for it."""
    vz.create(HOG, *stress.disk, template=stress.template)
    vz.ctl("set", str(HOG), *LIMITS, *LAST, *hog, "--save")
    vz.ctl("start", str(HOG))
    taking = vz.popen("vzctl", "exec2", str(HOG), stress.command)
    try:
        assert taking.stdout is not None
        if not taking.stdout.readline().startswith("full"):
            raise RuntimeError(f"{stress.name} ended: {taking.communicate()}, {taking.returncode}; {vz.log_tail()}")
        yield
    finally:
        vz.ctl("stop", str(HOG), "--fast")
        vz.ctl("destroy", str(HOG))


def row(name: str, figures: Figures, idle: Figures) -> str:
    cells = (f"{figures[part]:12.0f}{figures[part] / idle[part]:7.2f}" for part in PARTS)
    return f"{name:14}" + "".join(cells)


def neighbours(vz: Vz, wanted: list[Stress], seconds: int, hog: list[str]) -> None:
    print(f"{'microseconds':14}" + "".join(f"{part:>12}{'ratio':>7}" for part in PARTS), flush=True)
    settle(vz)
    first = before = latency(vz, seconds)
    print(row("idle", first, first), flush=True)
    for stress in wanted:
        with under(vz, stress, hog):
            figures = latency(vz, seconds)
        time.sleep(REST)
        after = latency(vz, seconds)
        print(row(stress.name, figures, {part: (before[part] + after[part]) / 2 for part in PARTS}), flush=True)
        before = after
    print(row("idle again", before, first), flush=True)
    for ctid in NEIGHBOURS:
        vz.ctl("stop", str(ctid), "--fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement")
    parser.add_argument("--only", nargs="*", choices=[stress.name for stress in STRESSES], help="of the stresses")
    parser.add_argument("--hog", default="", metavar="OPTIONS", help="what else `vzctl set` sets for who takes all")
    parser.add_argument("--disk", metavar="SCHEDULER", help="on a disk of its own with this I/O scheduler")
    given = parser.parse_args()
    wanted = [stress for stress in STRESSES if given.only is None or stress.name in given.only]
    with disk.of_its_own(given.disk) if given.disk else nullcontext("") as place:
        vz = Vz(prefix=tempfile.mkdtemp(prefix="vzt-", dir=place or "/var/tmp"))
        try:
            print(f"{os.cpu_count()} processors, load {machine.read('/proc/loadavg').split()[0]}")
            neighbours(vz, wanted, given.seconds, shlex.split(given.hog))
            if given.only is None:
                shares.measure(vz, given.seconds)
        finally:
            left = vz.remove()
    if left:
        raise SystemExit("left behind:\n" + "\n".join(left))


if __name__ == "__main__":
    main()

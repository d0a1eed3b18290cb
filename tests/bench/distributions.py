"""Whole distributions: the same image under vzinit and under its own systemd, in turn, in one run."""

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping

from tests.bench import measure
from tests.bench.measure import Samples
from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.many_services import SERVICES as BUSY
from tests.harness.many_services import all_up, settle_ports

INITS = ("vz", "handoff")
MINIMAL = ("debian-12", "debian-13")
FIRST = 600  # of the numbers of these containers
DENSE = 10  # containers of one image beside each other
SETTLE = 5.0  # seconds until what only runs at a boot has ended

Figures = dict[str, dict[str, Samples]]  # image and what of it -> init -> milliseconds or KiB


def measured(vz: Vz, rounds: int) -> Figures:
    """Starts and stops of minimal and of busy images; memory of one container, and of each of ten."""
    found: Figures = defaultdict(lambda: defaultdict(Samples))
    numbers = iter(range(FIRST, FIRST + 1000))
    for image in (*MINIMAL, *BUSY):
        busy = image in BUSY
        pair = {init: next(numbers) for init in INITS}
        for init, ctid in pair.items():
            made(vz, ctid, image, init)
        for number in range(max(rounds // 10, 3) if busy else rounds):
            for init in measure.shuffled(INITS, seed=number):
                one_life(vz, pair[init], image, number, found, init)
        for init, ctid in pair.items():
            if not busy:
                dense = [ctid, *(next(numbers) for _ in range(DENSE - 1))]
                memory(vz, dense, image, found, init)
    return found


def made(vz: Vz, ctid: int, image: str, init: str) -> None:
    vz.create(ctid, "--init", init, template=image)
    if image in BUSY:
        vz.ctl("set", str(ctid), "--diskspace", "4G", "--stop-timeout", "120", "--save")
        settle_ports(vz, str(ctid))


def one_life(vz: Vz, ctid: int, image: str, number: int, found: Figures, init: str) -> None:
    """Start, until every service is up; then an orderly stop."""
    time.sleep(measure.GAP)
    began = time.monotonic_ns()
    vz.ctl("start", str(ctid), "--wait")
    if image in BUSY:
        machine.until("up", lambda: all_up(vz, str(ctid), image), 180, pause=0.05)
    found[f"{image}: start until all is up, ms"][init].add(number, (time.monotonic_ns() - began) / 1e6)
    if number == 0:
        time.sleep(SETTLE)
        found[f"{image}: memory of one (PSS), KiB"][init].add(0, pss_kib(vz, [ctid]))
    took = measure.timed(lambda: vz.ctl("stop", str(ctid)))
    found[f"{image}: orderly stop, ms"][init].add(number, took)


def memory(vz: Vz, ctids: list[int], image: str, found: Figures, init: str) -> None:
    """Of each of several beside each other: they share the pages of the image's files."""
    for ctid in ctids[1:]:
        made(vz, ctid, image, init)
    for ctid in ctids:
        vz.ctl("start", str(ctid), "--wait")
    time.sleep(SETTLE)
    found[f"{image}: memory of each of {len(ctids)} (PSS), KiB"][init].add(0, pss_kib(vz, ctids) / len(ctids))
    floor = pss_kib(vz, ctids, only=("sshd", "cron")) / len(ctids)
    found[f"{image}: of that sshd and cron, KiB"][init].add(0, floor)
    for ctid in ctids:
        vz.ctl("stop", str(ctid), "--fast")


def pss_kib(vz: Vz, ctids: Iterable[int], only: tuple[str, ...] = ()) -> float:
    """Proportional set size of all processes in containers, or of those with a name in *only*."""
    wanted = {os.readlink(f"/proc/{vz.init_pid(ctid)}/ns/pid") for ctid in ctids}
    total = 0
    for pid in machine.pids():
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") not in wanted:
                continue
        except OSError:
            continue
        if only and machine.read(f"/proc/{pid}/comm").strip() not in only:
            continue
        found = re.search(r"^Pss:\s+(\d+)", machine.read(f"/proc/{pid}/smaps_rollup"), re.MULTILINE)
        total += int(found[1]) if found else 0
    return total


def table(figures: Mapping[str, Mapping[str, Samples]]) -> str:
    """Markdown: both inits, and how many times as much the image's own takes."""
    lines = ["| a whole distribution | INIT=vz | INIT=handoff: systemd | ratio |", "|---|---|---|---|"]
    for what, row in figures.items():
        ours, theirs = row["vz"], row["handoff"]
        ratio = theirs.ratio_to(ours)
        lines.append(f"| {what} | {_cell(ours)} | {_cell(theirs)} | {ratio or 0:.1f}x |")
    return "\n".join(lines) + "\n"


def _cell(samples: Samples) -> str:
    low, median, high = samples.spread()
    return f"**{median:.0f}**" if len(samples.values) == 1 else f"{low:.0f} / **{median:.0f}** / {high:.0f}"

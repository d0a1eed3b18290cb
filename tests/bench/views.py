"""What a read of a file of the server's costs: open, read to the end, close, by a process of a container.

    python -m tests.bench.views

Beside the same of the kernel's own file.  Microseconds, median and least of many reads in a row: by a server that
makes each text anew, and by ours, which uses a text again for a hundredth of a second.
"""

import os
import statistics
import sys
import tempfile
import time

from hostd.cgroup import limits
from hostd.cgroup.limits import Limits
from hostd.proc.points import POINTS
from tests.bench.measure import private_kib
from tests.harness.installation import CHECKOUT
from tests.harness.proc_box import ProcBox

ROUNDS = 1000
FORGETS = f"""
import sys
sys.path.insert(0, {CHECKOUT!r})
from hostd.proc import files, main
files._FRESH = -1
main.main(*sys.argv[1:])
"""


def microseconds(path: str) -> str:
    took = []
    for _ in range(ROUNDS):
        begin = time.perf_counter_ns()
        fd = os.open(path, os.O_RDONLY)
        while os.read(fd, 65536):
            pass
        os.close(fd)
        took.append(time.perf_counter_ns() - begin)
    return f"{statistics.median(took) / 1000:.0f} ({min(took) / 1000:.0f})"


def measure(directory: str) -> None:
    """In the container."""
    for name, point in POINTS.items():
        print(f"{name:12}{microseconds(point):>14}{microseconds(f'{directory}/{name}'):>14}")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        box = ProcBox(directory)
        try:
            container = box.container(101)
            limits.apply(container, Limits(ram=256 << 20, cpulimit=50))
            for what, program in (("anew", FORGETS), ("ours", "")):
                box.serve(program)
                reader = box.reader(container, sys.executable, "-m", "tests.bench.views", directory)
                print(f"{'file':12}{'kernel':>14}{what:>14}\n{reader.communicate()[0]}")
                print(f"private memory of the server: {private_kib(box.pid)} KiB\n")
                box.kill()
        finally:
            box.end()


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()

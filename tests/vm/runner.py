"""A selection of the suite in one machine or several at a time: output as it comes, one status, one retry."""

import glob
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from tests.vm.boot import Order, Outcome, boot, ending
from tests.vm.pieces import Pieces

NO_TEST = 5  # pytest's
DIED = 125  # status of a run whose machine died or took too long
FOOTPRINT = ("/run/vm/footprint",)
# -v: a line for each test as it ends.  A file of many takes a quarter of an hour there; one test, never half an hour.
PYTEST = (
    "build/venv/bin/python", "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.vm.share", "-p", "tests.vm.at_once",
    "-v", "--durations=20", "-o", "faulthandler_timeout=1800", "-o", "faulthandler_exit_on_timeout=true",
    "--junitxml=/results/junit.xml",
)  # fmt: skip
SLOW = 6.0  # under emulation: container tests take 4-5 times as long, pure Python 16 times (ADR 009)
SCRIPT = """#!/bin/sh
export VZ_SLOW={slow} VZ_THINNED={thinned} PYTHONUNBUFFERED=1 CC=gcc
{build}
exec {words}
"""
# On a processor that the host cannot run.  Its packages are unpacked, not installed: no use in asking for them.
BUILD_INSIDE = """set -e
make -o build/deps.stamp build/shim.stamp build/runtime.stamp build/bin.stamp
make -o build/deps.stamp image-busybox
set +e"""


@dataclass(frozen=True)
class Report:
    """Where the results of a shard are, and how it ended."""

    directory: str
    outcome: Outcome


def run(pieces: Pieces, commands: list[str], order: Order, directory: str) -> int:
    """Each of *commands* in a machine of its own, at the same time; the worst status.

    DIED when a machine did not give one, twice.
    """
    shutil.rmtree(directory, ignore_errors=True)
    several = len(commands) > 1
    with ThreadPoolExecutor(len(commands)) as pool:
        futures = [
            pool.submit(
                _with_one_retry, pieces, replace(order, command=command, number=number),
                f"{directory}/{number}", printer(f"{number}| " if several else ""),
            )
            for number, command in enumerate(commands, 1)
        ]  # fmt: skip
        reports = [future.result() for future in futures]
    for report in reports:
        tell(report)
    return worst(reports)


def worst(reports: list[Report]) -> int:
    """The highest status; that no test was selected counts only if it was so everywhere."""
    codes = [DIED if report.outcome.code is None else report.outcome.code for report in reports]
    return max((code for code in codes if code != NO_TEST), default=NO_TEST)


def script(pieces: Pieces, *words: str, thinned: bool = False) -> str:
    """A script that runs *words* in the tree, which is built first where the host could not do it."""
    build = "" if pieces.machine.arch.native else BUILD_INSIDE
    slow = SLOW if pieces.emulated else 1
    return SCRIPT.format(slow=f"{slow:g}", thinned=int(thinned), build=build, words=shlex.join(words))


def _with_one_retry(pieces: Pieces, order: Order, directory: str, output: Callable[[bytes], None]) -> Report:
    """Only for a machine that never came to its command, or ended under it: a test that fails has failed."""
    outcome = boot(pieces, order, directory, output)
    if outcome.code is None and not outcome.slow and not ending():
        output(f"vm: {outcome.why}; once more\n{console_tail(directory)}\n".encode())
        outcome = boot(pieces, order, directory, output)
    return Report(directory, outcome)


def tell(report: Report) -> None:
    outcome = report.outcome
    if outcome.code is None:
        print(f"vm: {outcome.why}; its last words:\n{console_tail(report.directory)}", flush=True)
    else:
        print(
            f"vm: exit {outcome.code}, booted in {outcome.boot_seconds:.1f} s, ran {outcome.command_seconds:.0f} s,"
            f" results in {os.path.relpath(report.directory)}",
            flush=True,
        )


def console_tail(directory: str, size: int = 3000) -> str:
    """The end of what kernel and QEMU said."""
    said = ""
    for name in ("console.log", "qemu.log"):
        if os.path.exists(path := f"{directory}/{name}"):
            with open(path, encoding="utf-8", errors="replace") as file:
                said += file.read()[-size:]
    return said


def printer(prefix: str) -> Callable[[bytes], None]:
    """Prints what a machine says, whole lines behind *prefix*."""
    rest = b""

    def put(data: bytes) -> None:
        nonlocal rest
        if prefix:
            *lines, rest = (rest + data).split(b"\n")
            data = b"".join(prefix.encode() + line + b"\n" for line in lines)
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    return put


def records(directory: str) -> list[str]:
    """The junit files of the runs below *directory*."""
    return sorted(glob.glob(f"{directory}/**/junit.xml", recursive=True))

"""What ran where: one table from the junit records of the host and of the machines.

A feature that a test needs, and that no test exercised with success on any kernel, makes the summary fail: a run in
which all kernels lack it proves nothing about it.
"""

import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

RESULTS = ("passed", "failed", "skipped")


@dataclass(frozen=True)
class Case:
    """One test on one kernel.  *needs*: what it said that it needs, and was asked for before it ended or skipped."""

    kernel: str
    result: str
    needs: tuple[str, ...]


def main(records: list[str]) -> int:
    """Print the table; 1 when a needed feature was exercised nowhere, or when there is no record at all."""
    cases = [case for record in records for case in read(record)]
    if not cases:
        print("no record of any test on a kernel: run `make test` or `make test-vm` first")
        return 1
    print("\n".join(table(cases)))
    if missing := unexercised(cases):
        print(f"\nexercised on no kernel: {', '.join(missing)}")
    return 1 if missing else 0


def read(record: str) -> Iterator[Case]:
    """The cases of a junit file that know their kernel: root and system tests."""
    for case in ElementTree.parse(record).iter("testcase"):
        properties = [(each.get("name", ""), each.get("value", "")) for each in case.iter("property")]
        kernel = next((value for name, value in properties if name == "kernel"), "")
        if kernel:
            needs = sorted({value for name, value in properties if name == "needs"})
            yield Case(kernel, _result(case), tuple(needs))


def _result(case: ElementTree.Element) -> str:
    tags = {child.tag for child in case}
    if tags & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in tags else "passed"


def unexercised(cases: Iterable[Case]) -> list[str]:
    """Features that tests need and that none of those passed with, anywhere."""
    needed, exercised = set[str](), set[str]()
    for case in cases:
        needed.update(case.needs)
        exercised.update(case.needs if case.result == "passed" else ())
    return sorted(needed - exercised)


def table(cases: list[Case]) -> list[str]:
    """The kernels, numbered; then a row for each result and for each needed feature (tests that passed with it)."""
    results: dict[str, Counter[str]] = defaultdict(Counter)
    passed: dict[str, Counter[str]] = defaultdict(Counter)
    for case in cases:
        results[case.kernel][case.result] += 1
        for name in case.needs:
            passed[name][case.kernel] += case.result == "passed"
    kernels = sorted(results)
    rows = [["tests on kernel", *(str(number) for number in range(1, len(kernels) + 1))]]
    rows += [[result, *(str(results[kernel][result]) for kernel in kernels)] for result in RESULTS]
    rows += [[f"needs {name}", *(str(passed[name][kernel] or "-") for kernel in kernels)] for name in sorted(passed)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(word.rjust(width) for word, width in zip(row, widths, strict=True)) for row in rows]
    return [*(f"{number}: {kernel}" for number, kernel in enumerate(kernels, 1)), "", *lines]

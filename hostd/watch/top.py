"""vztop: options, and which of the two views."""

import argparse
import os
import sys
import time

from rich.console import Console

from hostd.watch import sample, view
from hostd.watch.rates import rows
from hostd.watch.sample import CannotAsk
from hostd.watch.screen import Screen

WIDTH = 160  # of a table that goes to a file


def main(programs: str, argv: list[str]) -> int:
    """*programs*: the directory of vzctl and vzlist.  The exit code: 0, 1 when vzlist fails, 2 for a bad option."""
    options = parser().parse_args(argv)
    vzctl, vzlist = (os.path.join(programs, name) for name in ("vzctl", "vzlist"))
    try:
        if options.batch or not (sys.stdin.isatty() and sys.stdout.isatty()):
            _print(vzlist, options)
        else:
            column = view.BY_TITLE[options.sort]
            Screen(vzctl, vzlist, options.delay, column, everything=options.all).run()
    except CannotAsk as why:
        print(f"vztop: {why}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError, BrokenPipeError):
        pass
    return 0


def _print(vzlist: str, options: argparse.Namespace) -> None:
    """*count* tables, one after the other; the first is already of a whole interval."""
    console = Console(width=WIDTH, color_system=None)
    before = sample.take(vzlist)
    for _ in range(options.count):
        time.sleep(options.delay)
        now = sample.take(vzlist)
        column = view.BY_TITLE[options.sort]
        found = [row for row in rows(before, now) if options.all or row.container.running]
        console.print(view.summary(found), highlight=False)
        console.print(view.table(view.ordered(found, column), column, None, WIDTH))
        before = now


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="vztop", description="What the containers of this machine do, live.")
    top.add_argument("-a", "--all", action="store_true", help="those that are down, too")
    top.add_argument("-b", "--batch", action="store_true", help="print a table instead of the live view")
    top.add_argument("-n", "--count", type=_positive(int), default=1, metavar="N", help="with -b: N tables (1)")
    top.add_argument("-d", "--delay", type=_positive(float), default=2.0, metavar="SECONDS", help="between looks (2)")
    top.add_argument("-s", "--sort", choices=view.BY_TITLE, default="cpu", metavar="COLUMN",
                     help=", ".join(view.BY_TITLE))  # fmt: skip
    return top


class _positive:
    """A type of argparse: a number above 0."""

    def __init__(self, kind: type[int] | type[float]) -> None:
        self._kind = kind
        self.__name__ = f"number of {'times' if kind is int else 'seconds'}"

    def __call__(self, text: str) -> float:
        value = self._kind(text)
        if not 0 < value < 1e9:
            raise ValueError(text)
        return value

"""The live view: what each key does, and the loop of looking and showing."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hostd.watch import sample, view
from hostd.watch.keys import Keys
from hostd.watch.rates import Row, rows
from hostd.watch.sample import CannotAsk, Sample

HELP = (
    "↑ ↓ choose  enter: a shell in it  S: stop it  a: those that are down  r: reverse  q: quit   sort by "
    + " ".join(f"{column.key}:{column.title.split()[0].rstrip('%').lower()}" for column in view.BY_KEY.values())
)


@contextmanager
def _aside(live: Live, keys: Keys) -> Iterator[None]:
    """Meanwhile the terminal looks as it did before."""
    live.stop()
    with keys.away():
        yield
    live.start()


class Screen:
    """What is shown, and how it changes.  *vzctl*, *vzlist*: the programs."""

    def __init__(self, vzctl: str, vzlist: str, seconds: float, column: view.Column, *, everything: bool) -> None:
        self._vzctl = vzctl
        self._vzlist = vzlist
        self._seconds = seconds
        self._column = column
        self._reverse = False
        self._everything = everything
        self._selected: int | None = None
        self._stopping: int | None = None  # asked about
        self._stopped: dict[int, subprocess.Popen[bytes]] = {}  # that are not known to be
        self._message = ""
        self._samples: tuple[Sample | None, Sample | None] = (None, None)
        self._keys: dict[str, Callable[[], None]] = {
            "up": lambda: self._choose(-1),
            "down": lambda: self._choose(1),
            "k": lambda: self._choose(-1),
            "j": lambda: self._choose(1),
            "r": lambda: setattr(self, "_reverse", not self._reverse),
            "a": lambda: setattr(self, "_everything", not self._everything),
            "S": self._ask,
        }

    def run(self) -> None:
        """Until somebody quits.  Raises CannotAsk when there is nothing to show from the start."""
        console = Console()
        self._look()
        with Keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(self._shown(*console.size), refresh=True)
                now = self._samples[1]
                key = keys.next((now.at if now else time.monotonic()) + self._seconds)
                if key is None:
                    self._look_again()
                elif key == "q":
                    return
                elif key == "pause":
                    with _aside(live, keys):
                        os.kill(os.getpid(), signal.SIGSTOP)
                elif key == "enter" and self._running(self._selected):
                    with _aside(live, keys):
                        subprocess.run([self._vzctl, "enter", str(self._selected)], check=False)
                elif key != "resize":
                    self._typed(key)

    def _running(self, ctid: int | None) -> bool:
        return any(row.container.running for row in self._rows() if row.container.ctid == ctid)

    def _look(self) -> None:
        """A hostd that was stopped meanwhile is not started for it."""
        self._samples = (self._samples[1], sample.take(self._vzlist, start=self._samples[1] is None))

    def _look_again(self) -> None:
        """A daemon that is being replaced is no reason to leave."""
        try:
            self._look()
            self._message = self._stops()
        except CannotAsk as why:
            self._message = str(why)
            time.sleep(min(1.0, self._seconds))

    def _rows(self) -> list[Row]:
        before, now = self._samples
        found = rows(before, now) if now else []
        return view.ordered(
            [row for row in found if self._everything or row.container.running], self._column, reverse=self._reverse
        )

    def _shown(self, width: int, height: int) -> Group:
        found = self._rows()
        space = max(1, height - 4)
        numbers = [row.container.ctid for row in found]
        if self._selected not in numbers:
            self._selected = None
        first = max(0, numbers.index(self._selected) - space + 1) if self._selected is not None else 0
        question = f"stop CT {self._stopping}? y or n" if self._stopping is not None else self._message
        return Group(
            Text(view.summary(found), style="bold"),
            view.table(found[first : first + space], self._column, self._selected, width),
            Text(question, style="red"),
            Text(HELP, style="dim", no_wrap=True, overflow="ellipsis"),
        )

    def _typed(self, key: str) -> None:
        if self._stopping is not None:
            if key == "y":
                self._stop(self._stopping)
            self._stopping = None
        elif key in self._keys:
            self._keys[key]()
        elif key in view.BY_KEY:
            self._column = view.BY_KEY[key]

    def _choose(self, step: int) -> None:
        numbers = [row.container.ctid for row in self._rows()]
        if not numbers:
            return
        if self._selected not in numbers:
            self._selected = numbers[0 if step > 0 else -1]
        else:
            at = numbers.index(self._selected) + step
            self._selected = numbers[min(max(at, 0), len(numbers) - 1)]

    def _ask(self) -> None:
        self._stopping = self._selected

    def _stop(self, ctid: int) -> None:
        """In the background: it may take as long as the container likes."""
        self._stopped[ctid] = subprocess.Popen(
            [self._vzctl, "stop", str(ctid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._message = self._stops()

    def _stops(self) -> str:
        """What is being stopped, or could not be."""
        over = {ctid: self._stopped.pop(ctid) for ctid in list(self._stopped) if self._stopped[ctid].poll() is not None}
        for ctid, child in over.items():
            lines = child.communicate()[1].decode(errors="replace").strip().splitlines()
            if child.returncode:
                return f"CT {ctid} was not stopped: {lines[-1] if lines else f'exit {child.returncode}'}"
        return f"stopping CT {', '.join(map(str, self._stopped))}" if self._stopped else ""

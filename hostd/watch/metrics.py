"""vzmetrics: the figures of all containers for Prometheus, over HTTP.  A scrape asks vzlist; else nothing is done."""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Metric, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from hostd.watch import sample
from hostd.watch.sample import CannotAsk, Container, Sample
from hostd.watch.web import Server

ADDRESS, PORT = "127.0.0.1", 9821
FRESH = 1.0  # seconds
_LABELS = ("ctid", "name")


class Figure(NamedTuple):
    """One metric `vzhost_container_NAME`.  *values*: what it says of a container, by the text of *label* where it has
    one; what is not known is left out.  A *counter* only grows while the container runs.
    """

    name: str
    help: str
    values: Callable[[Container], dict[str, float | None]]
    label: str = ""
    counter: bool = False


def _one(name: str, help: str, pick: Callable[[Container], float | None], *, counter: bool = False) -> Figure:
    return Figure(name, help, lambda one: {"": pick(one)}, counter=counter)


RUNNING = _one("running", "1 while it runs", lambda one: float(one.running))
FIGURES = (  # of those that run
    _one("uptime_seconds", "Since its start, without the time in checkpoints", lambda one: one.uptime),
    _one("processes", "Processes and threads", lambda one: one.processes),
    _one("memory_bytes", "RAM in use", lambda one: one.memory),
    _one("memory_limit_bytes", "RAM that it may use", lambda one: one.ram),
    _one("swap_bytes", "Swap in use", lambda one: one.swap),
    _one("swap_limit_bytes", "Swap that it may use", lambda one: one.swap_limit),
    _one("cpu_seconds", "Processor time", lambda one: one.cpu, counter=True),
    _one("disk_read_bytes", "Read from its disk", lambda one: one.read, counter=True),
    _one("disk_written_bytes", "Written to its disk", lambda one: one.written, counter=True),
    _one("network_receive_bytes", "Came into it", lambda one: one.came, counter=True),
    _one("network_transmit_bytes", "Went out of it", lambda one: one.went, counter=True),
    Figure("failures", "Refusals of a limit", lambda one: {**one.failures}, "beancounter", counter=True),
    Figure(
        *("pressure_ratio", "Share of the last 10 s in which something waited for it"),
        *(lambda one: {name: None if part is None else part / 100 for name, part in one.pressure.items()}, "resource"),
    ),
)


class Containers(Collector):
    """What Prometheus gets.  *vzlist*: the program that is asked."""

    def __init__(self, vzlist: str) -> None:
        self._vzlist = vzlist
        self._asking = threading.Lock()
        self._last: Sample | CannotAsk | None = None
        self._asked = 0.0

    def collect(self) -> Iterable[Metric]:
        try:
            found = self._sample().containers
        except CannotAsk as why:
            print(f"vzmetrics: {why}", file=sys.stderr)
            return [GaugeMetricFamily("vzhost_up", "1 when hostd answers", 0)]
        up = [one for one in found if one.running]
        return [
            GaugeMetricFamily("vzhost_up", "1 when hostd answers", 1),
            _metric(RUNNING, found),
            *(_metric(figure, up) for figure in FIGURES),
        ]

    def _sample(self) -> Sample:
        """Whoever can connect must not keep hostd busy: one question at a time, and no more than one a second."""
        with self._asking:
            if self._last is None or time.monotonic() - self._asked >= FRESH:
                self._last = self._ask()
                self._asked = time.monotonic()
            if isinstance(self._last, CannotAsk):
                raise self._last
            return self._last

    def _ask(self) -> Sample | CannotAsk:
        try:
            return sample.take(self._vzlist, start=False)
        except CannotAsk as why:
            return why


def _metric(figure: Figure, containers: Iterable[Container]) -> Metric:
    labels = [*_LABELS, *([figure.label] if figure.label else [])]
    family = CounterMetricFamily if figure.counter else GaugeMetricFamily
    metric = family(f"vzhost_container_{figure.name}", figure.help, labels=labels)
    for one in containers:
        for label, value in figure.values(one).items():
            if value is not None:
                metric.add_metric([str(one.ctid), one.name, *([label] if figure.label else [])], value)
    return metric


def main(programs: str, argv: list[str]) -> int:
    """Serve until a signal ends it.  *programs*: the directory of vzlist.  1: the address cannot be had."""
    address, port = parser().parse_args(argv).listen
    registry = CollectorRegistry()
    registry.register(Containers(os.path.join(programs, "vzlist")))
    ending = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        server = Server(address, port, make_wsgi_app(registry))
    except OSError as error:
        print(f"vzmetrics: cannot listen on {address} port {port}: {error.strerror}", file=sys.stderr)
        return 1
    thread = threading.Thread(target=server.serve)
    thread.start()
    signal.sigwait(ending)
    server.shutdown()
    thread.join()
    server.server_close()
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="vzmetrics", description="The figures of vztop for Prometheus.")
    top.add_argument("--listen", type=_address, default=(ADDRESS, PORT), metavar="ADDRESS:PORT",
                     help=f"where; {ADDRESS}:{PORT}")  # fmt: skip
    return top


def _address(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    if not address or not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text}: must be ADDRESS:PORT, as {ADDRESS}:{PORT}")
    return address.strip("[]"), int(port)

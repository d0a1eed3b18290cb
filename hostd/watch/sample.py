"""All containers at one moment, as vzlist tells them."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from typing import NamedTuple

LIMITED = ("numproc", "physpages", "swappages", "numtcpsock", "numothersock")  # those with a count of refusals
FIELDS = (
    *("ctid", "name", "hostname", "status", "uptime", "serial", *LIMITED),
    *("cputime", "ioread", "iowritten", "netin", "netout", "cpupsi", "mempsi", "iopsi"),
)
PRESSURES = {"cpu": "cpupsi", "memory": "mempsi", "io": "iopsi"}
_PAGE = 4096  # of vzlist, whatever the machine's is
_NO_LIMIT = (0, (1 << 31) - 1, (1 << 63) - 1)  # OpenVZ's words for it: LONG_MAX, also of a 32-bit kernel


class CannotAsk(Exception):
    """vzlist failed; the text is its own."""


class Container(NamedTuple):
    """One container.  *uptime*: seconds since its start, without the time in checkpoints.  Bytes and seconds of
    processor time begin anew with each *serial*: at a restore, too.  *ram* and *swap_limit* None: no limit.  None: not
    known.

    *failures*: how often each of LIMITED refused something, where that is known.  *pressure*: percent, by `cpu`,
    `memory` and `io`.
    """

    ctid: int
    name: str
    status: str
    uptime: float
    serial: int
    processes: int
    memory: int
    ram: int | None
    swap: int
    swap_limit: int | None
    failures: Mapping[str, int | None]
    cpu: float | None
    read: int | None
    written: int | None
    came: int | None
    went: int | None
    pressure: Mapping[str, float | None]

    @property
    def refused(self) -> int:
        return sum(number or 0 for number in self.failures.values())

    @property
    def running(self) -> bool:
        return self.status == "running"


class Sample(NamedTuple):
    """*at*: seconds of a clock that only goes forward."""

    at: float
    containers: tuple[Container, ...]


def take(vzlist: str, *, start: bool = True) -> Sample:
    """Ask the program *vzlist*, to which ^Z is not meant: who waits for it is who stops.  Raises CannotAsk.

    *start*: with a hostd that is started for it when there is none.
    """
    try:
        said = subprocess.run(
            [vzlist, "-a", "-j", "-o", ",".join(FIELDS)],
            env={**os.environ, **({} if start else {"VZ_START": "no"})},
            stdin=subprocess.DEVNULL, capture_output=True, check=False, process_group=0,
        )  # fmt: skip
    except OSError as error:
        raise CannotAsk(f"{vzlist}: {error.strerror}") from None
    if said.returncode:
        lines = said.stderr.decode(errors="replace").strip().splitlines()
        raise CannotAsk(lines[-1] if lines else f"{vzlist}: exit {said.returncode}")
    return Sample(time.monotonic(), read(said.stdout))


def read(text: bytes) -> tuple[Container, ...]:
    """What the JSON of vzlist says of FIELDS."""
    return tuple(_container(one) for one in json.loads(text))


def _container(one: Mapping[str, object]) -> Container:
    counters = {name: _counter(one[name]) for name in LIMITED}
    memory, swap = counters["physpages"], counters["swappages"]
    return Container(
        ctid=int(str(one["ctid"])),
        name=str(one["name"] or one["hostname"] or ""),
        status=str(one["status"]),
        uptime=float(str(one["uptime"] or 0)),
        serial=_whole(one["serial"]) or 0,
        processes=counters["numproc"]["held"],
        memory=memory["held"] * _PAGE,
        ram=_limit(memory),
        swap=swap["held"] * _PAGE,
        swap_limit=_limit(swap),
        failures={name: _failures(one[name]) for name in LIMITED},
        cpu=_number(one["cputime"]),
        read=_whole(one["ioread"]),
        written=_whole(one["iowritten"]),
        came=_whole(one["netin"]),
        went=_whole(one["netout"]),
        pressure={resource: _number(one[name]) for resource, name in PRESSURES.items()},
    )


def _limit(counter: Mapping[str, int]) -> int | None:
    return None if counter["limit"] in _NO_LIMIT else counter["limit"] * _PAGE


def _counter(value: object) -> dict[str, int]:
    """What is not known counts as nothing."""
    found = value if isinstance(value, dict) else {}
    return {name: found.get(name) or 0 for name in ("held", "limit")}


def _failures(value: object) -> int | None:
    return _whole(value.get("failcnt")) if isinstance(value, dict) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None

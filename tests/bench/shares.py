"""How exactly weights, limits of the processor and limits of I/O are kept while everybody wants more."""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from hostd.config.model import GlobalConfig
from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.patience import patient

WEIGHTS = {111: 500, 112: 1000, 113: 2000}  # CPUUNITS of containers that spin
ONE = 111  # the one with limits
LIMITS = (25, 50, 150)  # CPULIMIT in percent of one processor
RATES = (2, 8)  # IOLIMIT in MiB a second
OPERATIONS = (100, 400)  # IOPSLIMIT
SPIN = f"for n in $(seq {os.cpu_count()}); do while :; do :; done & done; echo full; wait"
MIB = 1 << 20

# A cgroup is one name in several hierarchies of v1, or in the only one of v2.
TOPS = tuple(
    top
    for top in ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup")
    if os.path.exists(f"{top}/cgroup.procs")
)
USAGE = (("cpuacct.usage", 1_000_000_000), ("cpu.stat", 1_000_000))  # on v1 and on v2; so many are a second


def measure(vz: Vz, seconds: int) -> None:
    print(f"\n{'':28}{'wanted':>10}{'measured':>10}{'off by':>9}")
    for ctid, units in WEIGHTS.items():
        vz.create(ctid)
        vz.ctl("set", str(ctid), "--cpuunits", str(units), "--save")
        vz.ctl("start", str(ctid))
    _between_containers(vz, seconds)
    _against_the_host(vz, seconds)
    _limits(vz, seconds)
    _rates(vz)


def _row(what: str, wanted: float, measured: float, unit: str) -> None:
    print(f"{what:28}{wanted:9.1f}{unit}{measured:9.1f}{unit}{(measured / wanted - 1) * 100:+8.1f}%", flush=True)


def _between_containers(vz: Vz, seconds: int) -> None:
    with ExitStack() as spinning:
        for ctid in WEIGHTS:
            spinning.enter_context(_spinning(vz, ctid))
        used = _used({str(ctid): _of(vz, ctid) for ctid in WEIGHTS}, seconds)
    total, weights = sum(used.values()), sum(WEIGHTS.values())
    for ctid, units in WEIGHTS.items():
        _row(f"weight {units} of {weights}", units / weights * 100, used[str(ctid)] / total * 100, "%")


def _against_the_host(vz: Vz, seconds: int) -> None:
    """A cgroup of the host's, beside the one that has all containers in it: VE0CPUUNITS beside the CPUUNITS of each."""
    units = GlobalConfig.load(vz.paths).host_cpuunits
    ours = vz.paths.cgroup_root
    with ExitStack() as spinning, _host_group() as host:
        for ctid in WEIGHTS:
            spinning.enter_context(_spinning(vz, ctid))
        used = _used({"host": host, "ours": ours}, seconds)
    everybody = units + sum(WEIGHTS.values())
    _row(f"host {units} of {everybody}", units / everybody * 100, used["host"] / sum(used.values()) * 100, "%")


def _limits(vz: Vz, seconds: int) -> None:
    for percent in LIMITS:
        if percent > 100 * (os.cpu_count() or 1):
            continue
        vz.ctl("set", str(ONE), "--cpulimit", str(percent))
        with _spinning(vz, ONE):
            _row(f"limit {percent} %", percent, _used({"it": _of(vz, ONE)}, seconds)["it"] * 100, "%")
    vz.ctl("set", str(ONE), "--cpulimit", "0")


def _rates(vz: Vz) -> None:
    """Of the container's own disk; big enough that the first burst does not count."""
    for mib in RATES:
        vz.ctl("set", str(ONE), "--iolimit", str(mib))
        for kind, how in (("direct", "oflag=direct"), ("buffered", "conv=fsync")):
            took = _dd(vz, f"if=/dev/zero of=/root/big bs=1M count={mib * 5} {how}")
            _row(f"{kind} writes {mib} MiB/s", mib, mib * 5 / took, "M")
        took = _dd(vz, f"if=/root/big of=/dev/null bs=1M count={mib * 5} iflag=direct")
        _row(f"direct reads {mib} MiB/s", mib, mib * 5 / took, "M")
    vz.ctl("set", str(ONE), "--iolimit", "0")
    for number in OPERATIONS:
        vz.ctl("set", str(ONE), "--iopslimit", str(number))
        took = _dd(vz, f"if=/dev/zero of=/root/big bs=4096 count={number * 5} oflag=direct")
        _row(f"{number} operations a second", number, number * 5 / took, " ")
    vz.ctl("set", str(ONE), "--iopslimit", "0")


def _dd(vz: Vz, how: str) -> float:
    """Seconds."""
    began = time.monotonic()
    vz.ctl("exec2", str(ONE), f"dd {how} 2>/dev/null")
    return time.monotonic() - began


@contextmanager
def _spinning(vz: Vz, ctid: int) -> Iterator[None]:
    """On every processor."""
    child = vz.popen("vzctl", "exec2", str(ctid), SPIN)
    try:
        assert child.stdout is not None and child.stdout.readline() == "full\n"
        yield
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(patient(20))


@contextmanager
def _host_group() -> Iterator[str]:
    """A cgroup at the top that spins on every processor."""
    name = f"vzt-{uuid.uuid4().hex[:8]}"
    with ExitStack() as undo:
        for top in TOPS:
            os.mkdir(f"{top}/{name}")
            undo.callback(os.rmdir, f"{top}/{name}")
        enter = "".join(f"echo 0 >{top}/{name}/cgroup.procs && " for top in TOPS)
        for _ in range(os.cpu_count() or 1):
            child = undo.enter_context(subprocess.Popen(["sh", "-c", f"{enter}exec sh -c 'while :; do :; done'"]))
            undo.callback(child.kill)
        yield name


def _used(cgroups: Mapping[str, str], seconds: int) -> dict[str, float]:
    """Processors that each of *cgroups* has had, on an average of *seconds*."""
    time.sleep(1)  # until all of them spin
    before, began = {name: _read(cgroup, USAGE) for name, cgroup in cgroups.items()}, time.monotonic()
    time.sleep(seconds)
    after, took = {name: _read(cgroup, USAGE) for name, cgroup in cgroups.items()}, time.monotonic() - began
    return {name: (after[name] - before[name]) / took for name in cgroups}


def _of(vz: Vz, ctid: int) -> str:
    return f"{vz.paths.cgroup_root}/{ctid}"


def _read(cgroup: str, names: tuple[tuple[str, int], ...]) -> float:
    """The first number in the first of the files *names* that there is, in its unit."""
    for name, unit in names:
        for top in TOPS:
            if words := [word for word in machine.read(f"{top}/{cgroup}/{name}").split() if word.isdecimal()]:
                return int(words[0]) / unit
    raise AssertionError(f"{cgroup} has none of {names}")

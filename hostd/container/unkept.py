"""Settings that are applied, and that this host or the container's layout cannot make true: one line says so."""

from collections.abc import Iterator, Set

from hostd.cgroup import blockio
from hostd.cgroup.root import CgroupTree
from hostd.config.model import CtConfig
from hostd.container import devices
from hostd.kernel import disks, swaps

_GUARANTEES = frozenset(("VMGUARPAGES", "OOMGUARPAGES"))
_WEIGHTY = frozenset(("PHYSPAGES", "IOPRIO", "IOLIMIT", "IOPSLIMIT", "DEVNODES", "CAPABILITY"))
VOID = frozenset(("SYS_MODULE", "SYS_RAWIO", "SYS_TIME"))


def starting(tree: CgroupTree, config: CtConfig) -> Iterator[str]:
    """What a start says again each time; that there is no swap, or that v1 keeps no guarantee, `set` has said once."""
    return lines(tree, config, _WEIGHTY | _GUARANTEES if tree.mode == "v2" else _WEIGHTY)


def lines(tree: CgroupTree, config: CtConfig, keys: Set[str]) -> Iterator[str]:
    """Of the *keys* of *config*, as far as they ask for something."""
    yield from _swap(tree, config, keys)
    yield from _rates(config, keys)
    yield from _guarantees(tree, config, keys)
    if "IOPRIO" in keys and config.ioprio != blockio.IOPRIO and not _weighs(tree, config.private):
        yield f"Warning: IOPRIO is only stored: no scheduler with weights (bfq) is at work below {config.private}"
    if "CAPABILITY" in keys and (void := sorted(name for name in VOID if config.capabilities.get(name))):
        words = " ".join(f"{name}:on" for name in void)
        yield f"Warning: CAPABILITY {words} has no effect: what it is for, the system call filter refuses"
    if "DEVNODES" in keys and (missing := devices.absent(config)):
        yield f"Warning: the host has no {' '.join(f'/dev/{name}' for name in missing)}: DEVNODES without"


def _swap(tree: CgroupTree, config: CtConfig, keys: Set[str]) -> Iterator[str]:
    if not swaps.present():
        if "SWAPPAGES" in keys and config.swap:
            yield "Warning: this host has no swap: the container has its RAM and nothing more, whatever SWAPPAGES says"
    elif tree.mode != "v2" and keys & {"SWAPPAGES", "PHYSPAGES"} and config.swap is not None and config.ram is None:
        yield "Warning: SWAPPAGES is only stored: cgroups v1 limit swap together with RAM, and PHYSPAGES has no limit"


def _rates(config: CtConfig, keys: Set[str]) -> Iterator[str]:
    rates = {"IOLIMIT": config.iolimit, "IOPSLIMIT": config.iopslimit}
    asked = [key for key, most in rates.items() if key in keys and most]
    if asked and not config.sized:
        yield f"Warning: layout {config.layout} does not enforce {' and '.join(asked)}; layout overlay does"


def _guarantees(tree: CgroupTree, config: CtConfig, keys: Set[str]) -> Iterator[str]:
    kept = {"VMGUARPAGES": config.vmguarpages, "OOMGUARPAGES": config.oomguarpages}
    asked = [key for key, most in kept.items() if key in keys and most != 0]
    if asked and tree.mode != "v2":
        yield f"Warning: cgroups v1 do not enforce {' and '.join(asked)}; v2 does"
    elif endless := [key for key in asked if kept[key] is None]:
        yield f"Warning: a barrier that is unlimited guarantees nothing: {' and '.join(endless)}"


def _weighs(tree: CgroupTree, private: str) -> bool:
    """Somebody asks the weights of cgroups whose turn it is on the disk: BFQ, or on v2 the cost model (io.cost)."""
    return "bfq" in disks.schedulers(private) or blockio.has_costs(tree.unified.path if tree.unified else None)

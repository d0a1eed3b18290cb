"""What create, start and set say about a setting that they apply, or cannot, in OpenVZ's words where it has some."""

from collections.abc import Callable, Iterable, Set

from hostd.config.addresses import Interface
from hostd.config.model import CtConfig
from hostd.config.settings import BY_KEY
from hostd.config.values import PAGE, UNLIMITED

PRIVILEGED = "Warning: privileged: root inside is root of the host, and can take the host over (see vzctl(8))"


def adding(addresses: Iterable[Interface]) -> str:
    return "Adding IP address(es): " + " ".join(str(one.ip) for one in addresses)


def deleting(addresses: Iterable[Interface]) -> str:
    return "Deleting IP address(es): " + " ".join(str(one.ip) for one in addresses)


def _pages(size: int | None) -> object:
    return "none" if size == UNLIMITED else "" if size is None else size // PAGE


# The lines of the settings that are told one by one, and what goes without saying.
_LINES: tuple[tuple[str, str, Callable[[CtConfig], object], object], ...] = (
    ("CPUUNITS", "Setting CPU units: {}", lambda one: one.cpuunits, None),
    ("CPULIMIT", "Setting CPU limit: {}", lambda one: one.cpulimit, 0),
    ("CPUS", "Setting CPUs: {}", lambda one: one.cpus, 0),
    ("CPUMASK", "Setting CPU mask: {}", lambda one: one.cpumask, ""),
    ("NODEMASK", "Setting NUMA node mask: {}", lambda one: one.nodemask, ""),
    ("IOLIMIT", "Setting iolimit: {} bytes/sec", lambda one: one.iolimit, 0),
    ("IOPSLIMIT", "Setting iopslimit: {} iops", lambda one: one.iopslimit, 0),
    ("MEMINFO", "Configure meminfo: {}", lambda one: _pages(one.meminfo), ""),
)


def applying(config: CtConfig, keys: Set[str]) -> list[str]:
    """The lines of the settings among *keys*."""
    lines = [line.format(value(config)) for key, line, value, _ in _LINES if key in keys]
    return lines + (["Setting devices"] if keys & {"DEVICES", "DEVNODES"} else [])


def disk_limits(config: CtConfig, keys: Set[str]) -> list[str]:
    """Which limits of the disk among *keys* a layout without a disk of its own does not enforce."""
    limits = {"DISKSPACE": config.diskspace_kib, "DISKINODES": config.diskinodes}
    unkept = [key for key, value in limits.items() if key in keys and value is not None]
    if config.sized or not unkept:
        return []
    return [f"Warning: layout {config.layout} does not enforce {' and '.join(unkept)}; layout overlay does"]


def other_inodes(config: CtConfig, inodes: int) -> str:
    """The disk has *inodes*, whatever DISKINODES says: ext4 fixes their share of the disk when it is made."""
    said = f'DISKINODES="{config.raw.get("DISKINODES")}" is only stored'
    return f"Warning: {said}: the disk has {inodes} inodes, and their number follows its size (--diskspace)"


# Settings without which a container is another than its owner thinks; missing limits and tables are not said each time.
_WEIGHTY = ("NETIF", "NETDEV", "PCI", "FEATURES", "MOUNT_OPTS")


def missing(config: CtConfig) -> list[str]:
    """What the configuration asks for and the container does not get."""
    keys = [key for key in _WEIGHTY if (text := config.raw.get(key)) and BY_KEY[key].idle(text)]
    return [f"Warning: not enforced yet: {' '.join(keys)} of {config.raw.origin}"] if keys else []


def starting(config: CtConfig) -> list[str]:
    """The lines of a start, between `Container is mounted` and `Container start in progress...`."""
    lines = [adding(config.addresses)] if config.addresses else []
    keys = {key for key, _, value, default in _LINES if value(config) != default}
    keys |= {"DEVICES"} if config.devices or config.devnodes else set()
    privileged = [PRIVILEGED] if config.privileged else []
    return [*missing(config), *privileged, *lines, *applying(config, keys)]

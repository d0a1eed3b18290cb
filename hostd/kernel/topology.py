"""Processors and memory nodes of this machine, as lists of the kernel's (`0-3,5`)."""

_SYSTEM = "/sys/devices/system"


def online(kind: str) -> str:
    """Those that are switched on; *kind* is `cpu` or `node`."""
    return _read(f"{_SYSTEM}/{kind}/online") or "0"  # a kernel without NUMA, or for one processor, has no such file


def processors_of(node: int) -> str:
    """The processors near memory node *node*; "" when it has none, or is not there."""
    return _read(f"{_SYSTEM}/node/node{node}/cpulist") or (online("cpu") if online("node") == "0" == str(node) else "")


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""

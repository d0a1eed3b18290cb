"""What hostd keeps beside CRIU's images, because CRIU does not, or because a restore has to ask for it by
name.
"""

import json
import os
from dataclasses import asdict, dataclass, field

from hostd.checkpoint import images_dir
from hostd.checkpoint.boot_id import BOOT_ID
from hostd.checkpoint.cgmap import Group
from hostd.checkpoint.dev_tree import DevTree, Node
from hostd.checkpoint.network import Network
from hostd.errors import BadCheckpoint, Exit, Failure
from hostd.kernel.namespace import IDS
from hostd.proc.points import CPU, OPENVZ, POINTS, PROCESSORS, in_kernels

# Mount points that the host brings, and what CRIU's images call them.
EXTERNAL = {
    "/.vz": "vzruntime", "/dev": "vzdev", "/sys/fs/cgroup": "vzcgroup", BOOT_ID: "vzbootid",
    **{point: f"vzview-{name}" for name, point in POINTS.items()}, CPU: f"vzview-{PROCESSORS}",
}  # fmt: skip
WHOLE = "/proc"  # with OpenVZ's files it is one of them


def external(*, openvz: bool) -> dict[str, str]:
    """Those that a container may have."""
    if not openvz:
        return EXTERNAL
    others = {point: key for point, key in EXTERNAL.items() if not point.startswith(f"{WHOLE}/")}
    return others | {WHOLE: f"vzview-{OPENVZ}", in_kernels(BOOT_ID): EXTERNAL[BOOT_ID]}


@dataclass(frozen=True, slots=True)
class Saved:
    """The part of a checkpoint that is ours."""

    uid_base: int  # the images hold ids of the host: a restore needs the same range
    channel: int  # inode of PID 1's end of its channel
    runtime: str  # its name: the programs in memory map these very files
    external: dict[str, str]  # those of `external` that the container had
    dev: DevTree
    cgroups: dict[str, list[Group]] = field(default_factory=dict)
    network: Network = field(default_factory=Network)
    settings: dict[str, str] = field(default_factory=dict)  # with which it ran: `hostd.config.live`
    configured: dict[str, str] = field(default_factory=dict)  # what its files said at that time
    criu: str = ""
    uid_count: int = IDS
    kernel: str = field(default_factory=lambda: os.uname().release)
    machine: str = field(default_factory=lambda: os.uname().machine)
    boot_id: str = ""  # the container's own
    counted: dict[str, list[int]] = field(default_factory=dict)  # the most and the refusals by beancounter
    spent: list[int] = field(default_factory=lambda: [0, 0])  # microseconds in user mode and in the kernel

    @property
    def ids(self) -> range:
        """The user ids that it needs."""
        return range(self.uid_base, self.uid_base + self.uid_count)

    @property
    def openvz(self) -> bool:
        """It has OpenVZ's files in /proc."""
        return WHOLE in self.external


def store(directory: str, saved: Saved) -> None:
    """Write *saved* into a directory of images."""
    with open(f"{directory}/{images_dir.SAVED}", "w", encoding="utf-8") as file:  # `commit` makes it durable
        json.dump(asdict(saved), file)


def load(directory: str) -> Saved:
    """Read what `store` wrote.  Raises BadCheckpoint when *directory* holds no complete checkpoint, Failure(17) for one
    of another version that says more than this one knows.
    """
    path = f"{directory}/{images_dir.SAVED}"
    try:
        with open(path, encoding="utf-8") as file:
            raw = json.load(file)
        dev = raw["dev"]
        raw["dev"] = DevTree(dev["options"], [Node(**node) for node in dev["nodes"]])
        raw["cgroups"] = {name: [Group(**one) for one in found] for name, found in raw["cgroups"].items()}
        raw["network"] = Network(**raw["network"])
        return Saved(**raw)
    except FileNotFoundError:
        raise BadCheckpoint(f"{directory} holds no complete checkpoint") from None
    except TypeError as error:
        raise Failure(Exit.RESTORE, f"{path} is of another version of vzhost: {error}") from error
    except (ValueError, KeyError) as error:
        raise BadCheckpoint(f"{path} is damaged: {error}") from error

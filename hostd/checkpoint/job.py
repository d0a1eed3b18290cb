"""What the daemon hands to the helper process: data, as JSON in its argument; descriptors by their inherited
numbers.
"""

import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class DumpJob:
    """Save the container whose PID 1 is *pid* into `part(path)`, and make that *path*."""

    path: str
    criu: list[str]
    version: str
    cache: str  # directory that keeps CRIU's knowledge of this kernel
    pid: int
    uid_base: int
    channel: int  # inode of PID 1's end
    unix: list[int]  # inodes of other unix sockets whose peer is outside
    runtime: str  # name of what is /.vz inside
    cgroups: dict[str, str]  # hierarchy -> the container's directory
    layers: list[int]  # descriptors of the lower and the upper directory; empty without an overlay
    lock: int  # descriptor of the directory's lock: held by CRIU too
    leave_running: bool = False
    action: str = "dump"


@dataclass(frozen=True, slots=True)
class RestoreJob:
    """Bring the container in *path* back to life."""

    path: str
    criu: list[str]
    cache: str
    uid_base: int
    root: int  # descriptor of the detached root tree
    runtime: str  # where it is mounted
    join: list[int]  # descriptors to which a process writes "0" to enter the container's cgroups
    cgroups: dict[str, str]
    channel: int  # descriptor of PID 1's end of a fresh pair
    lock: int
    devices: dict[str, str] = field(default_factory=dict)  # name inside -> name it has now, on the host
    action: str = "restore"


Job = DumpJob | RestoreJob


def encode(job: Job) -> str:
    return json.dumps(asdict(job))


def decode(text: str) -> Job:
    raw = json.loads(text)
    return DumpJob(**raw) if raw["action"] == "dump" else RestoreJob(**raw)

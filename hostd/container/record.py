"""The runtime record of a container: its identity, and what no kernel interface tells.

Whether it runs, is frozen or mounted is always asked of the kernel.  A record belongs to one boot of the host; one
of an earlier boot describes nothing that exists.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field, fields

from hostd.config.paths import Paths
from hostd.kernel.boot import boot_id
from hostd.kernel.namespace import IDS
from hostd.log import log

HALF = ".tmp"  # after the name of a record that is being written


@dataclass
class Record:
    """What must survive the daemon.  `intent` is the operation in flight, empty when none is."""

    ctid: int
    intent: str = ""
    boot: str = field(default_factory=boot_id)
    serial: int = field(default_factory=lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME))  # of this start
    pid: int = 0
    identity: str = ""
    uid_base: int | None = None
    uid_count: int = IDS
    layout: str = ""
    private: str = ""
    template_tree: str = ""
    root: str = ""  # mount point on the host (VE_ROOT)
    host_if: str = ""
    addresses: list[str] = field(default_factory=list)
    storage: dict[str, str] = field(default_factory=dict)
    runtime: str = ""  # name of the one that is /.vz inside
    channel: int = 0  # inode of vzinit's end, which a dump names
    started: float = 0.0  # when its uptime was 0, CLOCK_BOOTTIME in seconds; below 0 after a restore: `began`
    dump: str = ""  # checkpoint that the operation in flight writes or reads
    live: dict[str, str] = field(default_factory=dict)  # what runs, by configuration key: `hostd.config.live`
    setting: dict[str, str] = field(default_factory=dict)  # what a `set` in flight makes of `live`
    trying: list[str] = field(default_factory=list)  # addresses that a `set` in flight adds or takes away
    former: dict[str, list[str]] = field(default_factory=dict)  # files inside before a `set` in flight: `ops.former`
    scripts: list[str] = field(default_factory=list)  # actions whose scripts have begun: premount, mount
    announced: str = ""  # what vzinit said it was about to do: reboot, halt, poweroff
    counted: dict[str, list[int]] = field(default_factory=dict)  # the most and the refusals before a checkpoint
    peak: int = 0  # the kernel's maximum of processes when CRIU had left: up to there its own may be meant
    views: bool = False  # it has files of the server of /proc files
    openvz: bool = False  # and OpenVZ's among them: its /proc is the server's
    setup: bool = False  # started only to run a script in it: no services

    @property
    def ids(self) -> range | None:
        """The user ids of the host that are its own; None: it has the host's."""
        return None if self.uid_base is None else range(self.uid_base, self.uid_base + self.uid_count)

    @property
    def child_name(self) -> str:
        """How the keeper knows this PID 1; never the same for two starts."""
        return f"{self.ctid}:{self.serial}"

    @property
    def link_name(self) -> str:
        """How the keeper knows our end of the channel."""
        return f"link:{self.child_name}"

    def began(self, zero: int) -> None:
        """Its uptime was 0 at *zero*, as it is noted at its cgroup for the files inside (`hostd.cgroup.notes.born`)."""
        self.started = zero / 10**9

    def of_what_is_mounted(self, intent: str = "") -> "Record":
        """The record of the same storage with nothing running on it."""
        return Record(
            ctid=self.ctid,
            intent=intent,
            uid_base=self.uid_base,
            uid_count=self.uid_count,
            layout=self.layout,
            private=self.private,
            template_tree=self.template_tree,
            root=self.root,
            storage=self.storage,
            scripts=self.scripts,
        )

    def save(self, paths: Paths) -> None:
        """Write the record so that after a crash it is either the old one or the new one."""
        path = paths.ct_record(self.ctid)
        # /run is a tmpfs: rename is the atomicity, fsync would add nothing but time.
        temporary = f"{path}{HALF}"
        text = json.dumps(vars(self))  # `asdict` and `json.dump` take five times as long, at every step of a start
        try:
            with open(temporary, "w", encoding="utf-8", opener=_in_its_directory) as file:
                file.write(text)
        except OSError as error:  # a full /run gives back what it took
            with suppress(OSError):
                os.unlink(temporary)
            raise OSError(error.errno, error.strerror, path) from error
        os.rename(temporary, path)

    def try_save(self, paths: Paths) -> None:
        """Save what a later daemon can do without: what has to go on goes on, on a full /run as well."""
        try:
            self.save(paths)
        except OSError as error:
            log.warning("cannot be noted: %s", error)

    def remove(self, paths: Paths) -> None:
        """Forget the container's run."""
        _unlink(paths.ct_record(self.ctid))
        _unlink(paths.ct_maxima(self.ctid))


def load(paths: Paths, ctid: int) -> Record | None:
    """The record of *ctid*, or None when there is none of this boot that can be read."""
    try:
        with open(paths.ct_record(ctid), encoding="utf-8") as file:
            raw = json.load(file)
        known = {f.name for f in fields(Record)}
        record = Record(**{key: value for key, value in raw.items() if key in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return record if record.boot == boot_id() and record.ctid == ctid else None


def recorded(paths: Paths) -> list[int]:
    """The CTIDs that have a record file, ascending; also those of an earlier boot."""
    directory = os.path.dirname(paths.ct_record(0))
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdecimal())


def sweep(paths: Paths) -> None:
    """Remove records that were being written when their daemon was killed."""
    if os.path.isdir(paths.records_dir):
        for name in os.listdir(paths.records_dir):
            if name.endswith(HALF):
                _unlink(f"{paths.records_dir}/{name}")


def _in_its_directory(path: str, flags: int) -> int:
    """An opener for `open`.  The directory is missing once: before the first record since the host has booted."""
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return os.open(path, flags, 0o600)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass

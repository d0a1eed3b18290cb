"""Containers for tests of what is told of them: their cgroups, of v2, are plain files."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from hostd.cgroup import stats
from hostd.cgroup.hierarchies import Hierarchy
from hostd.cgroup.tree import CgroupTree
from hostd.command.host import Event
from hostd.container.container import Container
from hostd.container.record import Record
from hostd.container.world import World
from hostd.daemon.events import Listener
from hostd.kernel.process import Process


class Box:
    """And what a listener has heard of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "vz").mkdir()
        (directory / "vz/cgroup.subtree_control").write_text("memory pids\n")
        self.tree = CgroupTree("vz", (Hierarchy(str(directory), frozenset(), unified=True),))
        self.heard: list[Event] = []
        self.listener = Listener(frozenset(), self.heard.append)
        self.stirred = asyncio.Event()

    def container(self, ctid: int, serial: int = 1, counted: int = 0) -> Container:
        before = {"numproc": [0, counted], stats.OOM_KILLS: [0, counted]} if counted else {}
        record = Record(ctid=ctid, serial=serial, counted=before)
        self.refused(ctid)
        alive = cast(Process, SimpleNamespace(alive=lambda: True))
        return Container(cast(World, SimpleNamespace(tree=self.tree)), ctid, record=record, process=alive)

    def refused(self, ctid: int, processes: int = 0, memory: int = 0, kills: int = 0) -> None:
        directory = self.directory / f"vz/{ctid}"
        directory.mkdir(exist_ok=True)
        (directory / "pids.events").write_text(f"max {processes}\n")
        (directory / "memory.events").write_text(f"low 0\nhigh 0\nmax {memory}\noom 0\noom_kill {kills}\n")

    def told(self) -> list[tuple[object, ...]]:
        """(CTID, event, which or "", figure) since the last time."""
        found: list[tuple[object, ...]] = [
            (one["ctid"], one["event"], one.get("which", ""), one.get("failcnt", one.get("killed")))
            for one in self.heard
        ]
        self.heard.clear()
        return found

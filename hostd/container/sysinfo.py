"""sysinfo(2) tells containers of themselves: one BPF program for all of them (`hostd.kernel.sysinfo_program`).

The keeper holds its link, so it goes on when a daemon dies.  Nothing here keeps a container from starting: without the
program the call tells of the host.
"""

import asyncio
import os

from hostd.cgroup.tree import CgroupTree
from hostd.container.world import Keeper
from hostd.kernel import sysinfo_program
from hostd.kernel.fd import Fd
from hostd.log import log

LINK = "sysinfo:link"  # as the keeper knows it


class Sysinfo:
    """*held*: what the keeper kept of an earlier daemon.  *offered*: this kernel takes such a program."""

    def __init__(self, tree: CgroupTree, keeper: Keeper, held: dict[str, Fd], *, offered: bool) -> None:
        self._tree = tree
        self._keeper = keeper
        self._inherited = held.pop(LINK, None)  # the program of an earlier daemon, which runs until ours does
        self._offered = offered
        self._root = 0  # inode number of the directory of all containers that the program looks for
        self._beginning = asyncio.Lock()

    async def begin(self) -> None:
        """It runs from now on; a program of an earlier daemon ends with that."""
        directory = self._tree.root_of("memory") if self._offered else None
        if directory is None:
            return
        async with self._beginning:
            try:
                root = os.stat(directory).st_ino
                if root != self._root:
                    alone = self._tree.mode == "v2"
                    link = await asyncio.to_thread(sysinfo_program.start, root, swap_alone=alone)
                    with link:
                        self._keeper.hold(LINK, link)
                    self._root = root
                    self._drop_inherited()
            except OSError as error:
                log.error("sysinfo(2) tells containers of the host's memory: %s", error)

    def leave(self) -> None:
        """No container is left that could ask."""
        self._root = 0
        self._drop_inherited()
        self._keeper.forget(LINK)

    def _drop_inherited(self) -> None:
        if self._inherited is not None:
            self._inherited.close()
            self._inherited = None

"""The server of /proc files on a connection of its own, with a cgroup that stands for a container."""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator

import pytest

from hostd import proc
from hostd.cgroup import notes
from hostd.cgroup.tree import CgroupTree, CtCgroup
from hostd.container.views import places
from hostd.keeper.helper import spawn
from hostd.kernel.fd import Fd
from hostd.kernel.fuse import new_connection
from hostd.kernel.mount import move_mount, umount
from tests.harness.patience import patient

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(proc.__file__)), "__main__.py")


class ProcBox:
    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.tree = CgroupTree.detect(f"vzt-{uuid.uuid4().hex[:8]}")
        self.connection, mount = new_connection("vztest")
        with mount:
            move_mount(mount, directory)
        self.note = Fd(os.memfd_create("views"))
        self.pid = 0

    def container(self, ctid: int) -> CtCgroup:
        cgroup = CtCgroup(self.tree, ctid)
        cgroup.create(None)
        notes.born(cgroup, time.clock_gettime_ns(time.CLOCK_BOOTTIME), own=False)
        return cgroup

    def serve(self, program: str = "") -> None:
        """Start the server, or Python's *program* in its place."""
        argv = ["/usr/bin/python3", "-ISE", *(("-c", program) if program else (PROGRAM,))]
        fds = [self.connection.fileno(), self.note.fileno()]
        self.pid = spawn([*argv, self.tree.root_name, *places(self.tree)], fds, {})

    def kill(self) -> None:
        pid, self.pid = self.pid, 0
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def path(self, name: str) -> str:
        return f"{self.directory}/{name}"

    def reader(self, cgroup: CtCgroup | None, *argv: str) -> "subprocess.Popen[str]":
        """A command in *cgroup*, which it has entered by itself; None: one of the host's."""
        files = [Fd.open(f"{path}/cgroup.procs", os.O_WRONLY) for path in (cgroup.paths() if cgroup else ())]

        def enter() -> None:
            for file in files:
                os.write(file.fileno(), b"0")

        return subprocess.Popen(argv, preexec_fn=enter, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def read(self, cgroup: CtCgroup | None, name: str) -> str:
        said, _ = self.reader(cgroup, "cat", self.path(name)).communicate(timeout=patient(30))
        return said

    def end(self) -> None:
        """Without a mount there is nothing to serve: the server ends by itself."""
        umount(self.directory, detach=True)
        if self.pid:
            assert os.waitpid(self.pid, 0)[1] == 0
        self.connection.close()
        for ctid in self.tree.ctids():
            CtCgroup(self.tree, ctid).kill()
            CtCgroup(self.tree, ctid).destroy()
        self.tree.remove()


@pytest.fixture
def proc_box(tmp_path: object) -> Iterator[ProcBox]:
    box = ProcBox(str(tmp_path))
    yield box
    box.end()

"""The server of /proc files on a real FUSE connection: who sees what, and what its death costs."""

import errno
import os
import subprocess
import time

import pytest

from hostd.cgroup import limits, notes
from hostd.cgroup.limits import Limits
from hostd.proc.points import KERNELS, OPENVZ, POINTS, openvz_of
from tests.harness import machine
from tests.harness.installation import CHECKOUT
from tests.harness.needs import needs
from tests.harness.patience import patient
from tests.harness.proc_box import ProcBox

pytestmark = [pytest.mark.root, needs("fuse")]

# A server that is killed at work: by every read.
DYING = f"""
import os, sys
sys.path.insert(0, {CHECKOUT!r})
from hostd.proc import main
from hostd.proc.files import Files
class Dying(Files):
    def text(self, name, pid):
        os.kill(os.getpid(), 9)
main.Files = Dying
main.main(*sys.argv[1:])
"""


def fields(text: str) -> dict[str, int]:
    return {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()}


def test_a_process_of_the_host_sees_the_host(proc_box: ProcBox) -> None:
    proc_box.serve()
    assert sorted(os.listdir(proc_box.directory)) == sorted([*POINTS, OPENVZ])
    seen = fields(proc_box.read(None, "meminfo"))
    assert seen["MemTotal"] == fields(machine.read("/proc/meminfo"))["MemTotal"]
    assert proc_box.read(None, "cpuinfo").count("processor\t") == machine.read("/proc/cpuinfo").count("processor\t")
    assert proc_box.read(None, "vmstat").split()[::2] == machine.read("/proc/vmstat").split()[::2]


@needs("memory", "cpu")
def test_containers_see_themselves_and_not_each_other(proc_box: ProcBox) -> None:
    first, second = proc_box.container(101), proc_box.container(102)
    limits.apply(first, Limits(ram=64 << 20, cpulimit=50))
    proc_box.serve()
    assert fields(proc_box.read(first, "meminfo"))["MemTotal"] == 64 << 10
    assert proc_box.read(first, "cpuinfo").count("processor\t") == 1
    assert proc_box.read(first, "online") == "0\n"
    total = fields(machine.read("/proc/meminfo"))["MemTotal"]
    assert fields(proc_box.read(second, "meminfo"))["MemTotal"] == total
    limits.apply(second, Limits(ram=32 << 20))
    time.sleep(0.02)
    assert fields(proc_box.read(second, "meminfo"))["MemTotal"] == 32 << 10
    notes.processors(second, 1)
    time.sleep(0.02)
    assert proc_box.read(second, "stat").count("\ncpu") == 1


def test_uptime_is_the_container_s(proc_box: ProcBox) -> None:
    ours = proc_box.container(101)
    proc_box.serve()
    up = float(proc_box.read(ours, "uptime").split()[0])
    assert 0 <= up < 60
    time.sleep(0.1)
    assert up < float(proc_box.read(ours, "uptime").split()[0]) < up + 60
    assert [line.split()[0] for line in proc_box.read(ours, "stat").splitlines()][-1] == "softirq"


def test_processes_of_nested_cgroups_belong_to_it(proc_box: ProcBox) -> None:
    ours = proc_box.container(101)
    proc_box.serve()
    enter = "".join(
        f"mkdir -p {path}/a/b && {{ [ ! -e {path}/a/b/cpuset.cpus ] || [ ! -e {path}/cpuset.mems ] ||"
        f" {{ for d in a a/b; do cat {path}/cpuset.cpus >{path}/$d/cpuset.cpus;"
        f" cat {path}/cpuset.mems >{path}/$d/cpuset.mems; done; }}; }} && echo 0 >{path}/a/b/cgroup.procs; "
        for path in ours.paths()
    )
    said, _ = proc_box.reader(ours, "sh", "-c", f"{enter} grep /a/b /proc/self/cgroup; cat {proc_box.path('uptime')}"
                              ).communicate(timeout=patient(30))  # fmt: skip
    assert "/a/b" in said, said
    assert float(said.splitlines()[-1].split()[0]) < 60


def test_all_processes_are_listed(proc_box: ProcBox) -> None:
    """More than the kernel tells with one read of their list: a page of it."""
    ours = proc_box.container(101)
    proc_box.serve()
    script = (
        "import os, signal, sys\n"
        "made = {str(os.fork() or signal.pause()) for _ in range(1500)}\n"
        "names = {name for name in os.listdir(sys.argv[1]) if name.isdigit()}\n"
        "print(names == made | {'1'}, len(names))\n"
    )
    lists = ("/usr/bin/python3", "-ISc", script, proc_box.path(OPENVZ))
    said, _ = proc_box.reader(ours, "unshare", "--pid", "--fork", *lists).communicate(timeout=patient(60))
    assert said == "True 1501\n"


def test_directories_of_containers_are_their_own(proc_box: ProcBox) -> None:
    """Those of an earlier hostd have what they had, beside them."""
    proc_box.serve()
    tops = [proc_box.path(name) for name in (OPENVZ, openvz_of(101), openvz_of(102))]
    places = [f"{top}/{name}" for top in tops for name in ("", KERNELS, "vz")]
    assert len({os.stat(place).st_ino for place in places}) == len(places)
    assert len({tuple(sorted(os.listdir(top))) for top in tops}) == 1
    for top in tops:
        assert os.readlink(f"{top}/4711") == f"{KERNELS}/4711" and os.path.isfile(f"{top}/vz/veinfo")
    assert not os.path.exists(proc_box.path(f"{OPENVZ}-0")) and not os.path.exists(f"{tops[1]}/{openvz_of(102)}")


def test_every_way_to_read(proc_box: ProcBox) -> None:
    """By pieces, again from the beginning, at an offset, and by sendfile, which has to be refused."""
    ours = proc_box.container(101)
    proc_box.serve()
    script = (
        "import os, sys\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "text = b''\n"
        "while more := os.read(fd, 100): text += more\n"
        "assert text.startswith(b'MemTotal:') and text.endswith(b' kB\\n'), text\n"
        "assert os.pread(fd, 9, 0) == b'MemTotal:' and os.pread(fd, 8, 1) == b'emTotal:'\n"
        "assert os.lseek(fd, 0, 0) == 0 and os.read(fd, 1 << 20)[:9] == b'MemTotal:'\n"
        "out = os.memfd_create('x')\n"
        "os.lseek(fd, 0, 0)\n"
        "try: assert os.sendfile(out, fd, None, 65536) == len(text)\n"
        "except OSError as error: print(error.errno)\n"
        "else: print(22)\n"
        "for flags in (os.O_WRONLY, os.O_RDWR):\n"
        "    try: os.open(sys.argv[1], flags); print('written')\n"
        "    except OSError as error: print(error.errno)\n"
    )
    reader = proc_box.reader(ours, "/usr/bin/python3", "-c", script, proc_box.path("meminfo"))
    said, _ = reader.communicate(timeout=patient(30))
    assert said.split() == [str(errno.EINVAL), str(errno.EROFS), str(errno.EROFS)]


def test_a_server_that_is_killed_at_work_costs_a_moment(proc_box: ProcBox) -> None:
    """The request was read by the one that died; the kernel would not tell it to another."""
    ours = proc_box.container(101)
    proc_box.serve(DYING)
    reader = proc_box.reader(ours, "cat", proc_box.path("uptime"))
    assert os.waitpid(proc_box.pid, 0)[1] == 9
    with pytest.raises(subprocess.TimeoutExpired):  # it waits
        reader.communicate(timeout=0.2)
    proc_box.serve()
    said, _ = reader.communicate(timeout=patient(30))
    assert reader.returncode == 0 and float(said.split()[0]) < 60


def test_a_request_that_kills_every_server_fails_alone(proc_box: ProcBox) -> None:
    ours = proc_box.container(101)
    proc_box.serve(DYING)
    reader = proc_box.reader(ours, "cat", proc_box.path("uptime"))
    for _ in range(3):
        assert os.waitpid(proc_box.pid, 0)[1] == 9
        proc_box.serve(DYING)
    said, _ = reader.communicate(timeout=patient(30))
    assert "Input/output error" in said
    proc_box.kill()
    proc_box.serve()
    assert float(proc_box.read(ours, "uptime").split()[0]) < 60


def test_readers_never_see_a_death(proc_box: ProcBox) -> None:
    """Of servers that die at any moment of their work: the reader goes on by itself between the deaths."""
    ours = proc_box.container(101)
    proc_box.serve()
    loop = f"i=0; while [ $i -lt 300 ]; do grep MemTotal {proc_box.path('meminfo')} || exit 1; i=$((i+1)); done"
    reader = proc_box.reader(ours, "sh", "-c", loop)
    assert reader.stdout is not None
    for _ in range(8):
        assert reader.stdout.readline().startswith("MemTotal:")
        proc_box.kill()
        proc_box.serve()
    said, _ = reader.communicate(timeout=patient(30))
    assert reader.returncode == 0 and said.count("MemTotal:") == said.count("\n") == 300 - 8


def test_it_ends_with_its_connection(proc_box: ProcBox) -> None:
    proc_box.serve()
    assert proc_box.read(None, "uptime")
    assert machine.alive(proc_box.pid)  # `end` waits for it, after the unmount

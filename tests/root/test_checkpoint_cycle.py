"""Dump and restore of a container like a default one, on the real CRIU."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable

import pytest

from hostd.checkpoint import cgmap, criu, images_dir, state
from hostd.checkpoint.dump import dump
from hostd.checkpoint.restore import restore
from hostd.errors import Failure
from tests.harness.checkpoint_box import (
    BASE,
    Ct,
    mounts_of,
    no_link,
    sh,
)
from tests.harness.machine import until
from tests.harness.needs import needs

pytestmark = [pytest.mark.root, needs("checkpoint", "criu")]


def test_the_container_comes_back_three_times_with_its_connection(ct: Ct) -> None:
    assert ct.process
    connection = ct.connect()
    connection.send(b"a")
    assert connection.recv(100) == b"1 a"
    before, cgroup = mounts_of(ct.process.pid), ct.ask("open('/proc/self/cgroup').read()")
    for number in range(2, 5):
        ct.dump()
        assert images_dir.exists(ct.images)
        assert state.inspect(ct.images) == state.Flight("dump", state.Phase.DONE)
        ct.restore()
        connection.send(b"b")
        assert connection.recv(100) == b"%d b" % number
        assert ct.ask("os.getpid()") == "1"
        assert mounts_of(ct.process.pid) == before
        assert ct.ask("open('/proc/self/cgroup').read()") == cgroup
        with open(f"/proc/{ct.process.pid}/status", encoding="ascii") as file:
            assert f"PPid:\t{os.getpid()}\n" in file.read()


def test_a_dump_that_fails_leaves_it_running(ct: Ct) -> None:
    connection = ct.connect()
    ct.inode += 1  # CRIU then meets a socket whose other end is outside
    with pytest.raises(Failure, match=r"^Checkpointing failed: .*[Uu]nix") as caught:
        asyncio.run(dump(ct.dump_spec()))
    assert caught.value.exit_code == 16
    ct.inode -= 1
    connection.send(b"a")
    assert connection.recv(100) == b"1 a"
    assert ct.ask("os.getpid()") == "1"
    assert not os.path.exists(images_dir.part(ct.images))
    assert state.inspect(ct.images) == state.NOTHING
    ct.dump()
    ct.restore()
    connection.send(b"b")
    assert connection.recv(100) == b"2 b"


def test_what_cannot_be_saved_is_refused_before_anything_is_touched(ct: Ct) -> None:
    ct.ask("do sys.path[:0] = ['/usr/lib/python3.11']")
    ct.ask(f"do import subprocess; kept['p'] = subprocess.Popen({NESTED!r}, stdout=-1)")
    ct.ask("kept['p'].stdout.read(1)")
    with pytest.raises(Failure, match=r"is in a nested uts namespace$"):
        asyncio.run(dump(ct.dump_spec()))
    assert not os.path.exists(images_dir.part(ct.images))


NESTED = ["unshare", "-u", "sh", "-c", "echo; exec sleep 1000"]


def test_a_restore_that_fails_can_be_tried_again(ct: Ct) -> None:
    connection = ct.connect()
    connection.send(b"a")
    connection.recv(100)
    ct.dump()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, pytest.raises(Failure, match=r"^Restoring failed: ") as caught:
        asyncio.run(restore(ct.restore_spec(theirs)._replace(devices={"venet0": "nosuch"})))
    assert caught.value.exit_code == 17
    fresh_cgroup(ct)
    assert state.inspect(ct.images).phase is state.Phase.FAILED
    ct.restore()
    connection.send(b"b")
    assert connection.recv(100) == b"2 b"
    found = state.inspect(ct.images)
    assert ct.process
    assert (found.phase, found.pid, found.identity) == (state.Phase.DONE, ct.process.pid, ct.process.identity)


def test_the_guests_files_in_dev_and_its_cgroups_come_back(ct: Ct) -> None:
    ct.ask("do os.symlink('/run/systemd/journal/dev-log', '/dev/log'); os.mkfifo('/dev/initctl', 0o600)")
    ct.ask("do open('/dev/note', 'w').write('kept'); os.chown('/dev/note', 33, 5)")
    ct.ask("do os.mkdir('/sys/fs/cgroup/service')")
    ct.ask("do open('/sys/fs/cgroup/service/cgroup.procs', 'w').write('2')")
    look = (
        "[sorted(os.listdir('/dev')), os.readlink('/dev/log'), oct(os.stat('/dev/initctl').st_mode),"
        " open('/dev/note').read(), os.stat('/dev/note').st_uid, oct(os.stat('/dev/null').st_mode),"
        " open('/proc/2/cgroup').read().splitlines()[-1]]"
    )
    before = ct.ask(look)
    assert "0::/service" in before
    for _ in range(2):
        ct.dump()
        ct.restore()
        assert ct.ask(look) == before


def test_a_watch_on_the_overlay_still_tells(ct: Ct) -> None:
    ct.ask("do import ctypes; kept['libc'] = ctypes.CDLL(None)")
    ct.ask("do kept['fd'] = kept['libc'].inotify_init1(0o4000)")
    ct.ask("do [kept['libc'].inotify_add_watch(kept['fd'], p, 0x106) for p in (b'/srv', b'/usr/share/doc')]")
    ct.dump()
    ct.restore()
    ct.ask("do open('/srv/new', 'w').close()")
    assert "b" in ct.ask("os.read(kept['fd'], 4096)")
    ct.ask("do open('/usr/share/doc/new', 'w').close()")
    assert "b" in ct.ask("os.read(kept['fd'], 4096)")


def test_routes_neighbours_and_sysctls_that_criu_forgets_come_back(ct: Ct) -> None:
    assert ct.process
    inside = "nsenter -t {} -n ".format
    before = inside(ct.process.pid)
    sh(f"{before} ip route add 203.0.113.0/24 dev venet0 table 77")
    sh(f"{before} ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev venet0 nud permanent")
    sh(f"{before} sh -c 'echo 7 >/proc/sys/net/ipv4/tcp_fin_timeout'")
    ct.dump()
    ct.restore()
    after = inside(ct.process.pid)
    sh(f"{after} ip route show table 77 | grep -q 203.0.113.0/24")
    sh(f"{after} ip neigh show | grep -q '192.0.2.9 .*PERMANENT'")
    sh(f"test $({after} cat /proc/sys/net/ipv4/tcp_fin_timeout) = 7")


def test_criu_goes_on_without_the_daemon(ct: Ct) -> None:
    """The daemon is killed once CRIU has all that it asks for; the next daemon sees the dump through."""
    connection = ct.connect()
    image = f"{images_dir.part(ct.images)}/files.img"
    kill_when(lambda: os.path.exists(image), lambda: asyncio.run(dump(ct.dump_spec())))
    assert asyncio.run(state.settled(ct.images)) == state.Flight("dump", state.Phase.DONE)
    ct.reap()
    no_link()
    ct.restore()
    connection.send(b"a")
    assert connection.recv(100) == b"1 a"


def test_a_dump_whose_daemon_dies_too_early_is_given_up(ct: Ct) -> None:
    """The daemon is killed as soon as CRIU has come to life: what the daemon adds to the images is missing."""
    connection = ct.connect()
    kill_when(has_a_child, lambda: asyncio.run(dump(ct.dump_spec())))
    assert asyncio.run(state.settled(ct.images)).phase is state.Phase.FAILED
    connection.send(b"a")
    assert connection.recv(100) == b"1 a"
    assert os.listdir(os.path.dirname(ct.images)) == []


def test_a_restore_that_waits_for_a_dead_daemon_ends_before_anything_runs(
    ct: Ct, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With cgroups of the guest's, CRIU stops before tasks resume and asks the daemon, which is killed just then."""
    ct.ask("do os.mkdir('/sys/fs/cgroup/service')")
    ct.ask("do open('/sys/fs/cgroup/service/cgroup.procs', 'w').write('2')")
    ct.dump()
    ct.host_end()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with monkeypatch.context() as patch, ours:
        patch.setattr(cgmap, "load", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        daemon = os.fork()
        if daemon == 0:
            asyncio.run(restore(ct.restore_spec(theirs)))
            os._exit(1)
        theirs.close()
        assert os.WTERMSIG(os.waitpid(daemon, 0)[1]) == signal.SIGKILL
        assert asyncio.run(state.settled(ct.images)).phase is state.Phase.FAILED
        assert not images_dir.has_run(ct.images)
    until("CRIU and PID 1 have ended", lambda: not orphans())
    no_link()
    fresh_cgroup(ct)
    ct.restore()
    assert "0::/service" in ct.ask("open('/proc/2/cgroup').read().splitlines()[-1]")


def orphans() -> list[int]:
    """Children of a killed daemon, which are ours by now; those that have ended are waited for."""
    found = [int(pid) for thread in os.listdir("/proc/self/task") for pid in children_of(thread).split()]
    return [pid for pid in found if os.waitpid(pid, os.WNOHANG | 0x40000000)[0] == 0]  # __WALL


def fresh_cgroup(ct: Ct) -> None:
    """As every restore has one: the kernel may kill whoever is born in a cgroup where something was killed."""
    ct.cgroup.kill()
    ct.cgroup.destroy()
    ct.cgroup.create(BASE)


def kill_when(moment: Callable[[], bool], work: Callable[[], object]) -> None:
    """Do *work* in a child that is killed at the *moment*."""
    criu.find()  # asks a child for the version, once
    daemon = os.fork()
    if daemon == 0:
        threading.Thread(target=_die_at, args=(moment,)).start()
        work()
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(daemon, 0)[1]) == signal.SIGKILL


def _die_at(moment: Callable[[], bool]) -> None:
    while not moment():
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def has_a_child() -> bool:
    return any(map(children_of, os.listdir("/proc/self/task")))


def children_of(thread: str) -> str:
    try:
        with open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:  # a thread that has ended
        return ""

"""Namespaces made and visited by short-lived helpers."""

import errno
import os
import socket
import subprocess
import threading

import pytest

from hostd.checkpoint.aside import begun
from hostd.kernel.fd import Fd
from hostd.kernel.namespace import namespace, nodename, socket_in_netns, userns
from hostd.kernel.process import Process, pid_of
from tests.conftest import children
from tests.harness.netns import new_netns

pytestmark = pytest.mark.root


def inode(fd: Fd) -> int:
    return os.fstat(fd.fileno()).st_ino


def test_each_is_new() -> None:
    with userns(42 << 16) as one, userns(42 << 16) as two, namespace(os.getpid(), "user") as ours:
        assert len({inode(one), inode(two), inode(ours)}) == 3


def test_making_one_leaves_no_process_and_no_descriptor() -> None:
    before, fds = children(), len(os.listdir("/proc/self/fd"))
    userns(42 << 16).close()
    assert children() == before
    assert len(os.listdir("/proc/self/fd")) == fds


def test_ids_beyond_the_last_are_refused_with_the_range() -> None:
    with pytest.raises(OSError, match="4294967290") as caught:
        userns((1 << 32) - 6)
    assert caught.value.errno == errno.EINVAL


def test_many_threads_at_once() -> None:
    """Each child waits at a gate of its own: none may hold another's open."""
    made: list[int] = []

    def some() -> None:
        for _ in range(20):
            with userns(42 << 16) as ns:
                made.append(inode(ns))

    threads = [threading.Thread(target=some) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 120


def test_what_another_calls_itself() -> None:
    ours = os.uname().nodename
    argv = ["unshare", "--uts", "sh", "-c", "echo here >/proc/sys/kernel/hostname && echo && exec cat"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as there:
        assert there.stdout is not None and there.stdin is not None and there.stdout.readline()
        with Process.open(there.pid).pidfd as pidfd:
            assert begun(lambda: nodename(pidfd), "test").result(10) == "here"
        there.stdin.close()
    assert os.uname().nodename == ours


def test_a_socket_lives_in_the_other_namespace_and_we_do_not() -> None:
    before = os.readlink("/proc/thread-self/ns/net")
    with new_netns() as netns:
        with socket_in_netns(netns, socket.AF_INET, socket.SOCK_STREAM) as sock:
            assert not sock.get_inheritable()
            sock.bind(("127.0.0.1", 0))
            with pytest.raises(OSError):  # lo is down there
                sock.connect(("127.0.0.1", 1))
        with pytest.raises(OSError) as caught:
            socket_in_netns(netns, 99, socket.SOCK_STREAM)
        assert caught.value.errno == errno.EAFNOSUPPORT
    assert os.readlink("/proc/thread-self/ns/net") == before


def test_a_socket_in_something_else_is_refused() -> None:
    with Fd.open("/dev/null", os.O_RDONLY) as null, pytest.raises(OSError) as caught:
        socket_in_netns(null, socket.AF_INET, socket.SOCK_STREAM)
    assert caught.value.errno == errno.EINVAL


def test_the_namespace_of_a_process_by_pidfd() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as cat:
        process = Process.open(cat.pid)
        assert pid_of(process.pidfd) == cat.pid
        with namespace(process.pidfd, "net") as theirs, namespace(os.getpid(), "net") as ours:
            assert inode(theirs) == inode(ours)
    assert not process.alive()
    with pytest.raises(ProcessLookupError):
        namespace(process.pidfd, "net")

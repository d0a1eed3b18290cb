"""Sockets, buffers and netfilter rules of a network namespace, against what was put there."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from hostd.net import sockets
from tests.harness.needs import needs
from tests.harness.netns import Netns, run

pytestmark = pytest.mark.root


@pytest.fixture
def box() -> Iterator[tuple[Netns, int]]:
    """A namespace with lo, in which the test stands, and a process that is in it."""
    with Netns.entered() as netns:
        run("ip link set lo up")
        process = subprocess.Popen(["sleep", "1000"])
        try:
            yield netns, process.pid
        finally:
            process.kill()
            process.wait()


def test_sockets_are_counted_where_they_are(box: tuple[Netns, int]) -> None:
    _, pid = box
    before = sockets.sockets(pid)
    assert before is not None and before.tcp == 0
    with ExitStack() as opened:
        server = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = opened.enter_context(socket.create_connection(server.getsockname()))
        opened.enter_context(server.accept()[0])
        for family, kind in ((socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_UNIX, socket.SOCK_STREAM)):
            opened.enter_context(socket.socket(family, kind))
        found = sockets.sockets(pid)
        assert found == sockets.Sockets(tcp=3, other=before.other + 2)
        client.shutdown(socket.SHUT_RDWR)
    after = sockets.sockets(pid)
    assert after is not None and after.tcp <= 1  # the one that waits for late packets


def test_buffers_tell_what_waits_and_where(box: tuple[Netns, int]) -> None:
    netns, _ = box
    empty = sockets.buffers(netns.fd)
    assert empty == sockets.Buffers(0, 0, 0, 0)
    with ExitStack() as opened:
        server = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = opened.enter_context(socket.create_connection(server.getsockname()))
        peer = opened.enter_context(server.accept()[0])
        listener = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        listener.bind(("127.0.0.1", 0))
        sender = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        pair = [opened.enter_context(one) for one in socket.socketpair()]
        client.sendall(b"x" * 10000)
        sender.sendto(b"y" * 3000, listener.getsockname())
        pair[0].sendall(b"z" * 5000)
        six = opened.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        sixth = opened.enter_context(socket.create_connection(six.getsockname()[:2]))
        accepted = opened.enter_context(six.accept()[0])
        full = sockets.buffers(netns.fd)
        assert full is not None
        sixth.sendall(b"x" * 10000)
        more = sockets.buffers(netns.fd)
        assert more is not None and more.tcp_received >= full.tcp_received + 10000
        accepted.recv(10000)
        assert sockets.buffers(netns.fd, tcp=False) == sockets.Buffers(0, 0, full.datagrams_received, full.other)
        assert full.tcp_received >= 10000 and full.datagrams_received >= 3000 and full.other >= 5000
        peer.recv(10000)
        listener.recv(3000)
        pair[1].recv(5000)
        drained = sockets.buffers(netns.fd)
        assert drained is not None
        assert (drained.tcp_received, drained.datagrams_received, drained.other) == (0, 0, 0)


@needs("nftables")
def test_rules_of_nftables(box: tuple[Netns, int]) -> None:
    netns, pid = box
    assert sockets.rules(netns.fd, pid) == 0
    run("nft add table inet t; nft add chain inet t c; for n in 1 2 3; do nft add rule inet t c counter; done")
    assert sockets.rules(netns.fd, pid) == 3


def test_more_than_anybody_waits_for_is_not_known(box: tuple[Netns, int], monkeypatch: pytest.MonkeyPatch) -> None:
    netns, _ = box
    monkeypatch.setattr(sockets, "_MOST", 3)
    pairs = [socket.socketpair() for _ in range(2)]
    assert sockets.buffers(netns.fd) is None
    for one in (end for pair in pairs for end in pair):
        one.close()
    assert sockets.buffers(netns.fd) is not None


def test_a_process_that_is_gone_tells_nothing(box: tuple[Netns, int]) -> None:
    assert sockets.sockets(2**22 + 1) is None

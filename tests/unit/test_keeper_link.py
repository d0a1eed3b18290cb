"""The daemon's end of the link, against a keeper played by the test."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine

from hostd.cli import wire
from hostd.daemon.keeper_link import ChildExit, KeeperLink
from hostd.kernel.fd import Fd
from vzinit.protocol import decode, encode


def with_link(
    test: Callable[[KeeperLink, socket.socket], Coroutine[object, object, None]], *frames: bytes
) -> None:
    """Run *test* with a link that has got a greeting with *frames* in it."""

    async def scene() -> None:
        ours, keeper = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with keeper, listener:
            wire.send(keeper, encode("hello", socket=1), [listener.fileno()])
            for frame in frames:
                keeper.send(frame)
            keeper.send(encode("complete"))
            link = await KeeperLink.connect(ours.detach())
            await test(link, keeper)
            link.close()
            assert link.listener is not None
            link.listener.close()

    asyncio.run(scene())


def test_ends_known_before_come_first_and_only_once() -> None:
    async def test(link: KeeperLink, keeper: socket.socket) -> None:
        seen: list[ChildExit] = []
        both = asyncio.Event()

        def on_exit(ended: ChildExit) -> None:
            seen.append(ended)
            if len(seen) == 2:
                both.set()

        link.subscribe(on_exit, lambda: None)
        keeper.send(encode("exit", name="101:1", code=2, status=1))
        keeper.send(encode("exit", name="102:1", code=0, status=0))
        await both.wait()
        assert seen == [ChildExit("101:1", os.CLD_KILLED, 1), ChildExit("102:1", 0, 0)]
        assert [(ended.signal, ended.known) for ended in seen] == [(1, True), (0, False)]
        link.forget("101:1")
        assert list(link.exits) == ["102:1"]

    with_link(test, encode("exit", name="101:1", code=2, status=1))


def test_what_is_sent_arrives_in_order_though_the_keeper_is_slow() -> None:
    async def test(link: KeeperLink, keeper: socket.socket) -> None:
        keeper.setblocking(False)
        count = 3000
        for number in range(count):
            with Fd(os.memfd_create("x")) as fd:
                os.write(fd.fileno(), b"%d" % number)
                link.hold(str(number), fd)
        got = 0
        while got < count:
            try:
                frame, fds = wire.receive(keeper)
            except BlockingIOError:
                await asyncio.sleep(0)
                continue
            assert decode(frame) == ("hold", {"name": [str(got)]})
            assert os.pread(fds[0], 10, 0) == b"%d" % got
            wire.close_all(fds)
            got += 1

    with_link(test)


def test_a_lost_keeper_is_told_once_and_nothing_fails() -> None:
    async def test(link: KeeperLink, keeper: socket.socket) -> None:
        lost: asyncio.Queue[bool] = asyncio.Queue()
        link.subscribe(lambda _: None, lambda: lost.put_nowait(True))
        keeper.close()
        await lost.get()
        link.forget("101:1")
        link.serving()
        assert link.lost and lost.empty()

    with_link(test)


def test_descriptors_from_the_keeper_do_not_reach_children() -> None:
    async def test(link: KeeperLink, keeper: socket.socket) -> None:
        assert link.listener is not None and not link.listener.get_inheritable()
        with Fd(os.memfd_create("x")) as fd:
            wire.send(keeper, encode("held", name=["a"], child=["101:1 55"]), [fd.fileno(), fd.fileno()])
        after = asyncio.Event()
        link.subscribe(lambda _: after.set(), lambda: None)
        keeper.send(encode("exit", name="102:1", code=1, status=0))
        await after.wait()
        assert not os.get_inheritable(link.held["a"].fileno())
        child = link.children["101:1"]
        assert child.pid == 55 and not os.get_inheritable(child.pidfd.fileno())

    with_link(test)

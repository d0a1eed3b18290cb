"""The channel to PID 1, against a peer that speaks the same frames."""

import asyncio
import os
import socket

import pytest

from hostd.container.init_link import ChannelLost, InitLink, Message
from vzinit import protocol


class Peer:
    """The other end, blocking: what vzinit would do."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    def receive(self) -> tuple[str, protocol.Fields]:
        return protocol.decode(self.end.recv(protocol.MAX_FRAME))

    def send(self, verb: str, fds: tuple[int, ...] = (), **fields: object) -> None:
        socket.send_fds(self.end, [protocol.encode(verb, **fields)], list(fds))


def linked() -> tuple[InitLink, Peer, list[Message], list[str]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    events: list[Message] = []
    lost: list[str] = []
    return InitLink(ours, events.append, lambda: lost.append("lost")), Peer(theirs), events, lost


async def first_of(events: list[Message]) -> None:
    """Until the first event is there; readiness of the socket is what the loop waits for."""
    for _ in range(1000):
        if events:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("no event came")


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_an_answer_reaches_the_request_with_its_number() -> None:
    async def scenario() -> None:
        link, peer, events, _ = linked()
        first = asyncio.ensure_future(link.ask("ping"))
        second = asyncio.ensure_future(link.ask("tail", tty=1))
        await settled()
        seqs = [peer.receive()[1]["seq"][0] for _ in range(2)]
        peer.send("text", seq=seqs[1], data="last words")
        peer.send("running")
        peer.send("pong", seq=seqs[0])
        assert (await second).text("data") == "last words"
        assert (await first).verb == "pong"
        assert [event.verb for event in events] == ["running"]
        link.close()
        peer.end.close()

    asyncio.run(scenario())


def test_an_error_answer_is_raised() -> None:
    async def scenario() -> None:
        link, peer, _, _ = linked()
        asked = asyncio.ensure_future(link.ask("exec", argv=["/nothing"]))
        await settled()
        peer.send(
            "error", seq=peer.receive()[1]["seq"][0], errno=2, text="No such file or directory: /nothing"
        )
        with pytest.raises(FileNotFoundError, match="/nothing"):
            await asked
        link.close()
        peer.end.close()

    asyncio.run(scenario())


def test_a_lost_channel_fails_the_waiting_and_tells_once() -> None:
    async def scenario() -> None:
        link, peer, _, lost = linked()
        asked = asyncio.ensure_future(link.ask("ping"))
        await settled()
        peer.end.close()
        with pytest.raises(ChannelLost):
            await asked
        assert lost == ["lost"]

    asyncio.run(scenario())


def test_an_answer_that_does_not_come_is_an_error() -> None:
    async def scenario() -> None:
        link, peer, _, _ = linked()
        with pytest.raises(ChannelLost, match="was not answered"):
            await link.ask("ping", timeout=0.01)
        link.close()
        peer.end.close()

    asyncio.run(scenario())


def test_both_go_over_to_the_lasting_pair() -> None:
    async def scenario() -> None:
        link, peer, events, _ = linked()
        ours, lasting = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        peer.send("pair", (ours.fileno(),), ino=os.fstat(lasting.fileno()).st_ino)
        ours.close()
        await first_of(events)
        link.tell("go")
        assert protocol.decode(lasting.recv(1000))[0] == "go"
        link.close()
        lasting.close()
        peer.end.close()

    asyncio.run(scenario())


def test_a_bad_frame_is_skipped() -> None:
    async def scenario() -> None:
        link, peer, events, lost = linked()
        peer.end.send(b"no end")
        peer.send("running")
        await first_of(events)
        assert events[0].verb == "running" and not lost
        link.close()
        peer.end.close()

    asyncio.run(scenario())

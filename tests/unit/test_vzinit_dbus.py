"""D-Bus of PID 1: messages, the greeting, and that nothing a client sends does more than end its connection."""

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vzinit import channel, dbus, dbus_message
from vzinit.dbus_message import Message
from vzinit.dbus_wire import BadMessage, marshal

MANAGER = "org.freedesktop.systemd1.Manager"
NUL_AND_BEGIN = b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n"
Both = tuple[socket.socket, dbus.Connection]


def call(signature: str = "", body: list[Any] | None = None, serial: int = 1) -> Message:
    message = Message(dbus_message.CALL, signature, body or [], path="/org/x", interface=MANAGER, member="StartUnit")
    message.serial = serial
    return message


def test_a_message_byte_by_byte() -> None:
    header = (
        b"l\1\0\1" b"\x08\0\0\0" b"\1\0\0\0" b"\x27\0\0\0"
        b"\1\1o\0" b"\2\0\0\0/a\0" b"\0\0\0\0\0"
        b"\3\1s\0" b"\4\0\0\0Ping\0" b"\0\0\0"
        b"\x08\1g\0" b"\1s\0" b"\0"
    )  # fmt: skip
    data = header + b"\3\0\0\0foo\0"
    message = Message(dbus_message.CALL, "s", ["foo"], path="/a", member="Ping")
    message.serial = 1
    assert dbus_message.encode(message) == data
    read = dbus_message.decode(data)
    assert (read.kind, read.path, read.member, read.interface, read.body) == (1, "/a", "Ping", "", ["foo"])
    assert read.wants_reply()


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.booleans())
def test_round_trip_of_messages(text: str, little_endian: bool) -> None:
    body = "sa{sv}", [text, {text: ("u", 1)}]
    read = dbus_message.decode(dbus_message.encode(call(*body), little_endian))
    assert (read.path, read.interface, read.member) == ("/org/x", MANAGER, "StartUnit")
    assert (read.signature, read.body) == body


def test_replies_name_the_call() -> None:
    asked = call(serial=7)
    for reply in (asked.method_return("o", "/job"), asked.error("org.x.No", "no")):
        reply.serial = 3
        read = dbus_message.decode(dbus_message.encode(reply))
        assert read.reply_serial == 7 and not read.wants_reply()
    assert read.error_name == "org.x.No"


@pytest.mark.parametrize("names", [{}, {"path": "/a"}, {"path": "a", "member": "X"}, {"path": "/a", "member": "X.Y"},
                                   {"path": "/a", "member": "X", "interface": "one"}])  # fmt: skip
def test_calls_that_are_none(names: dict[str, Any]) -> None:
    message = Message(dbus_message.CALL, **names)
    message.serial = 1
    with pytest.raises(BadMessage):
        dbus_message.encode(message)


@given(st.data())
def test_damaged_messages(data: st.DataObject) -> None:
    good = bytearray(dbus_message.encode(call("a{sv}as", [{"a": ("(su)", ("x", 1))}, ["b", "c"]])))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        dbus_message.decode(bytes(good[: data.draw(st.integers(0, len(good)))]))
    except BadMessage:
        pass


def test_a_large_message_is_refused_by_its_header() -> None:
    with pytest.raises(BadMessage, match="bytes"):
        dbus_message.size_of(b"l\1\0\1" + (1 << 20).to_bytes(4, "little") + bytes(8))


@pytest.fixture
def pair() -> Iterator[Both]:
    client, server = socket.socketpair()
    client.settimeout(5)
    server.setblocking(False)
    connection = dbus.Connection(server)
    yield client, connection
    client.close()
    connection.close()


CONVERSATIONS = {
    "pipelined": (b"\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n", b"OK GUID\r\nAGREE_UNIX_FD\r\n", True),
    "without the uid": (b"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n",
                        b"DATA\r\nOK GUID\r\nAGREE_UNIX_FD\r\n", True),
    "uid in DATA": (b"\0AUTH EXTERNAL\r\nDATA 30\r\nBEGIN\r\n", b"DATA\r\nOK GUID\r\n", True),
    "second attempt": (b"\0AUTH ANONYMOUS\r\nAUTH EXTERNAL 30\r\nBEGIN\r\n", b"REJECTED EXTERNAL\r\nOK GUID\r\n", True),
    "which are there": (b"\0AUTH\r\n", b"REJECTED EXTERNAL\r\n", False),
    "not hexadecimal": (b"\0AUTH EXTERNAL 3\r\nAUTH EXTERNAL zz\r\n", b"REJECTED EXTERNAL\r\n" * 2, False),
    "not a number": (b"\0AUTH EXTERNAL 726f6f74\r\n", b"REJECTED EXTERNAL\r\n", False),
    "cancelled": (b"\0AUTH EXTERNAL\r\nCANCEL\r\nDATA\r\n", b"DATA\r\nREJECTED EXTERNAL\r\nERROR\r\n", False),
    "unknown": (b"\0HELLO\r\nAUTH EXTERNAL 30\r\nWHAT\r\nERROR\r\n",
                b"ERROR\r\nOK GUID\r\nERROR\r\nREJECTED EXTERNAL\r\n", False),
}  # fmt: skip
UNSPEAKABLE = [
    b"AUTH EXTERNAL 30\r\n", b"\0BEGIN\r\n", b"\0AUTH EXTERNAL\r\nBEGIN\r\n", b"\0AUTH \xff\r\n",
    b"\0" + b"x" * 5000, b"\0" + b"AUTH\r\n" * 40, NUL_AND_BEGIN + b"x", NUL_AND_BEGIN + b"l" + bytes(15),
]  # fmt: skip


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_greeting(name: str, pair: Both) -> None:
    said, answered, done = CONVERSATIONS[name]
    client, connection = pair
    client.sendall(said)
    assert connection.receive() == []
    guid = connection._greeting._guid.encode()
    assert client.recv(4096).replace(guid, b"GUID") == answered
    assert len(guid) == 32 and connection._greeting.done == done


@pytest.mark.parametrize("said", UNSPEAKABLE)
def test_what_ends_the_connection(said: bytes, pair: Both) -> None:
    client, connection = pair
    client.sendall(said)
    with pytest.raises(BadMessage):
        connection.receive()


def test_cut_at_every_byte() -> None:
    """What is sent in one write may arrive in two."""
    messages = [dbus_message.encode(call("s", ["foo"], serial)) for serial in (1, 2)]
    stream = b"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n" + b"".join(messages)
    for cut in range(1, len(stream)):
        client, server = socket.socketpair()
        connection = dbus.Connection(server)
        client.sendall(stream[:cut])
        got = connection.receive()
        client.sendall(stream[cut:])
        got += connection.receive()
        assert [message.serial for message in got] == [1, 2], cut
        client.close()
        connection.close()


@given(st.binary(max_size=200), st.booleans())
def test_random_streams(data: bytes, begun: bool) -> None:
    client, server = socket.socketpair()
    connection = dbus.Connection(server)
    client.sendall((NUL_AND_BEGIN if begun else b"\0") + data)
    try:
        connection.receive()
    except BadMessage:
        pass
    client.close()
    connection.close()


def test_sent_messages_are_numbered_and_read_back(pair: Both) -> None:
    client, connection = pair
    said = dbus_message.signal("/org/x", MANAGER, "JobRemoved", "uoss", 1, "/job/1", "a.service", "done")
    assert [connection.send(said), connection.send(said)] == [1, 2]
    data = client.recv(4096)
    first = dbus_message.size_of(data)
    assert dbus_message.decode(data[first:]).body == [1, "/job/1", "a.service", "done"]


def test_descriptors_never_arrive(pair: Both) -> None:
    client, connection = pair
    reader, writer = os.pipe()
    socket.send_fds(client, [NUL_AND_BEGIN + dbus_message.encode(call())], [writer])
    os.close(writer)
    assert len(connection.receive()) == 1
    assert os.read(reader, 1) == b"", "nobody has the other end"
    os.close(reader)


def test_unknown_kinds_and_fields_are_ignored(pair: Both) -> None:
    client, connection = pair
    strange = call()
    strange.kind = 9
    fields = [(1, ("o", "/")), (3, ("s", "M")), (77, ("y", 1))]
    more = marshal(dbus_message.HEADER, [ord("l"), 1, 0, 1, 0, 5, fields])
    more += bytes(-len(more) % 8)
    client.sendall(NUL_AND_BEGIN + dbus_message.encode(strange) + more)
    assert [message.serial for message in connection.receive()] == [5]


def test_the_end(pair: Both) -> None:
    client, connection = pair
    assert connection.receive() == [], "nothing there, and not blocking"
    assert channel.peer_of(connection._socket)[1] == os.getuid()
    client.close()
    with pytest.raises(EOFError):
        connection.receive()
    with pytest.raises(EOFError):
        connection.send(call())

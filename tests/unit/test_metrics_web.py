"""The web server of vzmetrics, and clients that mean no good."""

import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

import pytest

from hostd.watch import web
from hostd.watch.web import Server

BIG = b"x" * (32 << 20)  # more than sockets hold


def app(environ: dict[str, object], start: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "text/plain")])
    return [BIG if environ["PATH_INFO"] == "/big" else b"figures"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(web, "MOST", 3)
    monkeypatch.setattr(web, "LONGEST", 0.5)
    monkeypatch.setattr(web, "_TICK", 0.05)
    server = Server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def connect(server: Server, said: bytes = b"") -> socket.socket:
    client = socket.create_connection(server.server_address[:2], 60)  # type: ignore[arg-type]
    client.sendall(said)
    return client


def get(server: Server) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=60) as answer:
        return bytes(answer.read())


def at_once(server: Server) -> int:
    """Requests that are served, each by a thread."""
    return len(server._open)


def test_silent_ones_are_hung_up_on_and_others_served(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        beginnings = (b"", b"GET / HT", b"GET / HTTP/1.0\r\nA:")
        clients = [stack.enter_context(connect(server, said)) for said in beginnings * 3]
        most = 0
        while at_once(server) < web.MOST:
            time.sleep(0.005)
        answer: list[bytes] = []
        asking = threading.Thread(target=lambda: answer.append(get(server)))
        asking.start()
        while asking.is_alive():
            most = max(most, at_once(server))
            time.sleep(0.005)
        assert answer == [b"figures"] and most == web.MOST
        for client in clients:
            while client.recv(4096):  # its end, or what it had said was answered
                pass
    while at_once(server):
        time.sleep(0.005)
    assert get(server) == b"figures"
    assert capsys.readouterr().err == ""


def test_who_reads_nothing_holds_no_thread(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as stack:
        for _ in range(web.MOST):
            stack.enter_context(connect(server, b"GET /big HTTP/1.0\r\n\r\n"))
        assert get(server) == b"figures"
    assert capsys.readouterr().err == ""


def test_who_drips_is_hung_up_on(server: Server) -> None:
    """Each byte is in time, and the request never ends."""
    with connect(server) as client, pytest.raises(OSError):
        while True:
            client.sendall(b"x")
            time.sleep(0.05)


def test_an_address_that_cannot_be_had() -> None:
    with Server("127.0.0.1", 0, app) as one, pytest.raises(OSError, match="in use"):
        Server("127.0.0.1", one.server_port, app)

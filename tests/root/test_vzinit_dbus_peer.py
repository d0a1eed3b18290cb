"""D-Bus of PID 1 against the clients that it is for: systemctl and busctl, as the images have them."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from images import __main__ as command
from tests.harness import machine
from tests.harness.patience import patient
from vzinit import channel, dbus
from vzinit.dbus_message import Message, signal

pytestmark = pytest.mark.root

IMAGES = ("debian-12", "debian-13")
CACHE = os.environ.get("VZ_CACHE") or command.DEFAULT_CACHE
NOT_NEEDED = ("./dev", "./var", "./usr/share", "./usr/lib/python3", "./boot")
MANAGER = "org.freedesktop.systemd1.Manager"
TOP = "/org/freedesktop/systemd1"
UNIT = f"{TOP}/unit/foo_2eservice"
JOB = f"{TOP}/job/1"
# No pid namespace of their own: we would have no pid in it, and sd-bus does not speak to a server without one.
INSIDE = ["unshare", "--mount", "--net", "--ipc", "--uts", "sh", "-c",
          f'{machine.LET_GO}; mount -t proc proc "$0/proc" && '
          'exec setpriv --bounding-set=-sys_boot chroot "$0" "$@"']  # fmt: skip
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_IGNORE_CHROOT": "1"}
EVERYTHING = "ybnqiuxtsogay(si)aa{sv}"
WORDS = [
    "7", "true", "-2", "65535", "-3", "4", "-5", "18446744073709551615", "é", "/a/b", "a{sv}", "2", "1", "2", "x", "-1",
    "2", "1", "k", "as", "2", "v", "w", "0",
]  # fmt: skip
Answer = Callable[[Message], list[Message]]


@pytest.fixture(scope="module", params=IMAGES)
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What systemctl and busctl of an image need of it."""
    archive = f"{CACHE}/{request.param}-{os.uname().machine}.tar.zst"
    if not os.path.exists(archive):
        pytest.skip(f"no {archive}: build the images first")
    place = tmp_path_factory.mktemp(request.param)
    excluded = [f"--exclude={path}" for path in NOT_NEEDED]
    subprocess.run(["tar", "--zstd", "-xf", archive, "-C", place, *excluded], check=True)
    (place / "run/systemd/system").mkdir(parents=True)
    return place


class Manager:
    """Listens where systemd would, and remembers what it was asked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        self.answer: Answer = lambda call: [call.error("org.freedesktop.DBus.Error.UnknownMethod", "no")]
        self._listener = socket.socket(socket.AF_UNIX)
        self._path = f"{root}/run/systemd/private"
        self._listener.bind(self._path)
        self._listener.listen(4)
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            assert channel.peer_of(client)[1] == 0
            connection = dbus.Connection(client)
            try:
                self._serve(connection)
            except EOFError:
                connection.close()

    def _serve(self, connection: dbus.Connection) -> None:
        while True:
            for call in connection.receive():
                self.asked.append(call.member)
                for message in self.answer(call):
                    connection.send(message)

    def run(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*INSIDE, str(self.root), *argv], env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=patient(120),
        )  # fmt: skip

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        os.unlink(self._path)


@pytest.fixture
def manager(root: Path) -> Iterator[Manager]:
    made = Manager(root)
    yield made
    made.close()


def service(call: Message) -> list[Message]:
    """Answers as the manager of one service, whose jobs are done at once."""
    if call.member == "StartUnit":
        done = signal(TOP, MANAGER, "JobRemoved", "uoss", 1, JOB, "foo.service", "done")
        return [call.method_return("o", JOB), done]
    if call.member == "GetUnit":
        return [call.method_return("o", UNIT)]
    if call.member == "Get":
        known = {"ActiveState": ("s", "active"), "LoadState": ("s", "loaded"), "NeedDaemonReload": ("b", False)}
        return [call.method_return("v", known[call.body[1]])]
    return [call.error("org.freedesktop.DBus.Error.UnknownMethod", f"no {call.member}")]


def test_is_active(manager: Manager) -> None:
    manager.answer = service
    done = manager.run("systemctl", "is-active", "foo.service")
    assert (done.stdout, done.returncode) == ("active\n", 0), done.stderr
    assert set(manager.asked) == {"Get"}


def test_start_waits_for_its_job(manager: Manager) -> None:
    manager.answer = service
    done = manager.run("systemctl", "start", "foo")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert manager.asked == ["StartUnit", "GetUnit", "Get"]


def test_a_refusal_is_shown(manager: Manager) -> None:
    manager.answer = lambda call: [call.error("org.freedesktop.systemd1.NoSuchUnit", "Unit ghost.service not found.")]
    done = manager.run("systemctl", "start", "ghost")
    assert (done.stderr, done.returncode) == ("Failed to start ghost.service: Unit ghost.service not found.\n", 5)


def test_a_long_list(manager: Manager) -> None:
    """Longer than any buffer of a socket."""
    state = ("d" * 900, "loaded", "active", "running", "", UNIT, 0, "", "/")
    rows = [(f"u{number}.service", *state) for number in range(800)]
    manager.answer = lambda call: [call.method_return("a(ssssssouso)", rows)]
    done = manager.run("systemctl", "list-units", "--no-legend", "--plain")
    assert len(done.stdout.splitlines()) == len(rows), done.stderr


def test_every_type(manager: Manager) -> None:
    """busctl reads back what it has sent."""

    def echo(call: Message) -> list[Message]:
        if call.member == "Hello":  # busctl takes any address for the one of a bus
            return [call.method_return("s", ":1.0")]
        return [call.method_return(call.signature, *call.body)]

    manager.answer = echo
    address = "--address=unix:path=/run/systemd/private"
    call = ("call", "org.x", "/x", "org.x", "Echo", EVERYTHING, *WORDS)
    done = manager.run("busctl", address, "--json=short", "--", *call)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["type"] == EVERYTHING
    assert answer["data"] == [
        7, True, -2, 65535, -3, 4, -5, (1 << 64) - 1, "é", "/a/b", "a{sv}", [1, 2], ["x", -1],
        [{"k": {"type": "as", "data": ["v", "w"]}}, {}],
    ]  # fmt: skip

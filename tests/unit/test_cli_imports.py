"""A plain command before a hostd played by the test: what it has imported when it is over, and when it asks again."""

import os
import socket
import subprocess
import threading
from dataclasses import replace

import pytest

from images import client, embed
from vzinit.protocol import encode

OWN = {
    "_socket",
    "hostd",
    "hostd.cli",
    "hostd.cli.client",
    "hostd.cli.place",
    "hostd.cli.request",
    "hostd.cli.wire",
    "vzinit",
    "vzinit.protocol",
}

_TELL = """
import posix, sys
before = set(sys.modules)
leave = posix._exit
def tell(code):
    posix.write(1, (" ".join(sorted(set(sys.modules) - before)) + "\\n").encode())
    leave(code)
posix._exit = tell
posix.geteuid = lambda: 0
"""


@pytest.fixture(scope="module")
def vzctl(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command, which says what it has imported before it leaves."""
    directory = str(tmp_path_factory.mktemp("client"))
    program = client.program()
    main = _TELL + program.modules["__main__"]
    embed.build(replace(program, modules=program.modules | {"__main__": main}), f"{directory}/vzctl", directory)
    return f"{directory}/vzctl"


STATUS = (("out", "CTID 101 exist mounted running\n"), ("exit", "0"))
KEYS = {"out": "text", "err": "text", "exit": "code"}
Frames = tuple[tuple[str, str], ...]


def play(listener: socket.socket, daemons: tuple[Frames, ...]) -> None:
    """One connection per daemon, which answers with its frames and dies when they do not end with `exit`."""
    for frames in daemons:
        connection, _ = listener.accept()
        with connection:
            connection.recv(99999)
            for verb, text in frames:
                connection.send(encode(verb, **{KEYS[verb]: text} if verb in KEYS else {}))
            if frames[-1:] and frames[-1][0] == "exit":
                connection.recv(1)


def command(
    program: str, prefix: object, daemons: tuple[Frames, ...], *argv: str
) -> "subprocess.CompletedProcess[str]":
    os.makedirs(f"{prefix}/run/vz")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        directory = os.open(f"{prefix}/run/vz", os.O_PATH)
        listener.bind(f"/proc/self/fd/{directory}/hostd.sock")
        os.close(directory)
        listener.listen()
        thread = threading.Thread(target=play, args=(listener, daemons))
        thread.start()
        done = subprocess.run(
            [program, *argv], env={"VZ_PREFIX": f"{prefix}"}, capture_output=True, text=True, check=False
        )
        thread.join()
    return done


def test_status_imports_nothing_more(vzctl: str, tmp_path: object) -> None:
    done = command(vzctl, tmp_path, (STATUS,), "status", "101")
    status, _, modules = done.stdout.partition("\n")
    assert status == "CTID 101 exist mounted running", done
    assert set(modules.split()) == OWN


def test_an_action_that_nobody_began_is_given_to_the_next_daemon(vzctl: str, tmp_path: object) -> None:
    done = command(vzctl, tmp_path, ((), (), (("begun", ""), ("out", "done\n"), ("exit", "6"))), "start", "101")
    assert (done.returncode, done.stdout.splitlines()[0], done.stderr) == (6, "done", "")


def test_an_action_that_was_begun_is_not(vzctl: str, tmp_path: object) -> None:
    done = command(vzctl, tmp_path, ((("begun", ""),),), "start", "101")
    assert done.returncode == 3
    assert done.stderr.startswith("vzctl: hostd went away before it answered"), done

"""A plain command before a hostd played by the test: what it has imported when it is over, and when it asks again."""

import os
import socket
import subprocess
import threading

from vzinit.protocol import encode

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OWN = {
    "hostd",
    "hostd.cli",
    "hostd.cli.client",
    "hostd.cli.place",
    "hostd.cli.vzctl",
    "hostd.cli.wire",
    "vzinit",
    "vzinit.protocol",
}

_CODE = f"""
import sys; sys.path.insert(0, {ROOT!r})
import posix
before = set(sys.modules)
leave = posix._exit
def tell(code):
    posix.write(1, (" ".join(sorted(set(sys.modules) - before)) + "\\n").encode())
    leave(code)
posix._exit = tell
posix.geteuid = lambda: 0
from hostd.cli.vzctl import main; main()
"""


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


def command(prefix: object, daemons: tuple[Frames, ...], *argv: str) -> "subprocess.CompletedProcess[str]":
    os.makedirs(f"{prefix}/run/vz")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        directory = os.open(f"{prefix}/run/vz", os.O_PATH)
        listener.bind(f"/proc/self/fd/{directory}/hostd.sock")
        os.close(directory)
        listener.listen()
        thread = threading.Thread(target=play, args=(listener, daemons))
        thread.start()
        done = subprocess.run(
            ["/usr/bin/python3", "-ISE", "-c", _CODE, *argv],
            env={"VZ_PREFIX": f"{prefix}"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        thread.join()
    return done


def test_status_imports_nothing_more(tmp_path: object) -> None:
    done = command(tmp_path, (STATUS,), "status", "101")
    status, _, modules = done.stdout.partition("\n")
    assert status == "CTID 101 exist mounted running", done
    assert set(modules.split()) - {"_socket"} == OWN  # _socket: a file of its own in some builds


def test_an_action_that_nobody_began_is_given_to_the_next_daemon(tmp_path: object) -> None:
    done = command(tmp_path, ((), (), (("begun", ""), ("out", "done\n"), ("exit", "6"))), "start", "101")
    assert (done.returncode, done.stdout.splitlines()[0], done.stderr) == (6, "done", "")


def test_an_action_that_was_begun_is_not(tmp_path: object) -> None:
    done = command(tmp_path, ((("begun", ""),),), "start", "101")
    assert done.returncode == 3
    assert done.stderr.startswith("vzctl: hostd went away before it answered"), done

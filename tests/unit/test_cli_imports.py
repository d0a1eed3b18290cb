"""What a plain command has imported when it is over: C modules and five small files."""

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


def answer(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(99999)
        connection.send(encode("out", text="CTID 101 exist mounted running\n"))
        connection.send(encode("exit", code=0))
        connection.recv(1)


def test_status_imports_nothing_more(tmp_path: object) -> None:
    os.makedirs(f"{tmp_path}/run/vz")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        directory = os.open(f"{tmp_path}/run/vz", os.O_PATH)
        listener.bind(f"/proc/self/fd/{directory}/hostd.sock")
        os.close(directory)
        listener.listen()
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        done = subprocess.run(
            ["/usr/bin/python3", "-ISE", "-c", _CODE, "status", "101"],
            env={"VZ_PREFIX": f"{tmp_path}"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        thread.join()
    status, _, modules = done.stdout.partition("\n")
    assert status == "CTID 101 exist mounted running", done
    assert set(modules.split()) - {"_socket"} == OWN  # _socket: a file of its own in some builds

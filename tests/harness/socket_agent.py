"""A process in a cgroup that opens and closes sockets as it is told, one line of JSON each."""

import ctypes
import errno
import json
import os
import signal
import socket
import subprocess
import sys
from types import TracebackType
from typing import Self

from hostd.cgroup.tree import CtCgroup
from tests.harness.installation import CHECKOUT

KINDS = {
    "tcp4": (socket.AF_INET, socket.SOCK_STREAM),
    "tcp6": (socket.AF_INET6, socket.SOCK_STREAM),
    "udp4": (socket.AF_INET, socket.SOCK_DGRAM),
    "udp6": (socket.AF_INET6, socket.SOCK_DGRAM),
    "raw4": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "mptcp": (socket.AF_INET, socket.SOCK_STREAM, 262),
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM),
    "netlink": (socket.AF_NETLINK, socket.SOCK_RAW),
    "packet": (socket.AF_PACKET, socket.SOCK_RAW),
}

_LIBC = ctypes.CDLL(None, use_errno=True)


class Agent:
    """Every method answers "" or the name of an errno, or a number."""

    def __init__(self, cgroup: CtCgroup) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for path in cgroup.paths():
            self.enter(path)

    def enter(self, path: str) -> None:
        """The cgroup of that directory."""
        with open(f"{path}/cgroup.procs", "w", encoding="ascii") as file:
            file.write(str(self.process.pid))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def _ask(self, *words: str | int) -> str | int:
        assert self.process.stdin and self.process.stdout
        print(json.dumps(words), file=self.process.stdin, flush=True)
        answer: str | int = json.loads(self.process.stdout.readline())
        return answer

    def open(self, kind: str, name: str = "") -> str:
        return str(self._ask("open", kind, name or kind))

    def close(self, *names: str) -> None:
        for name in names:
            self._ask("close", name)

    def descriptor(self, name: str) -> int:
        return int(self._ask("descriptor", name))

    def listen(self, name: str) -> int:
        """The port, of IPv4."""
        return int(self._ask("listen", name))

    def connect(self, name: str, port: int, milliseconds: int = 10_000) -> str:
        return str(self._ask("connect", name, port, milliseconds))

    def accept(self, name: str, new: str) -> str:
        return str(self._ask("accept", name, new))

    def cut_off(self, name: str) -> str:
        """The socket is as it was before it was connected."""
        return str(self._ask("cut_off", name))

    def begin_to_listen(self, name: str) -> str:
        return str(self._ask("begin_to_listen", name))

    def fork(self) -> int:
        """A child that has all that is open now, and keeps it."""
        return int(self._ask("fork"))

    def end(self, child: int) -> None:
        self._ask("end", child)

    def storm(self, children: int, rounds: int) -> None:
        """Many at once that open, connect and close, whether they are refused or not."""
        self._ask("storm", children, rounds)


class _Inside:
    def __init__(self) -> None:
        self.sockets: dict[str, socket.socket] = {}

    def open(self, kind: str, name: str) -> str:
        family, type, *protocol = KINDS[kind]
        self.sockets[name] = socket.socket(family, type, *protocol)
        return ""

    def close(self, name: str) -> str:
        self.sockets.pop(name).close()
        return ""

    def descriptor(self, name: str) -> int:
        return self.sockets[name].fileno()

    def listen(self, name: str) -> int:
        self.sockets[name] = socket.create_server(("127.0.0.1", 0))
        return int(self.sockets[name].getsockname()[1])

    def connect(self, name: str, port: int, milliseconds: int) -> str:
        one = self.sockets[name]
        one.settimeout(milliseconds / 1000)
        try:
            one.connect(("127.0.0.1", port))
        except TimeoutError:
            return "ETIMEDOUT"
        return ""

    def accept(self, name: str, new: str) -> str:
        self.sockets[new], _ = self.sockets[name].accept()
        return ""

    def cut_off(self, name: str) -> str:
        address = bytes(16)  # AF_UNSPEC, which socket.connect does not know
        if _LIBC.connect(self.sockets[name].fileno(), address, len(address)):
            raise OSError(ctypes.get_errno(), name)
        return ""

    def begin_to_listen(self, name: str) -> str:
        self.sockets[name].listen()
        return ""

    def fork(self) -> int:
        child = os.fork()
        if child == 0:
            signal.pause()
        return child

    def end(self, child: int) -> str:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return ""

    def storm(self, children: int, rounds: int) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        server.setblocking(False)
        forked = []
        for _ in range(children):
            child = os.fork()
            if child == 0:
                try:
                    for number in range(rounds):
                        _round(server, number)
                finally:
                    os._exit(0)
            forked.append(child)
        for child in forked:
            os.waitpid(child, 0)
        server.close()
        return ""


def _round(server: socket.socket, number: int) -> None:
    opened: list[socket.socket] = []
    for kind in ("tcp4", "udp6", "tcp6", "udp4"):
        try:
            opened.append(socket.socket(*KINDS[kind]))
        except OSError:
            continue
    try:
        opened[0].settimeout(0.02)
        opened[0].connect(server.getsockname())
        if number % 2:  # the others are left to whoever closes the server
            opened.append(server.accept()[0])
    except (OSError, IndexError):
        pass
    for one in opened:
        one.close()


def main() -> None:
    inside = _Inside()
    for line in sys.stdin:
        verb, *words = json.loads(line)
        try:
            answer = getattr(inside, verb)(*words)
        except OSError as error:
            answer = errno.errorcode[error.errno or 0]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

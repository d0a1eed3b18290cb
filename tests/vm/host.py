"""A machine that does what it is told: commands go in over a port, their results come back."""

import json
import socket
import threading
import time
from dataclasses import replace

from tests.harness.installation import Result
from tests.vm.boot import BOOT_SECONDS, Order, Outcome, boot
from tests.vm.pieces import Pieces


class Host:
    """One machine.  It boots in a thread; `run` waits for it."""

    def __init__(self, pieces: Pieces, order: Order, directory: str, path: str) -> None:
        """*path*: where the socket of its port may be made."""
        port = (
            "-chardev", f"socket,id=orders,path={path},server=on,wait=off",
            "-device", "virtserialport,chardev=orders,name=orders",
        )  # fmt: skip
        order = replace(order, command="#!/bin/sh\nexec python3 /run/vm/serve\n", extra=port)
        self.said = b""
        self.outcome: Outcome | None = None
        self._thread = threading.Thread(target=self._boot, args=(pieces, order, directory))
        self._thread.start()
        self._socket = self._connected(path)
        self._text = b""

    def ready(self) -> None:
        assert self._line(BOOT_SECONDS) == {"ready": True}

    def run(self, command: str, check: int | None = 0, timeout: float = 120.0) -> Result:
        """The result of a shell command in the machine, as root in /src; *check*: the exit code that must come."""
        self._socket.sendall(json.dumps(command).encode() + b"\n")
        answer = self._line(timeout)
        result = Result(int(str(answer["code"])), str(answer["stdout"]), str(answer["stderr"]))
        assert check is None or result.code == check, f"{command}: {result}"
        return result

    def end(self) -> None:
        """Switch it off; returns when QEMU has ended."""
        self._socket.sendall(b'"end"\n')
        self._thread.join()
        self._socket.close()

    def _boot(self, pieces: Pieces, order: Order, directory: str) -> None:
        self.outcome = boot(pieces, order, directory, self._hear)

    def _hear(self, data: bytes) -> None:
        self.said += data

    def _connected(self, path: str) -> socket.socket:
        """QEMU makes the socket when it gets so far."""
        end = time.monotonic() + BOOT_SECONDS
        while True:
            try:
                made = socket.socket(socket.AF_UNIX)
                made.connect(path)
                return made
            except OSError:
                made.close()
                assert time.monotonic() < end and self._thread.is_alive(), f"QEMU opens no socket: {self.outcome}"
                time.sleep(0.05)

    def _line(self, timeout: float) -> dict[str, object]:
        self._socket.settimeout(timeout)
        while b"\n" not in self._text:
            data = self._socket.recv(65536)
            assert data, f"the machine has ended: {self.outcome}"
            self._text += data
        line, _, self._text = self._text.partition(b"\n")
        found = json.loads(line)
        assert isinstance(found, dict)
        return found

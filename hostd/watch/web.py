"""A small web server for whoever may connect: so many requests at once, and each for so long."""

import socket
import sys
import threading
import time
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import WSGIApplication

MOST = 8  # requests at once; who comes then waits in the kernel's queue
LONGEST = 10.0  # seconds from a connection to its end: as long as Prometheus itself waits
_TICK = 0.5  # seconds from one look for those to the next

Connection = socket.socket


class Server(ThreadingMixIn, WSGIServer):
    """Answers with *app*.  Who says nothing, says it slowly, or reads nothing is hung up on after LONGEST: its thread
    then finds the connection closed, as if the other side had closed it.  Raises OSError.
    """

    daemon_threads = True
    block_on_close = False  # nothing is left half done in a thread that ends with us

    def __init__(self, address: str, port: int, app: WSGIApplication) -> None:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        self._free = threading.Semaphore(MOST)
        self._open: dict[Connection, float] = {}  # when each came
        self._guard = threading.Lock()  # nobody hangs up on a number that is another connection's by now
        super().__init__((address, port), _Handler)
        self.set_app(app)

    def process_request(self, request: Connection, client_address: object) -> None:  # type: ignore[override]
        while not self._free.acquire(timeout=_TICK):
            self.service_actions()
        with self._guard:
            self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Connection) -> None:  # type: ignore[override]
        """Every request ends here, that for which there was no thread as well."""
        with self._guard:
            known = self._open.pop(request, None) is not None
            super().shutdown_request(request)
        if known:
            self._free.release()

    def service_actions(self) -> None:
        late = time.monotonic() - LONGEST
        with self._guard:
            for request in [one for one, since in self._open.items() if since < late]:
                try:
                    request.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the other side was faster

    def handle_error(self, request: object, client_address: object) -> None:
        """Who went away, or was hung up on, is no news either."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def serve(self) -> None:
        """Until `shutdown` is called, by another thread."""
        self.serve_forever(_TICK)


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """A scrape a minute is no news."""

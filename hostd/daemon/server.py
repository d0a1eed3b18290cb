"""Accept commands on the listening socket, one task each."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

from hostd.daemon.session import CommandGone, CommandSession
from hostd.errors import Exit
from hostd.log import log

Handler = Callable[[CommandSession, str, list[str]], Awaitable[int]]

_ITS_CODES = ("vzctl", "vz")  # commands that have the exit codes of vzctl; the others know 1
_PEER = struct.Struct("iii")  # pid, uid, gid: struct ucred


class CommandServer:
    """Runs *handler(session, prog, argv)* for every command; what it returns is the command's exit code."""

    def __init__(self, listener: socket.socket, handler: Handler) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[None]] = set()
        self._lingering: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def stop(self) -> None:
        """Accept nothing more; what comes now waits in the keeper's socket for the next daemon."""
        self._loop.remove_reader(self._listener)

    async def drain(self) -> None:
        """Wait until every running command has its exit code."""
        self.stop()
        while self._running:
            await asyncio.wait(self._running)

    async def close(self) -> None:
        """Stop, cancel the handlers that still run, and close every connection."""
        self.stop()
        tasks = self._running | self._lingering
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                log.error("cannot accept a command: %s", error.strerror)
                return
            self._track(self._running, self._serve(sock))

    def _track(self, tasks: set[asyncio.Task[None]], work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _serve(self, sock: socket.socket) -> None:
        session = CommandSession(sock)
        session.uid = peer_uid(sock)
        try:
            prog, argv = await session.request()
            code = await self._run(session, prog, argv)
        except (CommandGone, asyncio.CancelledError):
            session.close()
            return
        self._track(self._lingering, self._finish(session, code))

    async def _finish(self, session: CommandSession, code: int) -> None:
        try:
            await session.finish(code)
        finally:
            session.close()

    async def _cancellable(self, session: CommandSession, handling: Awaitable[int]) -> int:
        """The handler's code; a session that is cancelled cancels the handler, which then undoes its work."""
        handler = asyncio.ensure_future(handling)
        cancelled = asyncio.ensure_future(session.cancelled.wait())
        try:
            await asyncio.wait((handler, cancelled), return_when=asyncio.FIRST_COMPLETED)
            if not handler.done():
                handler.cancel()
                await asyncio.wait((handler,))
        finally:
            handler.cancel()
            cancelled.cancel()
        return 128 + session.signal if handler.cancelled() else handler.result()

    async def _run(self, session: CommandSession, prog: str, argv: list[str]) -> int:
        if session.uid != 0:
            session.err(f"{prog}: only root may do this\n")
            return Exit.NO_ACCESS if prog in _ITS_CODES else 1
        try:
            return await self._cancellable(session, self._handler(session, prog, argv))
        except CommandGone:
            raise
        except Exception as error:
            log.exception("%s %s", prog, " ".join(argv[:2]))  # not the rest: a password may be among it
            session.err(f"{prog}: internal error, see the log: {type(error).__name__}: {error}\n")
            return Exit.SYSTEM if prog in _ITS_CODES else 1


def peer_uid(sock: socket.socket) -> int:
    """The user at the other end, as the kernel knows it."""
    _, uid, _ = _PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return int(uid)

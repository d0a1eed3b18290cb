"""A daemon for tests of the keeper and the commands: real link and server, and verbs that poke at them.

Run by a keeper as `python fake_daemon.py`; the first word of a command line names the verb, a function each.
"""

import asyncio
import ctypes
import os
import platform
import signal
import socket
import sys
import tty
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import cast

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from hostd.daemon.keeper_link import ChildExit, KeeperLink
from hostd.daemon.server import CommandServer
from hostd.daemon.session import CommandSession
from hostd.kernel.fd import Fd
from hostd.kernel.process import Process

CLONE_PARENT = 0x8000
SYS_CLONE = {"x86_64": 56, "aarch64": 220, "armv7l": 120}[platform.machine()]


class FakeDaemon:
    def __init__(self, link: KeeperLink) -> None:
        self.link = link
        self.ended: dict[str, ChildExit] = {}
        self.news = asyncio.Event()
        self.done: list[str] = []
        link.subscribe(self.on_exit, become_keeper)

    def on_exit(self, ended: ChildExit) -> None:
        self.ended[ended.name] = ended
        self.news.set()

    async def handle(self, session: CommandSession, prog: str, argv: list[str]) -> int:
        verb, *words = argv or ["help"]
        method = getattr(self, f"do_{verb}", None)
        if method is None:
            session.err(f"Bad command: {verb}\n")
            return 20
        return await cast(Callable[..., Awaitable[int]], method)(session, *words)

    async def do_status(self, session: CommandSession, ctid: str) -> int:
        session.out(f"CTID {ctid} exist unmounted down\n")
        self.die_if_told()
        return 0

    async def do_start(self, session: CommandSession, ctid: str) -> int:
        session.out("Starting container...\n")
        self.die_if_told()
        return 0

    def die_if_told(self) -> None:
        """The file `deaths` in the prefix says how many daemons are to die under a question."""
        path = f"{os.environ['VZ_PREFIX']}/deaths"
        if os.path.exists(path) and os.path.getsize(path):
            os.truncate(path, os.path.getsize(path) - 1)
            os.kill(os.getpid(), signal.SIGKILL)

    async def do_facts(self, session: CommandSession) -> int:
        session.out(f"{session.uid} {session.tty} {session.rows} {session.cols} {session.term} {session.cwd}\n")
        return 0

    async def do_pid(self, session: CommandSession) -> int:
        session.out(f"{os.getpid()} {os.getppid()}\n")
        return 0

    async def do_environment(self, session: CommandSession) -> int:
        fds = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)}
        session.out(f"{os.getcwd()} {fds} {sorted(os.environ)}\n")
        return 0

    async def do_mixed(self, session: CommandSession, count: str) -> int:
        for number in range(int(count)):
            (session.err if number % 2 else session.out)(f"{number}\n")
        return 7

    async def do_flood(self, session: CommandSession, size: str) -> int:
        session.out("x" * int(size))
        return 0

    async def do_hold(self, session: CommandSession, name: str, text: str) -> int:
        with Fd(os.memfd_create("held"), "held") as fd:
            os.write(fd.fileno(), text.encode())
            self.link.hold(name, fd)
        return 0

    async def do_holdmany(self, session: CommandSession, *names: str) -> int:
        for name in names:
            await self.do_hold(session, name, name)
        return 0

    async def do_forgetmany(self, session: CommandSession, *names: str) -> int:
        for name in names:
            self.link.forget(name)
        return 0

    do_forget = do_forgetmany

    async def do_held(self, session: CommandSession) -> int:
        held = sorted(self.link.held.items())
        session.out("".join(f"{name}={os.pread(fd.fileno(), 100, 0).decode()}\n" for name, fd in held))
        return 0

    async def do_spawn(self, session: CommandSession, name: str, script: str) -> int:
        """A child of the keeper that runs *script*; registered unless *name* is "-"."""
        pid = spawn(script)
        if name != "-":
            self.register(name, pid)
        session.out(f"{pid}\n")
        return 0

    async def do_spawnlate(self, session: CommandSession, name: str, script: str) -> int:
        """Registered only after it has ended."""
        pid = spawn(script)
        pidfd = os.pidfd_open(pid)
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(pidfd, over.set)
        await over.wait()
        loop.remove_reader(pidfd)
        os.close(pidfd)
        self.register(name, pid)
        return 0

    async def do_adopt(self, session: CommandSession, name: str, pid: str) -> int:
        self.register(name, int(pid))
        return 0

    def register(self, name: str, pid: int) -> None:
        process = SimpleNamespace(pid=pid, pidfd=Fd(os.pidfd_open(pid), "pidfd"))
        self.link.child(name, cast(Process, process))

    async def do_children(self, session: CommandSession) -> int:
        session.out("".join(f"{c.name} {c.pid}\n" for c in self.link.children.values()))
        return 0

    async def do_wait(self, session: CommandSession, name: str) -> int:
        while name not in self.ended:
            self.news.clear()
            await self.news.wait()
        ended = self.ended[name]
        session.out(f"{ended.code} {ended.status} {ended.signal}\n")
        return 0

    async def do_exits(self, session: CommandSession) -> int:
        session.out(" ".join(sorted(self.link.exits)) + "\n")
        return 0

    async def do_die(self, session: CommandSession) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    async def do_exec(self, session: CommandSession, script: str) -> int:
        stdin, stdout, stderr = await session.pipes()
        with stdin, stdout, stderr:
            process = await asyncio.create_subprocess_exec(
                "sh", "-c", script, stdin=stdin.fileno(), stdout=stdout.fileno(), stderr=stderr.fileno()
            )
        await session.relay_pipes()
        try:
            return await process.wait()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise

    do_exec2 = do_exec

    async def do_comment(self, session: CommandSession) -> int:
        """A program's last words, and ours."""
        stdio = await session.pipes()
        with stdio[0], stdio[1], stdio[2]:
            os.write(stdio[1].fileno(), b"the program\n")
        await session.relay_pipes()
        session.out("hostd\n")
        return 0

    async def do_enter(self, session: CommandSession, *argv: str) -> int:
        master, slave = os.openpty()
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=slave, stdout=slave, stderr=slave,
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)), start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        relay = asyncio.ensure_future(session.relay_pty(Fd(master, "pty")))
        code = await process.wait()
        relay.cancel()
        return code

    async def do_typed(self, session: CommandSession, size: str) -> int:
        """`enter` with a command of *size* bytes; says how much came in ahead of the end of stdin."""
        master, slave = os.openpty()
        tty.setraw(slave)
        relay = asyncio.ensure_future(session.relay_pty(Fd(master, "pty"), "x" * int(size)))
        came = await asyncio.to_thread(list, iter(lambda: os.read(slave, 1), b"\x04"))
        os.close(slave)
        await relay
        session.out(f"{len(came)}\n")
        return 0

    async def do_console(self, session: CommandSession) -> int:
        """Says back what is typed, as `<text>`; "end" ends the stream, a second one comes after it."""
        session.err("Attached to CT 1 (ESC . to detach)\n")
        while not session.detached.is_set():
            ours, theirs = socket.socketpair()
            echo = asyncio.ensure_future(self.echo(ours))
            await session.relay_console(Fd(theirs.detach(), "console"))
            await asyncio.gather(echo, return_exceptions=True)  # the last words may meet a closed stream
        session.err(f"Detached from CT 1{' after SAK' if session.attention.is_set() else ''}\n")
        return 0

    async def echo(self, stream: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=stream)
        writer.write(b"console ready\r\n")
        data = b""
        while data != b"end\r" and (data := await reader.read(100)):
            writer.write(b"<" + data.hex().encode() + b">")
        writer.close()

    async def do_operation(self, session: CommandSession, how: str = "") -> int:
        session.out("started\n")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if how == "stubborn":
                await asyncio.Event().wait()
            session.out("undone\n")
        return 3

    async def do_later(self, session: CommandSession, name: str) -> int:
        """An operation that goes on when its command is gone, and reports it then."""
        session.out("started\n")
        await session.gone.wait()
        for _ in range(10):
            await asyncio.sleep(0)
            session.out("nobody reads this\n")
        self.done.append(name)
        return 0

    async def do_done(self, session: CommandSession) -> int:
        session.out(" ".join(self.done) + "\n")
        return 0

    async def do_hangup(self, session: CommandSession, *argv: str) -> int:
        """`enter`, hung up by hostd as soon as it runs."""
        master, slave = os.openpty()
        os.write(slave, b"before hangup\n")
        relay = asyncio.ensure_future(session.relay_pty(Fd(master, "pty")))
        await asyncio.sleep(0)
        await session.hangup()
        await relay
        os.close(slave)
        session.out("hung up\n")
        return 4

    async def do_fds(self, session: CommandSession) -> int:
        session.out(f"{len(os.listdir('/proc/self/fd'))}\n")
        return 0


def become_keeper() -> None:
    os.execv((again := os.environ["VZ_HOSTD"].split("\x1f"))[0], again)


def spawn(script: str) -> int:
    """A shell that is the keeper's child, not ours."""
    pid: int = ctypes.CDLL(None).syscall(SYS_CLONE, CLONE_PARENT, 0, 0, 0, 0)
    if pid == 0:
        try:
            os.execv("/bin/sh", ["sh", "-c", script])
        finally:
            os._exit(127)
    return pid


async def serve() -> None:
    link = await KeeperLink.connect()
    daemon = FakeDaemon(link)
    assert link.listener is not None
    server = CommandServer(link.listener, daemon.handle)
    leaving = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leaving.set)
    server.start()
    link.serving()
    await leaving.wait()
    await server.close()


if __name__ == "__main__":
    if "VZ_ANSWER" in os.environ:  # every command line is for the daemon
        sys.exit()
    asyncio.run(serve())

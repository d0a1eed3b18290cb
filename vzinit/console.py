"""Consoles: terminals whose master vzinit holds.  What is written there is kept, and shown to whoever
attaches.

/dev/console and /dev/tty1 are the first one; /dev/ttyN come into being when somebody attaches.  A login
prompt is started when the first person attaches, not at boot: an unwatched console costs no process.
"""

import posix

from vzinit import child, fds, pty, reaper, ring, session
from vzinit.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vzinit.loop import Loop

BACKLOG = 128 * 1024  # bytes kept for a viewer that reads slowly; then it loses the oldest
CHUNK = 4096
LAST_TTY = 63
HANGUPS_BEFORE_PAUSE = 5  # a login prompt that ends this often within PAUSE seconds is broken: it rests for so long
PAUSE = 30.0


class Viewer:
    """One attached stream socket: output waiting to go out, input waiting for the terminal."""

    __slots__ = ("fd", "incoming", "outgoing")

    def __init__(self, fd: int, outgoing: bytes) -> None:
        self.fd = fd
        self.outgoing = bytearray(outgoing)
        self.incoming = b""


class Console:
    """One terminal, its ring buffer, its viewers and its login prompt."""

    def __init__(self, loop: "Loop", names: list[str], kept: ring.Ring) -> None:
        self._loop = loop
        self.master, self.slave = pty.open_pty()  # the slave stays open: without one, the master reports a hang-up
        posix.set_blocking(self.master, False)
        self.names = names
        self.ring = kept
        self._viewers: dict[int, Viewer] = {}
        self._prompt: list[str] | None = None
        self.prompts = True  # else login prompts are another init's business
        self._prompting = False  # a prompt, or what was logged in at it, runs
        self._prompts_ended = 0  # within the last PAUSE seconds
        for name in names:
            link(pty.slave_name(self.master), name)
        loop.watch(self.master, self._from_terminal)

    # Output.

    def log(self, text: str) -> None:
        """A line of vzinit itself.  It does not pass through the terminal, so it cannot block."""
        self._show(text.replace("\n", "\r\n").encode("utf-8", "replace") + b"\r\n")

    def _from_terminal(self, events: int) -> None:
        if events & WRITE:
            self._to_terminal()
        if events & READ:
            try:
                self._show(posix.read(self.master, CHUNK))
            except OSError:
                pass

    def _show(self, data: bytes) -> None:
        self.ring.add(data)
        for viewer in list(self._viewers.values()):
            viewer.outgoing += data
            if len(viewer.outgoing) > BACKLOG:
                del viewer.outgoing[:-BACKLOG]
            self._to_viewer(viewer)

    # Viewers.

    def attach(self, fd: int) -> None:
        """Copy between the stream socket *fd* (ours from now on) and the terminal until it is closed."""
        posix.set_blocking(fd, False)
        viewer = self._viewers[fd] = Viewer(fd, self.ring.tail())
        self._loop.watch(fd, lambda events: self._viewer_ready(viewer, events))
        self._to_viewer(viewer)
        self._want_prompt()

    def detach_all(self) -> None:
        for viewer in list(self._viewers.values()):
            self._drop(viewer)

    def _viewer_ready(self, viewer: Viewer, events: int) -> None:
        if events & WRITE:
            self._to_viewer(viewer)
        if events & ~WRITE and viewer.fd in self._viewers:
            self._from_viewer(viewer)

    def _from_viewer(self, viewer: Viewer) -> None:
        try:
            data = posix.read(viewer.fd, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(viewer)
            return
        viewer.incoming += data
        self._to_terminal()

    def _to_terminal(self) -> None:
        """Type what viewers sent; a viewer is not read again before the terminal took its last bytes."""
        for viewer in self._viewers.values():
            if viewer.incoming:
                try:
                    viewer.incoming = viewer.incoming[posix.write(self.master, viewer.incoming) :]
                except BlockingIOError:
                    pass
            self._watch_viewer(viewer)
        stuck = any(viewer.incoming for viewer in self._viewers.values())
        self._loop.change(self.master, READ | WRITE if stuck else READ)

    def _to_viewer(self, viewer: Viewer) -> None:
        try:
            if viewer.outgoing:
                del viewer.outgoing[: posix.write(viewer.fd, viewer.outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(viewer)
            return
        self._watch_viewer(viewer)

    def _watch_viewer(self, viewer: Viewer) -> None:
        events = (0 if viewer.incoming else READ) | (WRITE if viewer.outgoing else 0)
        self._loop.change(viewer.fd, events)

    def _drop(self, viewer: Viewer) -> None:
        if self._viewers.pop(viewer.fd, None):
            self._loop.unwatch(viewer.fd)
            fds.close(viewer.fd)

    # The login prompt.

    def set_prompt(self, argv: list[str]) -> None:
        """The program that the image wants on this terminal (inittab), instead of the one found by itself."""
        self._prompt = argv

    def _want_prompt(self) -> None:
        """Start it when somebody looks, none is there, and it did not end too often."""
        if self.prompts and self._viewers and not self._prompting and self._prompts_ended < HANGUPS_BEFORE_PAUSE:
            argv = self._prompt or login_prompt(self.names[-1])
            if argv:
                self._start_prompt(argv)

    def _start_prompt(self, argv: list[str]) -> None:
        environment = {"PATH": child.PATH, "TERM": "linux", "HOME": "/root"}
        program = child.Program(
            argv,
            environment,
            [self.slave, self.slave, self.slave],
            program=argv[0].lstrip("-") if argv[0] != "-sh" else "/bin/sh",
            controlling_tty=True,
        )
        prompt = reaper.adopt(child.start(self._loop, program, None, lambda _code, _signal: self._prompt_ended(prompt)))
        self._prompting = True

    def _prompt_ended(self, prompt: child.Child) -> None:
        self._prompts_ended += 1
        self._loop.after(PAUSE, self._forget_prompt)
        session.log_out(prompt.pid, self._next_prompt)

    def _next_prompt(self) -> None:
        self._prompting = False
        self._want_prompt()

    def _forget_prompt(self) -> None:
        self._prompts_ended -= 1
        self._want_prompt()


def link(target: str, name: str) -> None:
    """Make *name* a symlink to *target*, whatever it was before."""
    try:
        posix.unlink(name)
    except FileNotFoundError:
        pass
    posix.symlink(target, name)


def login_prompt(tty: str) -> list[str]:
    """What asks for a name on *tty*: agetty, getty; a root shell where the image has no `login` at all."""
    name = tty.rpartition("/")[2]
    if fds.is_program("/sbin/agetty"):
        return ["/sbin/agetty", "--noclear", name, "linux"]
    if fds.is_program("/sbin/getty") and fds.is_program("/bin/login"):
        return ["/sbin/getty", "-L", "0", name, "linux"]
    return ["-sh"] if fds.is_program("/bin/sh") else []


class Consoles:
    """All terminals by number; number 1 is /dev/console and exists from the beginning."""

    def __init__(self, loop: "Loop", last_words: ring.Ring) -> None:
        self._loop = loop
        self._by_number = {1: Console(loop, ["/dev/console", "/dev/tty1"], last_words)}
        self.first = self._by_number[1]
        self._prompts = True

    def leave_prompts_to_others(self) -> None:
        """Another init is PID 1, and has login prompts of its own."""
        self._prompts = False
        for console in self._by_number.values():
            console.prompts = False

    def get(self, number: int) -> Console:
        """Console *number* (1..63), made if need be.  Raises ValueError or OSError."""
        if not 1 <= number <= LAST_TTY:
            raise ValueError(f"tty {number} is not 1..{LAST_TTY}")
        if number not in self._by_number:
            self._by_number[number] = Console(self._loop, [f"/dev/tty{number}"], ring.new(f"tty{number}"))
            self._by_number[number].prompts = self._prompts
        return self._by_number[number]

    def attach(self, number: int, fd: int) -> None:
        self.get(number).attach(fd)

    def detach_all(self) -> None:
        for console in self._by_number.values():
            console.detach_all()

"""Operations on a running container when something fails on the way: it goes on, and nothing is left open."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.config.paths import Paths
from hostd.container import counters, scripts
from hostd.container.container import Container
from hostd.container.init_link import ChannelLost, InitLink, Message
from hostd.container.ops import apply, chkpnt, sessions, tool
from hostd.container.ops.apply import LiveChange
from hostd.container.ops.sessions import Terminal
from hostd.container.ops.undo import Undo
from hostd.container.record import Record
from hostd.container.world import World
from hostd.errors import Exit, Failure, NoConfig
from hostd.kernel.process import Process


class FakeLink:
    """PID 1 as `ask` tells it: with *answer*, or by raising it."""

    def __init__(self, answer: Message | Exception) -> None:
        self.answer = answer
        self.told: list[str] = []

    async def ask(self, verb: str, *_: object, **__: object) -> Message:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def tell(self, verb: str, *_: object, **__: object) -> None:
        self.told.append(verb)


@pytest.fixture
def full_run(tmp_path: Path) -> Paths:
    """An installation where no record can be written."""
    paths = Paths(str(tmp_path))
    os.makedirs(paths.run_dir)
    Path(paths.records_dir).touch()
    return paths


def running(paths: Paths, link: FakeLink) -> Container:
    no_cgroups = SimpleNamespace(v1_roots=(), unified_root="", root_of=lambda controller: None)

    def no_config(ctid: int) -> None:
        raise NoConfig("there is none")

    world = SimpleNamespace(paths=paths, tree=no_cgroups, criu_cache="", load_config=no_config)
    ct = Container(cast(World, world), 101, Record(ctid=101))
    ct.process = cast(Process, SimpleNamespace(alive=lambda: True))
    ct.link = cast(InitLink, link)
    return ct


def test_after_a_dump_that_failed_the_container_goes_on_whatever_can_be_noted(full_run: Paths) -> None:
    link = FakeLink(Message("done", {}))
    ct = running(full_run, link)
    assert ct.record is not None
    ct.record.intent, ct.record.dump = "chkpnt", "/dump"
    asyncio.run(chkpnt._go_on(ct))
    assert link.told == ["resume"] and (ct.record.intent, ct.record.dump) == ("", "")


def test_a_checkpoint_that_cannot_be_noted_is_none(full_run: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash nobody would know of it."""

    async def nothing(_of: object) -> dict[str, list[int]]:
        return {}

    monkeypatch.setattr(chkpnt, "checked", nothing)
    monkeypatch.setattr(counters, "totals", lambda ct: dict)
    ct = running(full_run, FakeLink(Message("done", {})))
    assert ct.record is not None
    monkeypatch.setattr(chkpnt, "CtCgroup", lambda tree, ctid: SimpleNamespace(paths=list))
    with pytest.raises(OSError, match="Not a directory"):
        asyncio.run(chkpnt.chkpnt(ct, "/dump", lambda line: None))
    assert (ct.record.intent, ct.record.dump) == ("", "")


def test_what_cannot_be_taken_back_does_not_stop_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def step(name: str, *, fails: bool = False) -> Callable[..., Awaitable[None]]:
        async def back() -> None:
            done.append(f"undo {name}")
            raise RuntimeError(name)

        async def act(ct: Container, change: LiveChange, undos: list[Undo]) -> None:
            if fails:
                raise OSError(28, "No space left on device")
            undos.append(back)

        act.__name__ = name
        return act

    for name in ("_limits", "_sockets", "_devices", "_addresses"):
        monkeypatch.setattr(apply, name, step(name))
    monkeypatch.setattr(apply, "_names", step("_names", fails=True))
    ct = running(Paths(str(tmp_path)), FakeLink(Message("done", {})))
    change = cast(LiveChange, SimpleNamespace(add=(), delete=(), texts={}))
    with pytest.raises(Failure) as raised:
        asyncio.run(apply.apply(ct, change, print))
    stays = [f"something else could not be taken back: RuntimeError: {name}" for name in
             ("_addresses", "_devices", "_sockets", "_limits")]  # fmt: skip
    assert raised.value.message == "; ".join(["No space left on device", *stays]) and raised.value.exit_code == 3
    assert done == ["undo _addresses", "undo _devices", "undo _sockets", "undo _limits"]
    assert ct.record is not None and ct.record.intent == ""


def test_a_program_that_cannot_be_run_leaves_no_descriptor(tmp_path: Path) -> None:
    ct = running(Paths(str(tmp_path)), FakeLink(FileNotFoundError(2, "No such file or directory")))

    async def scene() -> None:
        before = os.listdir("/proc/self/fd")
        with pytest.raises(FileNotFoundError):
            await sessions.capture(ct, ["/bin/sh"], b"root:secret\n")
        assert os.listdir("/proc/self/fd") == before and ct.sessions == {}

    asyncio.run(scene())


def test_what_a_program_prints_is_read_while_it_runs(tmp_path: Path) -> None:
    """More than a pipe holds: it does not wait for us, and the beginning is kept."""

    class Talkative(FakeLink):
        """A PID 1 whose program, a thread, prints much and ends."""

        def _print(self, loop: asyncio.AbstractEventLoop, output: int, number: object) -> None:
            with open(output, "wb") as stream:
                stream.write(b"line\n" * 40000)
            loop.call_soon_threadsafe(ct.on_event, Message("ended", {"id": [str(number)], "code": ["3"]}))

        async def ask(self, verb: str, *given: object, **fields: object) -> Message:
            output = os.dup(cast(tuple[int, int, int], given[0])[1])
            arguments = (asyncio.get_running_loop(), output, fields["id"])
            threading.Thread(target=self._print, args=arguments).start()
            return await super().ask(verb)

    async def scene() -> tuple[int, list[str]]:
        return await asyncio.wait_for(sessions.capture(ct, ["/bin/sh"], b""), 10)

    ct = running(Paths(str(tmp_path)), Talkative(Message("started", {})))
    assert asyncio.run(scene()) == (3, ["line"] * sessions.MOST_LINES)


@pytest.fixture
def endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Container:
    """Nothing that is started in it ever ends; hostd's patience does soon."""
    monkeypatch.setattr(sessions, "OF_SCRIPT", 0.01)
    monkeypatch.setattr(sessions, "PATIENCE", 0.01)
    return running(Paths(str(tmp_path)), FakeLink(Message("started", {})))


def told(ct: Container) -> list[str]:
    return cast(FakeLink, ct.link).told


def test_a_program_of_a_change_that_does_not_end_is_killed(endless: Container) -> None:
    with pytest.raises(Failure, match=r"it hangs: what was started in CT 101 did not end in 0\.01 s") as raised:
        asyncio.run(tool.run(endless, "chpasswd", (), "root:secret", failing="it hangs"))
    assert raised.value.exit_code == Exit.CHANGEPASS and told(endless) == ["kill"]


def test_a_script_inside_that_does_not_end_has_failed(endless: Container, tmp_path: Path) -> None:
    """CTID.stop, by a shell of the guest's; what removes it does not end, either."""
    script = tmp_path / "101.stop"
    script.write_text("sync\n")
    with pytest.raises(Failure, match=r"101\.stop failed in the container: what was started") as raised:
        asyncio.run(scripts.run_inside(endless, str(script), print))
    assert raised.value.exit_code == Exit.ACTIONSCRIPT and told(endless) == ["kill", "kill"]


def test_a_login_without_a_terminal_is_none(tmp_path: Path) -> None:
    """A guest that answers without the descriptor: what it calls a session is forgotten."""
    ct = running(Paths(str(tmp_path)), FakeLink(Message("session", {"pid": ["7"]})))
    terminal = cast(Terminal, SimpleNamespace(term="vt100", rows=24, cols=80, hangup=None))
    said: list[str] = []
    with pytest.raises(ChannelLost, match="without its descriptor"):
        asyncio.run(sessions.enter(ct, None, terminal, lambda: said.append("entered")))
    assert ct.sessions == {} and said == []

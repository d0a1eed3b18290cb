"""The first boot as the daemon drives it: what waits, what is whose, and a tenant's command that never ends."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hostd.config import skeleton
from hostd.config.paths import Paths
from hostd.container.container import Container
from hostd.container.ops import first_boot, sessions
from hostd.errors import Failure
from hostd.userdata import sshkeys
from hostd.userdata.plan import Item, Plan

KEY = sshkeys.public_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
PLAN = Plan(early=(Item("bootcmd", "true", True),))


@pytest.fixture
def ct(tmp_path: Path) -> Container:
    paths = Paths(str(tmp_path))
    skeleton.install(paths)
    fake = SimpleNamespace(world=SimpleNamespace(paths=paths), ctid=101, record=SimpleNamespace(serial=7), running=True)
    fake.first_boot = None
    return cast(Container, fake)


def answering(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], tuple[int, list[str]]] | None) -> list[str]:
    """Every session answers so; None: it never ends.  The list gets the scripts."""
    scripts: list[str] = []

    async def capture(_ct: object, _argv: object, data: bytes, *, outlives: bool) -> tuple[int, list[str]]:
        assert outlives
        scripts.append(data.decode())
        if answer is None:
            await asyncio.Event().wait()
        assert answer is not None
        return answer()

    async def quietly(_ct: object, _argv: object) -> int:
        return 0

    monkeypatch.setattr(sessions, "capture", capture)
    monkeypatch.setattr(sessions, "quietly", quietly)
    return scripts


def test_a_start_does_not_hang(ct: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest waits for the end of it, in the background."""
    scripts = answering(monkeypatch, None)
    monkeypatch.setattr(first_boot, "PATIENCE", 0.01)
    lines: list[str] = []

    async def start() -> None:
        first_boot.lay(ct.world.paths, 101, PLAN)
        await first_boot.early(ct, PLAN, lines.append)
        first_boot.go_on(ct)
        assert first_boot.under_way(ct) and ct.first_boot is not None
        ct.first_boot.cancel()

    asyncio.run(start())
    assert lines == ["Warning: the first boot takes longer than 0.01 s; the services are started beside it"]
    assert "item early_1 once bootcmd" in scripts[0]
    assert first_boot.load(ct.world.paths, 101) is not None


def test_without_a_late_part_it_is_over_with_the_early_one(ct: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, lambda: (0, ["bootcmd: code 3", "\x1b[31m"]))
    lines: list[str] = []
    first_boot.lay(ct.world.paths, 101, PLAN)
    asyncio.run(first_boot.early(ct, PLAN, lines.append))
    assert lines == ["Warning: first boot: bootcmd: code 3", "Warning: first boot: \\x1b[31m"]
    assert first_boot.load(ct.world.paths, 101) is None


def test_a_script_that_was_killed_goes_on_at_the_next_start(ct: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, lambda: (137, []))
    lines: list[str] = []
    first_boot.lay(ct.world.paths, 101, PLAN)

    async def start() -> None:
        await first_boot.early(ct, PLAN, lines.append)
        first_boot.go_on(ct)
        with pytest.raises(Failure, match="first boot: not done"):
            await first_boot.finished(ct)
        assert not first_boot.under_way(ct), "the late part does not come without it"

    asyncio.run(start())
    text = "Warning: the first boot is not done: its script ended with code 137; the next start tries again"
    assert lines == [text] and first_boot.load(ct.world.paths, 101) is not None


def test_what_is_laid_while_it_runs_is_for_the_next_start(ct: Container) -> None:
    async def running() -> None:
        first_boot.lay(ct.world.paths, 101, PLAN)
        first_boot.go_on(ct)
        await first_boot.finished(ct)
        assert not first_boot.under_way(ct)

    asyncio.run(running())


def test_another_plan_keeps_the_keys_of_the_first(ct: Container) -> None:
    paths = ct.world.paths
    first_boot.lay(paths, 101, Plan(keys=(KEY,)))
    first_boot.lay(paths, 101, PLAN)
    found = first_boot.load(paths, 101)
    assert found is not None and (found.keys, found.early, found.id) == ((KEY,), PLAN.early, PLAN.id)


def test_a_damaged_file_keeps_no_container_down(ct: Container) -> None:
    with open(ct.world.paths.ct_first_boot(101), "w", encoding="ascii") as file:
        file.write("{")
    assert first_boot.load(ct.world.paths, 101) is None

"""What an idle PID 1 costs: its modules and its memory."""

from contextlib import ExitStack

import pytest

from tests.harness.pid1 import pid1

pytestmark = pytest.mark.root

# What PID 1 may have in sys.modules, besides vzinit's own: C modules and what the interpreter cannot do without.
C_MODULES = {
    "__main__", "_codecs", "_frozen_importlib", "_imp", "_signal", "_socket", "builtins", "errno", "fcntl", "gc",
    "marshal", "posix", "select", "sys", "time",
}  # fmt: skip
OF_THE_START = {"encodings", "io"}
OWN_MODULES = {
    "vzinit", "vzinit._sys", "vzinit.cgroup", "vzinit.channel", "vzinit.child", "vzinit.console", "vzinit.control",
    "vzinit.datagrams", "vzinit.fds", "vzinit.init", "vzinit.initctl", "vzinit.loop", "vzinit.notify",
    "vzinit.orders", "vzinit.plan", "vzinit.planning", "vzinit.processes", "vzinit.protocol", "vzinit.pty",
    "vzinit.reaper", "vzinit.ring", "vzinit.service", "vzinit.services", "vzinit.session", "vzinit.shutdown",
    "vzinit.signals", "vzinit.supervise",
}  # fmt: skip
BUDGET = 2.0  # MiB; measured: 1.65 with CPython 3.11


def test_imports_are_a_budget(root: str) -> None:
    """Every module costs memory in every container: a new one is a decision, made here."""
    code = (
        "import _imp, sys\n"
        "exec(_imp.get_frozen_object('__main__'), {'__name__': 'not main'})\n"
        "import vzinit.init, vzinit.services, vzinit.orders\n"
        "print(*sys.modules)"
    )
    with pid1(root) as world:
        world.boot()
        status, output = world.run("/.vz/bin/vzinit", "python", code)
    assert status == 0
    assert set(output.split()) == C_MODULES | OF_THE_START | OWN_MODULES | {"vzinit.python"}


def private(pid: int) -> float:
    """MiB that no other process shares."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        rows = dict(line.split(":")[:2] for line in file.readlines()[1:])
    return sum(int(rows[key].split()[0]) for key in ("Private_Dirty", "Private_Clean")) / 1024


def test_memory(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What an idle PID 1 has for itself while others run.

    The lowest of a few: a page of a file that only one of them has touched so far counts as private too.
    """
    with ExitStack() as running:
        worlds = [running.enter_context(pid1(root)) for _ in range(4)]
        for world in worlds:
            world.boot()
        found = sorted(private(world.pid) for world in worlds)
    with capsys.disabled():
        print("\nvzinit, MiB private:", *(f"{one:.2f}" for one in found))
    assert found[0] <= BUDGET

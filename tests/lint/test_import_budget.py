"""What the small programs import is a budget: PID 1 pays for it in every container, a command each time."""

import dis
import marshal
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest

from images import client, embed, runtime
from images.embed.bytecode import compiled
from tests.harness.installation import CHECKOUT

# What `python -I -S -E` has before our first line, whatever its version, and what is C without a cost.
BARE = {
    "sys", "builtins", "_frozen_importlib", "_imp", "_thread", "_warnings", "_weakref", "_io", "marshal",
    "posix", "_frozen_importlib_external", "time", "zipimport", "_codecs", "codecs", "encodings",
    "encodings.aliases", "encodings.utf_8", "_signal", "_abc", "abc", "io", "__main__", "winreg",
}  # fmt: skip
C_MODULES = {"select", "errno", "fcntl", "_socket", "termios", "_posixsubprocess", "gc", "_struct",
             "resource", "_cffi_backend", "_sha256", "_sha2", "math", "mmap", "_bisect"}  # fmt: skip

PROGRAMS = {
    "client": ("hostd.cli.client", ("hostd.cli.", "vzinit.protocol")),
    "keeper": ("hostd.keeper.main", ("hostd.cli.", "hostd.keeper.", "vzinit.protocol")),
    "server of /proc files": ("hostd.proc.main", ("hostd.proc.",)),
    "vzinit": ("vzinit.init", ("vzinit.",)),
}


def imported(module: str, script: Path, then: str = "") -> set[str]:
    """Everything in sys.modules after *module* was imported by a bare interpreter, and *then* executed: from a file,
    since `-c` has imports of its own in Python 3.13.
    """
    script.write_text(
        f"import sys; sys.path.insert(0, {CHECKOUT!r}); sys.path.append({sysconfig.get_path('purelib')!r})\n"
        f"try: import {module}\nexcept OSError: pass  # PID 1 begins at once, and we are not PID 1\n"
        f"{then}\n"
        "print(*(name for name, module in sys.modules.items() if module))\n"
    )
    done = subprocess.run(["/usr/bin/python3", "-ISE", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("program", PROGRAMS)
def test_imports(program: str, tmp_path: Path) -> None:
    module, own = PROGRAMS[program]
    packages = {name.split(".")[0] for name in own}
    extra = {
        name
        for name in imported(module, tmp_path / "look.py") - BARE - C_MODULES - packages
        if not any(name == mine.rstrip(".") or name.startswith(mine) for mine in own)
    }
    assert extra == set(), f"{module} drags in {sorted(extra)}"


def test_yaml_is_read_by_who_has_some(tmp_path: Path) -> None:
    """More than a MiB of the daemon's memory, for user data alone: ADR 012."""
    modules = imported("hostd.daemon.main", tmp_path / "look.py", "import hostd.command.verbs.create")
    assert "hostd.userdata.yaml_text" in modules and "yaml" not in modules


def test_the_daemon_has_no_idle_modules(tmp_path: Path) -> None:
    """Each of these came with an innocent import once, and takes its part of a machine of 128 MiB for good."""
    modules = imported("hostd.daemon.main", tmp_path / "look.py")
    assert not modules & {"uuid", "platform", "multiprocessing", "pickle", "ctypes", "email", "urllib", "pyroute2"}


def test_a_record_costs_the_start_little(tmp_path: Path) -> None:
    """A millisecond for each that is a dataclass: ADR 019."""
    count = (
        "import gc\n"
        "made = [one for one in gc.get_objects() if isinstance(one, type) and '__dataclass_fields__' in vars(one)]\n"
        "print(*(f'record:{one.__module__}.{one.__qualname__}' for one in made))"
    )
    made = {name for name in imported("hostd.daemon.main", tmp_path / "look.py", count) if name.startswith("record:")}
    assert 5 < len(made) <= 25, f"a NamedTuple, where nothing of it changes: {sorted(made)}"


def test_help_needs_no_loop(tmp_path: Path) -> None:
    """What a command line asks for that no daemon is started for."""
    then = "import hostd.command.reading, hostd.command.vzlist"
    modules = imported("hostd.command.offline", tmp_path / "look.py", then)
    assert "hostd.command.table" in modules
    theirs = {name for name in modules if name.startswith("hostd.") and name.split(".")[1] not in _OF_A_LINE}
    assert not theirs and not modules & {"asyncio", "subprocess", "concurrent"}


_OF_A_LINE = {"command", "config", "errors", "kernel", "log", "userdata"}


def test_messages_need_little_of_pyroute2(tmp_path: Path) -> None:
    """Ten MiB of the daemon's memory, and 100 ms of its first start."""
    then = "from hostd.net.messages import up\nup('lo', no_arp=False)"
    modules = imported("hostd.net.messages", tmp_path / "look.py", then)
    theirs = {".".join(name.split(".")[:3]) for name in modules if name.startswith("pyroute2.")}
    assert theirs == {
        "pyroute2.common", "pyroute2.config", "pyroute2.netlink",
        "pyroute2.netlink.exceptions", "pyroute2.netlink.rtnl",
    }  # fmt: skip
    assert not modules & {"platform", "multiprocessing", "pickle"}


@pytest.mark.parametrize("program", (client.program(), runtime.program()), ids=("client", "vzinit"))
def test_whatever_a_program_may_import_is_in_it(program: embed.Program) -> None:
    """Imports in functions, too: a word that is rarely typed would end in a traceback."""
    modules = program.modules | embed.start()
    packages = {name.rstrip(".") for name in modules if name.endswith(".")}
    inside = packages | {*modules, *embed.CORE, *program.c_modules, *program.shims, "_thread"}
    missing = [
        f"{name} imports {wanted}"
        for name, text in modules.items()
        for wanted in imports(marshal.loads(compiled(text, name, positions=False)), packages)
        if wanted not in inside
    ]
    assert missing == []


def imports(code: CodeType, packages: set[str]) -> Iterator[str]:
    """The modules that *code* and all code inside it imports; of *packages*, which are empty, every name is one."""
    module = ""
    for one in dis.get_instructions(code):
        if one.opname == "IMPORT_NAME":
            module = one.argval
            yield module
        elif one.opname == "IMPORT_FROM" and module in packages:
            yield f"{module}.{one.argval}"
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from imports(constant, packages)

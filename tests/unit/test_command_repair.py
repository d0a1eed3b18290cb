"""vzcfgvalidate writes its repairs: others may have written to the file since it was read."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

from hostd.command.host import Host, Session
from hostd.command.main import run
from hostd.config.lockfile import CtLock
from hostd.kernel.fd import Fd
from tests.harness.fake_host import Fake, FakeSession, Said

TEXT = '# mine\nPHYSPAGES="5:100"\nSWAPPAGES="0:0"\nCPUUNITS="1000"\n'
FINDING = "Error: physpages.bar should be = 0 (currently, 5)\nset to 0:100\n"


class Meanwhile(FakeSession):
    """Somebody else edits the file before the user answers."""

    edit: Callable[[], object]

    async def pipes(self) -> tuple[Fd, Fd, Fd]:
        self.edit()
        return await super().pipes()


def ask_and_edit(fake: Fake, path: str, old: str, new: str) -> Said:
    """`vzcfgvalidate -i` of *path*, answered by yes, while *old* in it becomes *new*."""
    file = Path(path)
    session = Meanwhile(fake.session.cwd, "y\n")
    session.edit = lambda: file.write_text(file.read_text().replace(old, new))
    code = asyncio.run(run(cast(Host, fake.host), cast(Session, session), "vzcfgvalidate", ["-i", path]))
    return Said(code, session.stdout, session.stderr)


def test_what_others_write_meanwhile_stays(fake: Fake) -> None:
    path = fake.ct(101, TEXT)
    assert ask_and_edit(fake, path, 'CPUUNITS="1000"', 'CPUUNITS="2000"').code == 0
    assert fake.conf(101) == '# mine\nPHYSPAGES="0:100"\nSWAPPAGES="0:0"\nCPUUNITS="2000"\n'


def test_nothing_is_repaired_that_is_something_else_by_now(fake: Fake) -> None:
    path = fake.ct(101, TEXT)
    said = ask_and_edit(fake, path, "5:100", "7:200")
    assert said.code == 1
    assert said.stderr.endswith(f"{path}:2: PHYSPAGES was changed meanwhile; nothing was repaired\n")
    assert fake.conf(101) == TEXT.replace("5:100", "7:200")


def test_a_container_that_somebody_works_on_is_left_alone(fake: Fake) -> None:
    path = fake.ct(101, TEXT)
    with CtLock(fake.paths, 101, "set"):
        said = fake.run("vzcfgvalidate", "-r", path)
    assert said.code == 1 and said.stderr.startswith(FINDING)
    assert said.stderr.endswith("\nContainer already locked\n") and fake.conf(101) == TEXT
    assert fake.run("vzcfgvalidate", "-r", path).code == 0 and os.listdir(fake.paths.lock_dir) == []


def test_a_file_of_no_container_needs_no_lock(fake: Fake, tmp_path: Path) -> None:
    (tmp_path / "101.conf").write_text(TEXT)
    with CtLock(fake.paths, 101, "set"):
        assert fake.run("vzcfgvalidate", "-r", "101.conf").code == 0
    assert (tmp_path / "101.conf").read_text() == TEXT.replace("5:100", "0:100")

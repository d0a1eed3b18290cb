"""A keeper, the real commands and the fake daemon below a prefix of their own: no containers, no network."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import pexpect
import pytest

from hostd.cli import stub
from hostd.config.paths import Paths
from images import client
from tests.harness import machine
from tests.harness.installation import CHECKOUT
from tests.harness.patience import patient

FAKE_DAEMON = [sys.executable, os.path.join(CHECKOUT, "tests", "harness", "fake_daemon.py")]
TIMEOUT = patient(120.0)


@cache
def commands() -> str:
    """The client built from the sources under test."""
    directory = os.path.join(CHECKOUT, "build", f"test-client-{os.environ.get('PYTEST_XDIST_WORKER', '')}")
    client.build(directory)
    return f"{directory}/vzctl"


class Small:
    def __init__(self, prefix: str, daemon: list[str] | None = None) -> None:
        self.prefix = os.path.realpath(prefix)
        self.paths = Paths(self.prefix)
        self.bin = f"{prefix}/bin"
        self.env = {"VZ_PREFIX": self.prefix, "PATH": f"{self.bin}:{os.environ['PATH']}", "TERM": "xterm"}
        os.makedirs(self.bin)
        client.put(commands(), self.bin)
        self.program("hostd", stub.hostd(CHECKOUT, daemon or FAKE_DAEMON))

    def program(self, name: str, text: str) -> None:
        with open(f"{self.bin}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(f"{self.bin}/{name}", 0o755)

    def run(self, *argv: str, input: bytes | None = None) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            argv, env=self.env, input=input, capture_output=True, timeout=TIMEOUT, check=False
        )

    def ctl(self, *argv: str, input: bytes | None = None) -> str:
        """stdout of a `vzctl` that must succeed without a word on stderr."""
        done = self.run("vzctl", *argv, input=input)
        assert (done.returncode, done.stderr) == (0, b""), f"{argv}: {done}\n{self.log()}"
        return done.stdout.decode()

    def popen(self, *argv: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            argv, env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def spawn(self, *argv: str, rows: int = 24, cols: int = 80) -> "pexpect.spawn[bytes]":
        return pexpect.spawn(
            argv[0], list(argv[1:]), env=self.env, timeout=TIMEOUT, dimensions=(rows, cols), cwd="/"
        )

    @property
    def keeper_pid(self) -> int:
        return int(machine.read(self.paths.hostd_pid).strip() or 0)

    @property
    def daemon_pid(self) -> int:
        return int(self.ctl("pid").split()[0])

    def log(self) -> str:
        return machine.read(self.paths.hostd_log)

    def stop(self) -> None:
        """End keeper and daemon in order, what is left by force; remove the cgroups of a killed keeper."""
        if self.keeper_pid:
            self.run("hostd", "--stop")
        for pid in machine.processes_of(self.prefix):
            machine.kill_and_wait(pid)
        for cgroup in machine.cgroups_named(self.paths.cgroup_root):
            os.rmdir(cgroup)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    """One for all tests of a file; its hostd runs."""
    installation = Small(f"{tmp_path_factory.mktemp('small')}/vz")
    installation.ctl("pid")
    yield installation
    installation.stop()

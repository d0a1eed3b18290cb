"""A private apt root: packages of any Debian suite and architecture, from the machine's mirror and with Debian's
keyring, while nothing of the machine's own apt is touched.
"""

import os
import re
import subprocess
from dataclasses import dataclass

from images.errors import BuildError

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True)
class AptRoot:
    """An apt state of its own for one suite, below *directory*; *arch* as Debian calls it, "" for this machine's."""

    directory: str
    suite: str
    mirror: str
    arch: str = ""

    def run(self, *argv: str, cwd: str | None = None) -> str:
        """Output of `apt-get …` or `apt-cache …` in this root.  Raises BuildError with its last line."""
        program, *rest = argv
        done = subprocess.run(
            [program, "-qq", *self._options(), *rest],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd, check=False,
        )  # fmt: skip
        if done.returncode:
            said = [line for line in done.stdout.splitlines() if line.strip()] or ["no reason given"]
            raise BuildError(f"{' '.join(argv[:2])} ({self.suite} of {self.mirror}): {said[-1]}")
        return done.stdout

    def prepare(self) -> None:
        """The directories and the one source line.  Raises BuildError where Debian's keys are missing."""
        if not os.path.exists(KEYRING):
            raise BuildError(f"no {KEYRING}: apt-get install debian-archive-keyring")
        for name in ("etc/preferences.d", "etc/apt.conf.d", "etc/parts", "lists/partial", "archives/partial"):
            os.makedirs(f"{self.directory}/{name}", exist_ok=True)
        _write(f"{self.directory}/status", "")
        source = f"deb [signed-by={KEYRING}] {self.mirror} {self.suite} main\n"
        _write(f"{self.directory}/etc/sources.list", source)

    def _options(self) -> list[str]:
        root = self.directory
        settings = {
            "Dir::Etc": f"{root}/etc", "Dir::Etc::sourcelist": f"{root}/etc/sources.list",
            "Dir::Etc::sourceparts": f"{root}/etc/parts",
            "Dir::Etc::preferencesparts": f"{root}/etc/preferences.d",
            "Dir::State::status": f"{root}/status", "Dir::State::lists": f"{root}/lists",
            "Dir::Cache": root, "Dir::Cache::archives": f"{root}/archives",
            "APT::Default-Release": "", "APT::Sandbox::User": "root", "Acquire::Languages": "none",
            "Acquire::Retries": "3", "Acquire::Check-Valid-Until": "false", "Debug::NoLocking": "1",
        }  # fmt: skip
        if self.arch:
            settings |= {"APT::Architecture": self.arch, "APT::Architectures": self.arch}
        return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def unpack(debs: list[str], tree: str) -> None:
    """Unpack *debs* into the new directory *tree*; no maintainer script runs."""
    os.makedirs(tree)
    for deb in debs:
        done = subprocess.run(["dpkg-deb", "-x", deb, tree], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"dpkg-deb failed: {done.stderr.strip()[-300:]}")


def loader_of(program: str) -> str:
    """Base name of the dynamic loader that an ELF file asks for."""
    with open(program, "rb") as file:
        match = re.search(rb"/lib[^\0]*/(ld[-\w.]*\.so\.\d+)\0", file.read(8192))
    if match is None:
        raise BuildError(f"{program} names no dynamic loader")
    return match[1].decode()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)

"""Which CRIU to use: the private one that `make build` brings, else the system's if it is new enough."""

import os
import re
import shutil
import subprocess
from functools import cache
from typing import NamedTuple

from hostd.errors import Exit, Failure

MINIMUM = (4, 2)  # 4.1 cannot dump a TCP socket on kernels >= 6.18 ("Can't get 1:16 opt")
_HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PRIVATE = os.path.join(_HOME, "build", "criu")  # beside the code, in a checkout as in an installation


class Criu(NamedTuple):
    """A CRIU that can be run.  `loader` starts the private one with its own libc; empty for the system's."""

    program: str
    version: str
    loader: tuple[str, ...] = ()
    library: str = ""  # cgroupns.so; without it guests cannot mount cgroup2 after a restore

    def command(self, *, preload: bool = False) -> list[str]:
        """The words before CRIU's own arguments.  *preload*: with our library, for a restore."""
        if not (preload and self.library):
            return [*self.loader, self.program]
        if self.loader:  # --preload, not LD_PRELOAD: programs that CRIU starts (tar) must not inherit it
            return [*self.loader, "--preload", self.library, self.program]
        return ["/usr/bin/env", f"LD_PRELOAD={self.library}", self.program]


@cache
def find(private: str = PRIVATE) -> Criu:
    """The CRIU of this machine.  Raises Failure(5) with one line that says what to do when there is none."""
    library = _existing(f"{private}/lib/cgroupns.so")
    own = _existing(f"{private}/lib/criu")
    if own:
        loader = (f"{private}/lib/ld.so", "--library-path", f"{private}/lib")
        return _new_enough(Criu(own, _version([*loader, own]), loader, library))
    system = shutil.which("criu", path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/sbin:/bin")
    if system:
        return _new_enough(Criu(system, _version([system]), (), library))
    nowhere = f"no criu: neither {private} nor the system has one"
    raise Failure(Exit.BAD_KERNEL, nowhere, hint="run `make build`")


def _new_enough(found: Criu) -> Criu:
    if number(found.version) < MINIMUM:
        need = ".".join(map(str, MINIMUM))
        raise Failure(
            Exit.BAD_KERNEL,
            f"{found.program} is version {found.version or 'unknown'}, needed is {need} or newer",
            hint="run `make build`, which brings one",
        )
    return found


def number(version: str) -> tuple[int, ...]:
    """`4.2.1` -> (4, 2, 1); anything else -> ()"""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _version(command: list[str]) -> str:
    argv = [*command, "--version"]
    said = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    match = re.search(r"Version: (\S+)", said)
    return match[1] if match else ""


def _existing(path: str) -> str:
    return path if os.path.exists(path) else ""

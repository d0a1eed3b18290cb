"""The disk that a machine boots from: a Debian with everything that `make build` and the test-suite need, offline.

Where this machine can run the packages' programs, they are installed as usual.  Those of another processor are
only unpacked: their scripts would take minutes under an emulator, and a guest without systemd needs none of them.
"""

import os
import shutil
import sys
import tempfile

from images import deploy
from images.debian import available_memory, keyring
from images.sources import of_this_machine
from tests.vm import cache, ext4
from tests.vm.cache import Tell
from tests.vm.machines import Machine, packages

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rootimage.sh")
SPARE_MIB = 8192  # for tests, and a tree of each template; sparse
MEMORY = 4 << 30  # bytes free, and the tree is made in memory
GLIBC = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")
VENV = "src/build/venv"  # the tree under test is unpacked at /src


def rootimage(machine: Machine, place: str, tell: Tell) -> str:
    """The path of the image, in the cache *place*."""
    recipe = cache.digest(__file__, SCRIPT, ext4.__file__, machine.recipe, packages(), deploy.requirements())

    def make(path: str) -> None:
        tell(f"root-{machine.name}: {len(packages())} packages of {machine.suite} and what they need")
        scratch = "/dev/shm" if available_memory() > MEMORY else os.path.dirname(path)
        with tempfile.TemporaryDirectory(dir=scratch) as work:
            venv(machine, f"{work}/venv")
            _debian(machine, work)
            ext4.make(path, f"{work}/root", SPARE_MIB, "root")

    return cache.keep(place, f"root-{machine.name}", recipe, make, tell)


def _debian(machine: Machine, work: str) -> None:
    """WORK/root: the tree, with WORK/venv in it."""
    variant = "minbase" if machine.arch.native else "extract"
    cache.run(
        "unshare", "--mount", "--propagation", "slave", SCRIPT, work, variant, machine.arch.debian,
        keyring(machine.suite), machine.suite, ",".join(packages()), VENV, *of_this_machine().lines(machine.suite),
        TMPDIR=work,
    )  # fmt: skip


def venv(machine: Machine, path: str) -> None:
    """The pinned packages for the Python of the guest, in the shape of its build/venv, which no guest's pip makes."""
    site = f"{path}/lib/python{machine.python}/site-packages"
    platforms = [f"--platform={glibc}_{machine.arch.kernel}" for glibc in GLIBC]
    wanted = deploy.requirements()
    cache.run(
        sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "install", "--no-compile", "--target", site,
        "--only-binary=:all:", f"--python-version={machine.python}", *platforms, *wanted,
    )  # fmt: skip
    shutil.rmtree(f"{site}/bin", ignore_errors=True)
    os.makedirs(f"{path}/bin")
    for name in ("python", "python3"):
        os.symlink("/usr/bin/python3", f"{path}/bin/{name}")
    with open(f"{path}/pyvenv.cfg", "w", encoding="ascii") as file:
        file.write(f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {machine.python}\n")
    with open(f"{path}.stamp", "w", encoding="utf-8") as file:
        file.write("\n".join(wanted) + "\n")

"""python -m images.criu OUTDIR: a CRIU of our own, unpacked beside the system and run through its own loader.

Debian's stable releases carry a CRIU that fails on new kernels (4.1 cannot dump a TCP socket on 6.18), so it
is taken from the first newer suite that has one.  Nothing of the machine's apt is touched: a private apt
root uses the machine's mirror and Debian's keyring.  What comes out runs whatever libc the machine has:

    OUTDIR/lib/criu, ld.so, *.so     the program, its loader, exactly the libraries it asks for
    OUTDIR/lib/cgroupns.so           our library for `criu restore` (hostd/checkpoint/cgroupns.c)
    OUTDIR/bin/criu                  the same as a command, for people
    OUTDIR/version, recipe           version of criu; what this tree was made from
"""

import argparse
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

from images.aptroot import AptRoot, loader_of, unpack
from images.errors import BuildError, told
from images.sources import of_this_machine

MINIMUM = (4, 2)  # first release that dumps TCP sockets on kernels >= 6.18
SUITES = ("testing", "sid")
DEFAULT_CACHE = "/var/cache/vzhost"
CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHIM = os.path.join(CHECKOUT, "hostd/checkpoint/cgroupns.c")
COMPILE = ("gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-nostdlib")
WRAPPER = '#!/bin/sh\nd=${0%/*}/../lib\nexec "$d/ld.so" --library-path "$d" "$d/criu" "$@"\n'


def build(out: str, cache: str) -> str:
    """Version of the criu in *out*, made now unless it is there already.  Raises BuildError."""
    recipe = _recipe()
    if _read(f"{out}/recipe") == recipe:
        return _read(f"{out}/version")
    os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="criu-", dir=os.path.dirname(os.path.abspath(out))) as work:
        unpack(packages(cache), f"{work}/tree")
        made = f"{work}/made"
        assemble(f"{work}/tree", made)
        version = check(f"{made}/bin/criu")
        _write(f"{made}/version", version)
        _write(f"{made}/recipe", recipe)
        if os.path.exists(out):
            os.rename(out, f"{work}/old")
        os.rename(made, out)
    return version


def packages(cache: str) -> list[str]:
    """The .deb files of the newest criu and of everything it needs, from the first suite that has it."""
    if not shutil.which("apt-get"):
        raise BuildError("no apt-get here: install criu 4.2 or newer by hand, hostd finds it in PATH")
    reasons = []
    for suite in SUITES:
        root = AptRoot(f"{cache}/criu/{suite}", suite, of_this_machine().archive)
        try:
            return _download(root)
        except BuildError as error:
            reasons.append(str(error))
    raise BuildError("; ".join(reasons))


def _download(root: AptRoot) -> list[str]:
    root.prepare()
    try:
        root.run("apt-get", "update")
    except BuildError:
        if not glob.glob(f"{root.directory}/archives/criu_*.deb"):  # else: offline, and fetched before
            raise
    offered = re.search(r"^Version: (\S+)", root.run("apt-cache", "show", "criu"), re.MULTILINE)
    if offered is None or number(offered[1]) < MINIMUM:
        have = offered[1] if offered else "no criu"
        raise BuildError(f"{root.suite} has {have}, needed is {'.'.join(map(str, MINIMUM))} or newer")
    root.run("apt-get", "autoclean")
    root.run("apt-get", "install", "--download-only", "--yes", "--no-install-recommends", "criu")
    return sorted(glob.glob(f"{root.directory}/archives/*.deb"))


def assemble(tree: str, out: str) -> None:
    """Take program, loader and needed libraries out of *tree*, and compile our own library beside them."""
    program = f"{tree}/usr/sbin/criu"
    loader = loader_of(program)
    found = glob.glob(f"{tree}/usr/lib/*/{loader}") + glob.glob(f"{tree}/usr/lib*/{loader}")
    if not found:
        raise BuildError(f"the criu package came without its loader {loader}")
    folders = ":".join([*sorted(glob.glob(f"{tree}/usr/lib/*-linux-*")), f"{tree}/usr/lib"])
    listed = _run(found[0], "--library-path", folders, "--list", program)
    os.makedirs(f"{out}/lib")
    os.makedirs(f"{out}/bin")
    for path in re.findall(r"=> (/\S+)", listed):  # all from *tree*: nothing of the machine is in *folders*
        if os.path.basename(path) != loader:
            shutil.copy(path, f"{out}/lib/{os.path.basename(path)}")
    shutil.copy(found[0], f"{out}/lib/ld.so")
    shutil.copy(program, f"{out}/lib/criu")
    _run(*COMPILE, "-o", f"{out}/lib/cgroupns.so", SHIM)
    _write(f"{out}/bin/criu", WRAPPER)
    os.chmod(f"{out}/bin/criu", 0o755)


def check(program: str) -> str:
    """Version text of the assembled *program*: it starts, and is new enough."""
    said = _run(program, "--version")
    match = re.search(r"Version: (\S+)", said)
    if match is None or number(match[1]) < MINIMUM:
        raise BuildError(f"{program} --version says {said.strip()!r}")
    return match[1]


def number(version: str) -> tuple[int, ...]:
    """`4.2.1-1` -> (4, 2, 1)"""
    match = re.match(r"\d+(\.\d+)*", version.partition(":")[2] or version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _recipe() -> str:
    """Changes when this file or the C file does."""
    digest = hashlib.sha256()
    for path in (os.path.abspath(__file__), SHIM):
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def _run(*argv: str) -> str:
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise BuildError(f"{os.path.basename(argv[0])} failed: {done.stdout.strip()[-300:]}")
    return done.stdout


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m images.criu", description="Fetch a private CRIU.")
    parser.add_argument("outdir")
    parser.add_argument("--cache", default=os.environ.get("VZ_CACHE") or DEFAULT_CACHE)
    options = parser.parse_args()
    return told("criu", lambda: print(f"criu {build(options.outdir, options.cache)} in {options.outdir}"))


if __name__ == "__main__":
    sys.exit(main())

"""Builder "busybox": the statically linked busybox of Debian, its applets as links, files in /etc."""

import glob
import os
import shutil
import subprocess
import tempfile

from images.errors import BuildError
from images.recipes import Recipe

# Servers nobody asked for, and package tools that would need a package database.
_LEFT_OUT = frozenset({"telnetd", "httpd", "tftp", "dpkg", "dpkg-deb", "rpm", "rpm2cpio"})
_DIRECTORIES = {
    ".vz": 0o755, "dev": 0o755, "etc": 0o755, "home": 0o755, "mnt": 0o755, "proc": 0o555, "root": 0o700,
    "run": 0o755, "sys": 0o555, "tmp": 0o1777, "usr/local/bin": 0o755, "var/lib": 0o755, "var/log": 0o755,
    "var/spool/cron/crontabs": 0o700, "var/tmp": 0o1777,
}  # fmt: skip
_MODES = {"etc/shadow": 0o640, "etc/machine-id": 0o644}


def ingredients(recipe: Recipe) -> bytes:
    """The program itself: another busybox makes another image."""
    with open(static_busybox(), "rb") as file:
        return file.read()


def tar_command(recipe: Recipe, work: str) -> list[str]:
    """Lay the tree out in *work* and answer the program that writes it as a tar to its standard output."""
    root = os.path.join(work, "root")
    lay_out(root, static_busybox(), recipe.files())
    reproducible = ["--owner=0", "--group=0", "--numeric-owner", "--sort=name", "--mtime=@0"]
    return ["tar", "--create", f"--directory={root}", *reproducible, "."]


def made_of(recipe: Recipe, work: str) -> dict[str, object]:
    """The one program that is all of it: what it calls itself."""
    said = subprocess.check_output([os.path.join(work, "root/bin/busybox")], text=True).splitlines()[0]
    return {"packages": {"busybox": said.split()[1]}}


def lay_out(root: str, program: str, files: str) -> None:
    """Make the tree at *root*."""
    os.makedirs(root, mode=0o755)
    for name in _DIRECTORIES:
        os.makedirs(os.path.join(root, name), exist_ok=True)
    os.makedirs(os.path.join(root, "bin"))
    shutil.copy(program, os.path.join(root, "bin/busybox"))
    for applet in applets(program):
        link(root, applet)
    shutil.copytree(files, root, dirs_exist_ok=True, copy_function=_copy)
    open(os.path.join(root, "etc/machine-id"), "wb").close()
    for folder, _, _ in os.walk(root):
        os.chmod(folder, 0o755)
    for name, mode in (_DIRECTORIES | _MODES).items():
        os.chmod(os.path.join(root, name), mode)


def _copy(source: str, target: str) -> None:
    """Only the executable bit is the checkout's; the rest of its modes depends on somebody's umask."""
    shutil.copyfile(source, target)
    os.chmod(target, 0o755 if os.access(source, os.X_OK) else 0o644)


def applets(program: str) -> list[str]:
    """Paths below / of every applet of *program*, as it wants them."""
    listed = subprocess.check_output([program, "--list-full"], text=True).split()
    return [path for path in listed if os.path.basename(path) not in _LEFT_OUT and path != "bin/busybox"]


def link(root: str, applet: str) -> None:
    """A relative link, so that the tree means the same wherever it is mounted."""
    path = os.path.join(root, applet)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.symlink(os.path.relpath(os.path.join(root, "bin/busybox"), os.path.dirname(path)), path)


def static_busybox() -> str:
    """The busybox of package busybox-static: the installed one, else one fetched for this."""
    installed = "/bin/busybox"
    if os.path.exists(installed) and is_static(installed):
        return installed
    kept = os.path.join(tempfile.gettempdir(), f"vz-busybox-{os.getuid()}")
    return _fetched(kept)


def is_static(program: str) -> bool:
    """True unless the ELF file asks for a dynamic loader."""
    with open(program, "rb") as file:
        return b"/ld-" not in file.read(4096)


def _fetched(folder: str) -> str:
    program = os.path.join(folder, "tree/bin/busybox")
    if os.path.exists(program):
        return program
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for argv in (["apt-get", "-qq", "download", "busybox-static"], None):
        argv = argv or ["dpkg-deb", "-x", *glob.glob(f"{folder}/busybox-static_*.deb"), f"{folder}/tree"]
        done = subprocess.run(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise BuildError(f"cannot fetch busybox-static: {done.stdout.strip() or argv[0]}")
    return program

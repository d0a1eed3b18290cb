"""Builder "packages": Debian packages as files and the index over them, an apt repository that needs no network.

Containers of the tests have none; with this one, apt inside installs what Debian's own archive has.
"""

import glob
import hashlib
import os
import subprocess
from urllib.parse import unquote

from images.aptroot import AptRoot
from images.errors import BuildError
from images.recipes import Recipe
from images.sources import of_this_machine


def ingredients(recipe: Recipe) -> bytes:
    """Nothing beside the recipe itself: a new package version is no reason to build again."""
    return b""


def tar_command(recipe: Recipe, work: str) -> list[str]:
    """Fetch the packages into *work* and answer the program that writes the repository as a tar."""
    apt = AptRoot(f"{work}/apt", recipe.suite, of_this_machine().archive)
    apt.prepare()
    apt.run("apt-get", "update")
    repository = f"{work}/repository"
    os.mkdir(repository)
    apt.run("apt-get", "download", *recipe.packages, cwd=repository)
    index(repository)
    return ["tar", "--create", f"--directory={repository}", "--owner=0", "--group=0", "--sort=name", "."]


def made_of(recipe: Recipe, work: str) -> dict[str, object]:
    """The packages that were fetched into *work*, with their versions."""
    names = (os.path.basename(path).split("_") for path in glob.glob(f"{work}/repository/*.deb"))
    return {"packages": {name: unquote(version) for name, version, _architecture in names}}


def index(repository: str) -> None:
    """Write the `Packages` of a flat repository: a stanza for each .deb in it."""
    stanzas = [stanza(path) for path in sorted(glob.glob(f"{repository}/*.deb"))]
    with open(f"{repository}/Packages", "w", encoding="utf-8") as file:
        file.write("\n".join(stanzas))


def stanza(deb: str) -> str:
    """What apt wants to know of a package: its control file, and where its bytes are and what they add up to."""
    done = subprocess.run(["dpkg-deb", "--field", deb], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"dpkg-deb failed: {done.stderr.strip()[-300:]}")
    with open(deb, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = os.path.getsize(deb)
    return f"{done.stdout}Filename: ./{os.path.basename(deb)}\nSize: {size}\nSHA256: {digest}\n"

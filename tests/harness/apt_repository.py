"""An apt repository on the host for the containers of a test: real packages, and newer versions of them."""

import glob
import os
import subprocess
import sys

from images import packages
from tests.harness import machine
from tests.harness.installation import CACHE, HOST_ADDRESS, Vz

PORT = 8080
SOURCE = f"deb [trusted=yes] http://{HOST_ADDRESS}:{PORT}/ ./"
# In place of the archive, which no container of a test can reach.  And dpkg waits for the disk after each file.
USE_IT = (
    f"rm -f /etc/apt/sources.list.d/*; echo '{SOURCE}' >/etc/apt/sources.list; "
    "echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/busy-disk"
)


class AptRepository:
    """The packages of an image recipe, served in the network namespace of an installation."""

    def __init__(self, vz: Vz, recipe: str) -> None:
        self.folder = f"{vz.prefix}/{recipe}"
        archive = f"{CACHE}/{recipe}-{os.uname().machine}.tar.zst"
        assert os.path.exists(archive), f"no {archive}: run `make image-{recipe}`"
        os.mkdir(self.folder)
        subprocess.run(["tar", "--zstd", "-xf", archive, "-C", self.folder], check=True)
        where = ("--bind", HOST_ADDRESS, "--directory", self.folder)
        vz.popen(sys.executable, "-m", "http.server", *where, str(PORT))
        machine.until("the repository is served", lambda: f":{PORT}" in vz.run("ss", "-ltnH").stdout)

    def upgrade(self, *names: str) -> None:
        """Offer each of *names* once more, the same but for a newer version."""
        for name in names:
            deb = max(glob.glob(f"{self.folder}/{name}_*.deb"), key=os.path.getmtime)
            tree = f"{self.folder}/{name}.tree"
            subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
            renew(f"{tree}/DEBIAN/control")
            subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, self.folder], check=True, stdout=-3)
        packages.index(self.folder)


def renew(control: str) -> None:
    """A newer version, here and where a sibling is wanted in just this one."""
    with open(control, encoding="utf-8") as file:
        text = file.read()
    version = next(line.split()[1] for line in text.splitlines() if line.startswith("Version:"))
    with open(control, "w", encoding="utf-8") as file:
        file.write(text.replace(version, f"{version}+vz1"))

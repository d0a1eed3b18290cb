"""What can be built: the table of recipes.  A recipe is data; the builder it names makes the tree."""

import hashlib
import os
from dataclasses import dataclass, replace

HERE = os.path.dirname(os.path.abspath(__file__))


@dataclass(frozen=True, slots=True)
class Recipe:
    """One template.

    name      what users write after --ostemplate, without the architecture
    builder   "busybox", "debian" or "tarball"; also the folder below images/files that is copied over the tree.
              "packages" makes no template, but an apt repository for the tests
    suite     Debian code name ("" for busybox)
    packages  what is installed on top of the essential packages; the files of a repository
    snapshot  a time, to be built from the archive as it was then ("": as it is now)
    tarball   path of what "tarball" starts from
    """

    name: str
    builder: str
    suite: str = ""
    packages: tuple[str, ...] = ()
    snapshot: str = ""
    tarball: str = ""

    def file_name(self, arch: str) -> str:
        """`debian-12-x86_64`: the name in OpenVZ's style.  One of a snapshot says so, and stays beside today's."""
        return "-".join(filter(None, (self.name, self.snapshot, arch)))

    def digest(self, arch: str, ingredients: bytes = b"") -> str:
        """Twelve hex digits that change whenever the recipe, its files or its builder change."""
        parts = [repr(replace(self, tarball="")).encode(), arch.encode(), ingredients]  # that one is an ingredient
        for path in self.sources():
            parts += [
                os.path.relpath(path, HERE).encode(),
                b"x" if os.access(path, os.X_OK) else b"-",
                _read(path),
            ]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]

    def sources(self) -> list[str]:
        """Every file of this package that shapes the image."""
        found = [os.path.join(HERE, f"{self.builder}{end}") for end in (".py", ".sh")]
        for folder, _, names in os.walk(self.files()):
            found += [os.path.join(folder, name) for name in names]
        return sorted(path for path in found if os.path.isfile(path))

    def files(self) -> str:
        """The folder copied over the tree at the end."""
        return os.path.join(HERE, "files", self.builder)


# usr-is-merged keeps usrmerge and with it all of Perl (50 MB) out of bookworm.
_SERVER = (
    "usr-is-merged", "openssh-server", "cron", "iproute2", "iputils-ping", "procps", "passwd",
    "login", "netbase",
)  # fmt: skip

# What a busy server runs: the services over which the same image is compared under vzinit and under systemd.
_SERVICES = (
    "systemd-sysv", *_SERVER, "dbus", "rsyslog", "nginx", "apache2", "postgresql", "mariadb-server", "redis-server",
    "php-fpm", "postfix", "memcached", "dropbear", "prometheus-node-exporter",
)  # fmt: skip

# What tests let loose inside: containers in a container (iptables is what netavark calls, and uidmap gives users their
# ids), people who become one another and stay logged in, and what Ansible wants to find on a machine.
_TOOLS = (
    "systemd-sysv", *_SERVER, "dbus", "podman", "crun", "conmon", "fuse-overlayfs", "uidmap", "slirp4netns", "netavark",
    "aardvark-dns", "iptables", "catatonit", "sudo", "screen", "tmux", "python3", "python3-apt", "htop",
    "virt-what",
)  # fmt: skip

# What the tests have apt install on top of a server: one with init script and unit, one with a timer.
_INSTALLED_LATER = ("nginx", "nginx-common", "logrotate", "libpopt0")

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("busybox", "busybox"),
        Recipe("debian-12", "debian", "bookworm", ("systemd-sysv", *_SERVER)),
        Recipe("debian-13", "debian", "trixie", ("systemd-sysv", *_SERVER)),
        # What Debian becomes, with the newest systemd.
        Recipe("debian-sid", "debian", "sid", ("systemd-sysv", *_SERVER)),
        Recipe("debian-12-services", "debian", "bookworm", _SERVICES),
        Recipe("debian-13-services", "debian", "trixie", _SERVICES),
        Recipe("debian-12-tools", "debian", "bookworm", _TOOLS),
        # Debian without systemd: init scripts, and the other reboot, halt and shutdown that Debian has.
        Recipe("debian-12-sysvinit", "debian", "bookworm", ("sysvinit-core", *_SERVER)),
        Recipe("debian-13-sysvinit", "debian", "trixie", ("sysvinit-core", *_SERVER)),
        # The other inits that Debian has: OpenRC's runlevels below sysvinit's PID 1, and runit.
        Recipe("debian-12-openrc", "debian", "bookworm", ("sysvinit-core", "openrc", *_SERVER)),
        Recipe("debian-12-runit", "debian", "bookworm", ("runit-init", "runit-services", *_SERVER)),
        Recipe("debian-12-packages", "packages", "bookworm", _INSTALLED_LATER),
        Recipe("debian-13-packages", "packages", "trixie", _INSTALLED_LATER),
        # Of the root file system that the distribution publishes, and its clones.
        Recipe("alpine", "tarball"),
        Recipe("rocky", "tarball"),
    )
}


def find(name: str, arch: str) -> Recipe | None:
    """The recipe called *name*, written with or without `-ARCH`."""
    return RECIPES.get(name.removesuffix(f"-{arch}"))


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()

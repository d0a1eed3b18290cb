"""Generators: programs of packages that write units, one for each database cluster or mail instance.

After systemd.generator(7).  systemd's own are about disks, consoles and the kernel command line of a machine: left out.
"""

import posix

from vzinit import child, fds

PLACES = ("/run/systemd/system-generators", "/etc/systemd/system-generators",
          "/usr/local/lib/systemd/system-generators", "/lib/systemd/system-generators")  # fmt: skip
OUT = ("/run/systemd/generator", "/run/systemd/generator.early", "/run/systemd/generator.late")
ENVIRONMENT = {"PATH": child.PATH, "SYSTEMD_SCOPE": "system", "SYSTEMD_VIRTUALIZATION": "container:vz"}


def run() -> None:
    """Forget what they wrote before, and let each write again, one after the other.  What fails has failed."""
    for directory in OUT:
        forget(directory)
        fds.make_parents(directory + "/")
    for path in programs():
        try:
            posix.waitpid(posix.posix_spawn(path, [path, *OUT], ENVIRONMENT), 0)
        except OSError:
            pass  # no program after all


def programs() -> list[str]:
    """The first of each name counts; one that is masked is none."""
    found: dict[str, str] = {}
    for place in PLACES:
        for name in fds.listdir(place):
            found.setdefault(name, f"{place}/{name}")
    return [path for name, path in sorted(found.items()) if not name.startswith("systemd-") and fds.is_program(path)]


def forget(directory: str) -> None:
    for name in fds.listdir(directory):
        path = f"{directory}/{name}"
        if fds.is_dir(path) and not fds.is_link(path):
            forget(path)
            posix.rmdir(path)
        else:
            posix.unlink(path)

"""The Debian images as built: nothing of the build machine is in them, and what a container needs is."""

import os
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import pytest

from images import __main__ as command
from images.sources import of_this_machine

pytestmark = [pytest.mark.root, pytest.mark.slow]

ARCH = os.uname().machine
CACHE = os.environ.get("VZ_CACHE") or command.DEFAULT_CACHE
READ_UP_TO = 1 << 20  # bytes; configuration and state, not programs
# Kept by dpkg and debconf: records of package versions, not of the machine.
EMPTY_OF_FILES = ("var/log/", "var/lib/apt/lists/", "var/cache/apt/", "run/", "tmp/", "dev/", "proc/", "sys/")
IDENTITY = ("etc/hostname", "etc/resolv.conf", "var/lib/systemd/random-seed", "var/lib/dbus/machine-id")


@dataclass
class Image:
    """The members of a tarball by name, and the content of the small regular files."""

    members: dict[str, tarfile.TarInfo] = field(default_factory=dict)
    content: dict[str, bytes] = field(default_factory=dict)


@cache
def image(name: str) -> Image:
    assert command.main(["build", name]) == 0
    found = Image()
    with (
        subprocess.Popen(["zstd", "-dc", f"{CACHE}/{name}-{ARCH}.tar.zst"], stdout=subprocess.PIPE) as source,
        tarfile.open(fileobj=source.stdout, mode="r|") as archive,
    ):
        for member in archive:
            path = member.name.removeprefix("./")
            found.members[path] = member
            data = archive.extractfile(member) if member.isfile() and member.size <= READ_UP_TO else None
            if data is not None:
                found.content[path] = data.read()
    return found


@pytest.fixture(params=["debian-12", "debian-13", "debian-sid", "debian-12-sysvinit", "debian-13-sysvinit"])
def debian(request: pytest.FixtureRequest) -> Iterator[Image]:
    yield image(request.param)


def test_no_identity_of_any_machine(debian: Image) -> None:
    assert debian.content["etc/machine-id"] == b""
    assert not [path for path in debian.members if path in IDENTITY or path.startswith("etc/ssh/ssh_host_")]
    assert not [path for path in debian.members if path.endswith("_history") or path.startswith("root/.ssh/")]


def test_no_logs_caches_lists_or_device_nodes(debian: Image) -> None:
    files = [path for path, member in debian.members.items() if not member.isdir()]
    assert [path for path in files if path.startswith(EMPTY_OF_FILES)] in ([], ["var/log/README"])
    assert not [path for path, member in debian.members.items() if member.ischr() or member.isblk()]


def test_no_trace_of_the_build(debian: Image) -> None:
    mirror = of_this_machine()
    traces = {socket.getfqdn(), CACHE, os.path.dirname(os.path.dirname(__file__))}
    traces |= {uri for uri in (mirror.archive, mirror.security) if "//deb.debian.org/" not in uri}
    # A short host name ("vm") is part of many words; a long one is not.
    long = [trace.encode() for trace in traces if len(trace) >= 8 and trace != "localhost"]
    found = {path: trace for path, data in debian.content.items() for trace in long if trace in data}
    assert not found


def test_ids_stay_in_the_range_of_a_container(debian: Image) -> None:
    assert max(max(member.uid, member.gid) for member in debian.members.values()) < 65536


def test_root_is_locked_but_may_log_in_once_it_has_a_password(debian: Image) -> None:
    assert "root:*:" in debian.content["etc/shadow"].decode()
    assert b"PermitRootLogin yes" in debian.content["etc/ssh/sshd_config.d/vz.conf"]


def test_what_a_container_needs(debian: Image) -> None:
    for program in ("usr/sbin/sshd", "usr/sbin/cron", "usr/bin/ssh-keygen", "usr/bin/ps"):
        assert debian.members[program].mode & 0o111, program
    assert {"usr/sbin/init", "usr/sbin/reboot", "usr/sbin/shutdown"} <= debian.members.keys()
    assert debian.members[".vz"].isdir()
    assert b"C.UTF-8" in debian.content["etc/locale.conf"]
    assert debian.members["etc/systemd/system/multi-user.target.wants/ssh-host-keys.service"].issym()


def test_debian_is_the_same_when_it_is_built_again() -> None:
    """Two minutes after a change of the recipe; a look at the proof in the cache from then on."""
    assert command.main(["prove", "debian-12"]) == 0


def test_packages_come_from_debians_own_address(debian: Image) -> None:
    listed = debian.content["etc/apt/sources.list.d/debian.sources"].decode()
    assert "URIs: http://deb.debian.org/debian\n" in listed
    assert not {"etc/apt/sources.list", "etc/apt/apt.conf.d/99mmdebstrap"} & debian.members.keys()
    release = debian.content["usr/lib/os-release"]
    if b"VERSION_ID" not in release:
        assert "Suites: sid\n" in listed and "security" not in listed
        return
    suite = "bookworm" if b'VERSION_ID="12"' in release else "trixie"
    assert f"Suites: {suite} {suite}-updates\n" in listed and f"Suites: {suite}-security\n" in listed

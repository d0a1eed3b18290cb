"""The journalctl of Debian 12 (systemd 252) and 13 (257) reads what PID 1 writes, and has no complaints."""

import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import machine
from tests.harness.installation import CACHE
from tests.harness.journal_reader import archived
from tests.harness.patience import patient
from vzinit.journal import LIMIT, Journal, about_unit, line_fields

pytestmark = pytest.mark.root

IMAGES = ["debian-12", "debian-13"]
PARTS = ["./usr/bin/journalctl", "./usr/lib", "./usr/lib64", "./lib", "./lib64", "./bin", "./etc"]
UNUSED = ["./usr/lib/python3*", "./usr/lib/*/perl*", "./usr/lib/systemd/*", "./usr/lib/udev/*"]
MACHINE = bytes(range(16, 32))
NOW = time.time_ns() // 1000
WAIT = patient(10)


@dataclass
class Guest:
    """A root file system with journalctl and a log."""

    root: str
    directory = f"/run/log/journal/{MACHINE.hex()}"

    @property
    def path(self) -> str:
        return f"{self.root}{self.directory}/system.journal"

    def command(self, *arguments: str) -> list[str]:
        """/proc is where journalctl asks which boot this is."""
        script = f'{machine.LET_GO}; mount -t proc proc "$0/proc" && exec chroot "$0" journalctl --no-pager "$@"'
        return ["unshare", "--mount", "sh", "-c", script, self.root, *arguments]

    def journalctl(self, *arguments: str) -> str:
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False)
        assert done.returncode == 0 and not done.stderr.startswith("Failed"), done.stderr
        return done.stdout + (done.stderr if "--verify" in arguments else "")

    def messages(self, *arguments: str) -> list[str]:
        return self.journalctl("--quiet", "--output=cat", *arguments).splitlines()

    def verify(self) -> None:
        """Every file that there is."""
        told = self.journalctl("--verify").split("\n")
        passed = [one for one in told if one.startswith("PASS: /run/log/journal/")]
        assert len(passed) == 1 + len(archived(self.path)), told


@pytest.fixture(scope="module", params=IMAGES)
def unpacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The part of an image that journalctl needs."""
    root = str(tmp_path_factory.mktemp(request.param))
    tarball = f"{CACHE}/{request.param}-{os.uname().machine}.tar.zst"
    excluded = [f"--exclude={pattern}" for pattern in UNUSED]
    subprocess.run(["tar", "-C", root, "-xf", tarball, *excluded, *PARTS], check=True)
    for name in ("proc", "run", "tmp", "var/tmp", "var/log"):
        os.makedirs(f"{root}/{name}")
    Path(f"{root}/etc/machine-id").write_text(MACHINE.hex() + "\n")
    return root


@pytest.fixture
def guest(unpacked: str) -> Iterator[Guest]:
    """With an empty log."""
    subprocess.run(["rm", "-rf", f"{unpacked}/run/log"], check=True)
    yield Guest(unpacked)


def boot_id() -> bytes:
    return bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""))


def journal(guest: Guest, limit: int = LIMIT) -> Journal:
    return Journal(guest.path, MACHINE, boot_id(), limit)


def write(log: Journal, first: int, last: int) -> list[str]:
    """Lines of nginx and cron, and every tenth of PID 1 about nginx; one a millisecond.  What they say."""
    texts = []
    for number in range(first, last):
        texts.append(f"line {number} of many")
        if number % 10 == 9:
            fields = about_unit("nginx.service", texts[-1], 5)
        elif number % 10 == 5:
            fields = line_fields("cron.service", 80, "CRON", texts[-1].encode(), 3)
        else:
            fields = line_fields("nginx.service", 70 + number % 3, "nginx", texts[-1].encode(), 6)
        assert log.append(fields, NOW + 1000 * number)
    return texts


def of_nginx(texts: list[str]) -> list[str]:
    return [text for text in texts if int(text.split()[1]) % 10 != 5]


@pytest.mark.parametrize("count", [1, 100, 20_000])
def test_reads_everything(guest: Guest, count: int) -> None:
    """20000 lines are two files."""
    texts = write(journal(guest), 0, count)
    assert len(archived(guest.path)) == (count > 10_000)
    guest.verify()
    assert guest.messages() == texts
    assert guest.messages("--boot") == texts
    assert guest.messages("--unit=nginx") == of_nginx(texts)
    assert guest.messages("--lines=3") == texts[-3:]
    assert guest.messages("--reverse") == texts[::-1]
    assert guest.messages("--directory", guest.directory) == texts
    assert texts[-1] in guest.messages("--file", f"{guest.directory}/system.journal")
    assert guest.messages("--priority=err") == texts[5::10]
    assert guest.messages("--identifier=systemd") == texts[9::10]


def test_finds_times(guest: Guest) -> None:
    texts = write(journal(guest), 0, 3000)
    since = f"@{(NOW + 1000 * 2000) / 1e6:.6f}"
    assert guest.messages("--since", since) == texts[2000:]
    assert guest.messages("--until", since, "--unit=nginx")[-1] == texts[2000]
    assert guest.messages("--since", since, "--unit=cron")[0] == texts[2005]


def test_shows_as_it_shows_those_of_systemd(guest: Guest) -> None:
    log = journal(guest)
    log.append(line_fields("nginx.service", 77, "nginx", b"GET /", 6))
    log.append(about_unit("nginx.service", "Stopped \N{HORIZONTAL ELLIPSIS}", 6))
    log.append(line_fields("nginx.service", 77, "nginx", b"\xff\n\x00", 6))
    host = os.uname().nodename
    first, second, *_ = guest.journalctl("--unit=nginx").splitlines()
    assert first.endswith(f"{host} nginx[77]: GET /")
    assert second.endswith(f"{host} systemd[1]: Stopped \N{HORIZONTAL ELLIPSIS}")
    rows = [json.loads(row) for row in guest.journalctl("--output=json").splitlines()]
    assert [row["_SYSTEMD_UNIT"] for row in rows] == ["nginx.service", "init.scope", "nginx.service"]
    assert (rows[1]["UNIT"], rows[2]["MESSAGE"]) == ("nginx.service", [0xFF, 0x0A, 0])
    assert rows[0]["_BOOT_ID"] == boot_id().hex()


def test_header(guest: Guest) -> None:
    write(journal(guest), 0, 100)
    rows = dict(row.split(": ", 1) for row in guest.journalctl("--header").splitlines() if ": " in row)
    assert (rows["State"], rows["Header size"], rows["Entry objects"]) == ("ONLINE", "272", "100")
    assert rows["Machine ID"] == MACHINE.hex() and rows["Tail sequential number"].startswith("100 ")


def test_lists_boots(guest: Guest) -> None:
    """A container that was restored on another machine has a log of two.  (--boot=-1 wants /var/log/journal.)"""
    log = journal(guest)
    log.boot_id = bytes(range(32, 48))
    before = write(log, 0, 10)
    log.boot_id = boot_id()
    texts = write(log, 10, 20)
    guest.verify()
    assert guest.messages("--boot") == texts
    assert guest.messages(f"_BOOT_ID={bytes(range(32, 48)).hex()}") == before
    rows = [row.split()[:2] for row in guest.journalctl("--list-boots").splitlines()]
    assert rows[-2:] == [["-1", bytes(range(32, 48)).hex()], ["0", boot_id().hex()]]


def test_after_rotations(guest: Guest) -> None:
    """Five files were begun; the last two are there."""
    texts = write(journal(guest, 64 * 1024), 0, 700)
    guest.verify()
    kept = guest.messages()
    assert 100 < len(kept) < 400 and kept == texts[-len(kept) :]
    assert guest.messages("--unit=nginx.service") == of_nginx(kept)


def follow(reader: "subprocess.Popen[str]", expected: str) -> None:
    assert reader.stdout
    assert select.select([reader.stdout], [], [], WAIT)[0], f"nothing comes after {expected}"
    assert reader.stdout.readline().strip() == expected


def test_follows(guest: Guest) -> None:
    """Each line as it is written, into the next file too."""
    log = journal(guest, 64 * 1024)
    (last,) = write(log, 0, 1)
    arguments = guest.command("--follow", "--unit=nginx", "--output=cat", "--quiet", "--lines=1")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, bufsize=1) as reader:
        try:
            follow(reader, last)
            for number in range(1, 400):
                for text in of_nginx(write(log, number, number + 1)):
                    follow(reader, text)
        finally:
            reader.kill()
    assert archived(guest.path)


@pytest.mark.parametrize("spoil", [lambda log: log.close(), lambda log: None], ids=["closed", "killed"])
def test_goes_on(guest: Guest, spoil: Callable[[Journal], None]) -> None:
    log = journal(guest)
    texts = write(log, 0, 50)
    spoil(log)
    texts += write(journal(guest), 50, 100)
    guest.verify()
    assert guest.messages() == texts and not archived(guest.path)


def test_a_file_that_was_cut_off_is_read(guest: Guest) -> None:
    """New objects were written, and some of the links to them."""
    texts = write(journal(guest), 0, 40)
    good = Path(guest.path).read_bytes()
    write(journal(guest), 40, 41)
    after = Path(guest.path).read_bytes()
    Path(guest.path).write_bytes(good[:272] + after[272:])
    assert guest.messages() == texts
    texts += write(journal(guest), 41, 42)
    assert [name[-1] for name in archived(guest.path)] == ["~"]
    assert guest.messages() == texts

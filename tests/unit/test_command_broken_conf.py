"""Files that are no configuration: refused with one line, while a single bad line is skipped as OpenVZ skips it."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.command.host import Facts
from hostd.config import names
from hostd.config.veconf import LONGEST, VeConf
from hostd.errors import BadConfig
from tests.harness.fake_host import Fake, Said

REMEDY = "(put a good file in its place)"
GOOD = b'ONBOOT="no"\nCPUUNITS="1000"\nHOSTNAME="web"\n'
BROKEN = {
    "random": (bytes(range(256)) * 4, "line 1 is binary data"),
    "zeros": (b"\0" * 4096, "line 1 is binary data"),
    "zeros behind": (GOOD + b"\0" * 512, "line 4 is binary data"),
    "a zero in a value": (b'ONBOOT="no"\nHOSTNAME="w\0b"\n', "line 2 is binary data"),
    "a block overwritten": (b"\x93\x07\xfe ELF\n" + GOOD, "line 1 is binary data"),
    "prose": (b"\n# mine\nThis is a letter.\nIt goes on.\n", "line 3 is not NAME=value: This is a letter."),
    "json": (b'{\n  "ctid": 101\n}\n', "line 1 is not NAME=value: {"),
    "more prose than settings": (GOOD + b"a\nb\nc\nd\n", "line 4 is not NAME=value: a"),
}


def write(path: str, content: bytes) -> str:
    with open(path, "wb") as file:
        file.write(content)
    return path


@pytest.fixture(params=BROKEN)
def broken(request: pytest.FixtureRequest) -> tuple[bytes, str]:
    return BROKEN[request.param]


@pytest.mark.parametrize(
    "argv", [["start", "101"], ["restart", "101"], ["mount", "101"], ["restore", "101"], ["destroy", "101"],
             ["set", "101", "--onboot", "yes", "--save"], ["create", "101"]],
    ids=lambda argv: argv[0],
)  # fmt: skip
def test_a_container_whose_file_is_none(fake: Fake, broken: tuple[bytes, str], argv: list[str]) -> None:
    content, what = broken
    path = write(fake.ct(101), content)
    said = fake.ctl(*argv)
    assert said == Said(85, "", f"{path} is not a configuration: {what} {REMEDY}\n")
    assert fake.asked() == [] and os.listdir(fake.paths.lock_dir) == []
    with open(path, "rb") as file:
        assert file.read() == content


@pytest.mark.parametrize("argv", [["stop"], ["exec", "true"], ["enter"]], ids=lambda argv: argv[0])
def test_one_that_runs_without_a_file_is_not_out_of_reach(fake: Fake, argv: list[str]) -> None:
    verb, *rest = argv
    os.unlink(fake.up(101))
    os.unlink(fake.ct(102))
    assert fake.ctl(verb, "101", *rest).code == 0
    assert fake.asked() == [verb]
    assert fake.ctl(verb, "102", *rest) == Said(14, "", "Container config file does not exist\n")


@pytest.mark.parametrize("verb", ["start", "restart", "destroy", "mount", "chkpnt"])
def test_without_a_file_nothing_is_begun(fake: Fake, verb: str) -> None:
    os.unlink(fake.up(101))
    assert fake.ctl(verb, "101") == Said(14, "", "Container config file does not exist\n")
    assert fake.asked() == []


def test_what_is_being_created_is_nobody_s_yet(fake: Fake) -> None:
    os.unlink(fake.ct(101, mounted=True, running=True, unborn=True))
    assert fake.ctl("exec", "101", "true") == Said(14, "", "Container config file does not exist\n")
    assert fake.vzlist("-aH").stdout == "" and fake.service("stop").code == 0
    assert fake.asked() == [] and not os.path.exists(f"{fake.paths.reboot_dir}/101")


def test_what_is_mounted_without_a_file_is_unmounted(fake: Fake) -> None:
    os.unlink(fake.ct(101, mounted=True))
    assert fake.ctl("umount", "101").code == 0 and fake.asked() == ["umount"]


def test_what_runs_without_a_file_is_listed(fake: Fake) -> None:
    os.unlink(fake.up(101))
    os.unlink(fake.ct(102))
    assert fake.vzlist("-aHo", "ctid,status,hostname").stdout.split() == ["101", "running", "-"]


def test_one_bad_line_is_skipped(fake: Fake) -> None:
    path = write(fake.ct(101), GOOD + b'this is no setting\nMY_KEY="kept"\n# caf\xe9\n')
    said = fake.ctl("start", "101")
    assert said.code == 0 and said.stderr == ""
    assert said.stdout.splitlines()[0] == f"Warning: {path}:4: not NAME=value: this is no setting"
    assert fake.ctl("set", "101", "--onboot", "yes", "--save").code == 0
    with open(path, "rb") as file:
        assert file.read() == GOOD.replace(b"no", b"yes") + b'this is no setting\nMY_KEY="kept"\n# caf\xe9\n'


def test_one_bad_value_is_refused_with_its_line(fake: Fake) -> None:
    path = write(fake.ct(101), b'# mine\nONBOOT="no"\nNUMPROC="many"\n')
    text = f'{path}:3: NUMPROC="many": must be a number without a suffix\n'
    assert fake.ctl("start", "101") == Said(85, "", text)
    assert fake.ctl("set", "101", "--numproc", "50", "--save").code == 0
    assert fake.ctl("start", "101").code == 0


def test_a_running_one_stays_within_reach(fake: Fake) -> None:
    write(fake.up(101), b"\0" * 100)
    assert fake.ctl("exec2", "101", "true").code == 0
    assert fake.ctl("enter", "101").code == 0
    assert fake.ctl("status", "101") == Said(0, "CTID 101 exist mounted running\n", "")
    assert fake.ctl("stop", "101").code == 0
    fake.ct(101, "\0", mounted=True)
    assert fake.ctl("umount", "101").code == 0


def test_by_its_name(fake: Fake) -> None:
    path = fake.ct(101, 'NAME="web"\n')
    names.assign(fake.paths, 101, "web")
    write(path, b"\0")
    fake.ct(102)
    for argv in (["start", "web"], ["set", "102", "--name", "web", "--save"]):
        assert fake.ctl(*argv).stderr == f"{path} is not a configuration: line 1 is binary data {REMEDY}\n"
    assert os.readlink(f"{fake.paths.names_dir}/web") == path


def test_the_others_are_listed(fake: Fake) -> None:
    """And it is, too, as far as anything is known of it."""
    fake.up(101, 'HOSTNAME="web"\n')
    path = write(fake.ct(102), b"\0garbage")
    path3 = write(fake.ct(103), b"no settings here\n")
    fake.host.states[103] = Facts(exists=True, mounted=True, running=True)
    said = fake.vzlist("-aHo", "ctid,status,hostname")
    assert [line.split() for line in said.stdout.splitlines()] == [
        ["101", "running", "web"],
        ["102", "stopped", "-"],
        ["103", "running", "-"],
    ]
    assert said.code == 0 and said.stderr == (
        f"Warning: {path} is not a configuration: line 1 is binary data\n"
        f"Warning: {path3} is not a configuration: line 1 is not NAME=value: no settings here\n"
    )
    assert fake.vzlist("101").stderr == ""


def test_vz_conf(fake: Fake, broken: tuple[bytes, str]) -> None:
    content, what = broken
    fake.ct(101)
    write(fake.paths.vz_conf, content)
    text = f"{fake.paths.vz_conf} is not a configuration: {what}"
    assert fake.ctl("start", "101") == Said(85, "", f"{text} {REMEDY}\n")
    assert fake.vzlist("-a") == Said(1, "", f"{text}\n")
    assert fake.ctl("status", "101").code == 0


def test_what_is_not_read_at_all(fake: Fake) -> None:
    """A FIFO would keep the daemon for ever, a disk image would fill its memory."""
    path = fake.ct(101)
    os.unlink(path)
    os.mkfifo(path)
    assert fake.ctl("start", "101") == Said(14, "", f"Unable to read {path}: Not a regular file\n")
    os.unlink(path)
    with open(path, "wb") as file:
        file.truncate(LONGEST + 1024)
    assert fake.ctl("start", "101") == Said(85, "", f"{path} is not a configuration: it has 1025 KiB {REMEDY}\n")


@given(st.binary(max_size=200))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """What is accepted is text, and more of it definitions than anything else."""
    path = write(f"{tmp_path_factory.getbasetemp()}/any.conf", content)
    try:
        conf = VeConf.load(path)
    except BadConfig as error:
        assert error.message.startswith(f"{path} is not a configuration: line ")
        return
    assert b"\0" not in content and len(conf.warnings) <= len(conf.items()) + content.count(b"=")

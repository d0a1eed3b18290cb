"""What vzctl refuses, and how: one line, the right exit code, nothing asked of the host."""

import os

import pytest

from tests.harness.fake_host import Fake, Said

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (["frobnicate", "101"], 20, "Bad command: frobnicate\n"),
        (["--frob", "start", "101"], 20, "Bad command: --frob\n"),
        (["-q", "start", "101"], 20, "Bad command: -q\n"),
        (["start"], 21, "CT ID missing\n"),
        (["start", "nobody"], 21, "Bad CT ID nobody\n"),
        (["start", "2147483645"], 21, "Bad CT ID 2147483645\n"),
        (["start", "--wait", "101"], 21, "Bad CT ID --wait\n"),
        (["start", "0"], 21, "Only set actions are allowed for CT0\n"),
        (["status", "0"], 21, "Only set actions are allowed for CT0\n"),
        (["start", "9"], 14, "Container config file does not exist\n"),
        (["exec", "9", "true"], 14, "Container config file does not exist\n"),
        (["status", "101", "x", "y"], 20, "Invalid options: x y \n"),
        (["mount", "101", "x"], 20, "Invalid options: x \n"),
        (["stop", "101", "x"], 20, "Invalid extra arguments: x \n"),
        (["console", "101", "2", "x"], 20, "Invalid options: x \n"),
        (["set", "101", "--cpus"], 21, "vzctl: option '--cpus' requires an argument\n"),
        (["set", "101", "--frob", "1"], 21, "vzctl: unrecognized option '--frob'\n"),
        (["create", "102", "--frob"], 21, "vzctl: unrecognized option '--frob'\n"),
        (["start", "101", "--frob"], 20, "vzctl: unrecognized option '--frob'\n"),
        (["chkpnt", "101", "--frob"], 20, "vzctl: unrecognized option '--frob'\n"),
        (["exec", "101"], 20, "No command line given for exec\n"),
        (["exec2", "101"], 20, "No command line given for exec2\n"),
        (["enter", "101", "x"], 20, "Invalid options: x \n"),
        (["enter", "101", "--exec"], 20, "vzctl: option '--exec' requires an argument\n"),
        (["runscript", "101"], 20, "Script not specified\n"),
        (["runscript", "101", "none.sh"], 11, "Script not found: {prefix}/none.sh\n"),
        (["console", "101", "x"], 21, "Bad tty number: x (must be a number)\n"),
        (["snapshot", "101"], 156, "snapshot is not supported yet\n"),
        (["compact", "101"], 166, "compact is not supported yet\n"),
        (["quotaon", "101"], 60, "quotaon is not supported yet\n"),
        (["chkpnt", "101", "--suspend"], 16, "--suspend is not supported yet\n"),
        (["restore", "101", "--undump"], 17, "--undump is not supported yet\n"),
        (
            ["create", "102", "--layout", "ploop"],
            21,
            "--layout ploop is not supported yet (use overlay or simfs)\n",
        ),
        (["create", "102", "--local_uid", "0"], 21, "--local_uid is not supported yet\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_refused(fake: Fake, argv: list[str], code: int, text: str) -> None:
    fake.ct(101)
    said = fake.ctl(*argv)
    assert said == Said(code, "", text.format(prefix=fake.paths.prefix))
    assert fake.asked() == [] and os.listdir(fake.paths.lock_dir) == []


def test_no_arguments_is_a_usage_error(fake: Fake) -> None:
    said = fake.ctl()
    assert said.code == 20 and "Usage: vzctl" in said.stderr and said.stdout == ""


def test_only_root(fake: Fake) -> None:
    fake.ct(101)
    type(fake.session).uid = 1000
    try:
        assert fake.ctl("status", "101") == Said(12, "", "Only root can use vzctl\n")
        assert fake.vzlist() == Said(1, "", "Only root can use vzlist\n")
    finally:
        type(fake.session).uid = 0


def test_vz_conf_unreadable(fake: Fake) -> None:
    fake.ct(101)
    os.unlink(fake.paths.vz_conf)
    said = fake.ctl("start", "101")
    assert said == Said(10, "", f"Unable to open {fake.paths.vz_conf}: No such file or directory\n")
    assert fake.ctl("status", "101").code == 0


def test_version_and_help(fake: Fake) -> None:
    assert fake.ctl("--version") == Said(0, "vzctl version 4.11.0\n", "")
    said = fake.ctl("--verbose", "--help")
    assert said.code == 0 and said.stdout.splitlines()[0] == "vzctl version 4.11.0"
    for word in ("vzctl start", "--diskspace", "--reset_ub", "-k, --kmemsize"):
        assert word in said.stdout
    assert "--netif_add" not in said.stdout


@pytest.mark.parametrize(
    "words", [["mount", "101"], ["runscript", "101", "s.sh"], ["set", "101", "--sshkey", "key.pub"],
              ["set", "101", "--userpasswd", "root:x", "--diskspace", "2G", "--save"]],
    ids=" ".join,
)  # fmt: skip
def test_nothing_writes_to_the_disk_of_a_suspended_container(fake: Fake, words: list[str]) -> None:
    fake.ct(101, suspended=True)
    for name, text in (("s.sh", "true"), ("key.pub", KEY)):
        with open(f"{fake.paths.prefix}/{name}", "w", encoding="ascii") as file:
            file.write(f"{text}\n")
    text = "Container is suspended: its disk must stay as its memory knows it (vzctl start 101 first)\n"
    assert fake.ctl(*words) == Said(31, "", text)
    assert fake.asked() == []

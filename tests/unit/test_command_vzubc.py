"""vzubc and the text of /proc/user_beancounters, to the letter."""

import os
import subprocess
from pathlib import Path

import pytest

from hostd.cli import watch
from hostd.command import user_beancounters
from hostd.command.figures import Counter, Usage
from hostd.command.host import Facts
from hostd.command.row import Row
from hostd.command.tools import vzubc
from hostd.config.veconf import VeConf
from tests.harness.fake_host import Fake, Said

UP = Facts(exists=True, mounted=True, running=True)
LIMITS = 'NUMPROC="100"\nPHYSPAGES="0:65536"\nSWAPPAGES="0:131072"\nPRIVVMPAGES="1000:2000"\n'


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """101 runs with limits, 102 without, 103 is stopped."""
    fake = Fake(str(tmp_path))
    for ctid, text in ((101, LIMITS + 'NAME="web"\n'), (102, "")):
        fake.ct(ctid, text)
        fake.host.states[ctid] = UP
    os.symlink(fake.paths.ct_conf(101), f"{fake.paths.names_dir}/web")
    fake.ct(103, LIMITS)
    fake.host.usages[101] = Usage(
        counters={
            "numproc": Counter(23, 80, 0),
            "physpages": Counter(10000, 20000, 2),
            "kmemsize": Counter(5139456, 5652480, 0),
        }
    )
    return fake


TABLE = """\
----------------------------------------------------------------
CT 101       | HELD Bar% Lim%| MAXH Bar% Lim%| BAR | LIM | FAIL
-------------+---------------+---------------+-----+-----+------
  privvmpages|   -    -    - |   -    -    - |3.91M|7.81M|    -_
      numproc|  23   23%  23%|  80   80%  80%| 100 | 100 |    -_
    physpages|39.1M   -   15%|78.1M   -   30%|   - | 256M|    2_
    swappages|   -    -    - |   -    -    - |   - | 512M|    -_
----------------------------------------------------------------
""".replace("_\n", " \n")  # lines end with a blank, as in OpenVZ


def test_the_table(fake: Fake) -> None:
    assert fake.run("vzubc") == Said(0, TABLE, "")
    assert fake.run("vzubc", "web") == fake.run("vzubc", "101") == Said(0, TABLE, "")


def test_what_has_no_limit_is_hidden_and_so_is_who_has_none(fake: Fake) -> None:
    assert fake.run("vzubc", "102") == fake.run("vzubc", "103") == fake.run("vzubc", "nobody") == Said(0, "", "")
    said = fake.run("vzubc", "-v", "101")
    assert "     kmemsize| 4.9M   -    - |5.39M   -    - |   - |   - |    - \n" in said.stdout
    assert "dummy" not in said.stdout and len(said.stdout.splitlines()) == 3 + 21 + 1


@pytest.mark.parametrize(
    ("argv", "names"),
    [
        (["-q"], "physpages"),
        (["-q", "-qm", "0.7"], "numproc physpages"),
        (["-q", "-qh", "20"], "numproc physpages"),  # percent
        (["--quiet", "-qh", "0.3"], "physpages"),
    ],
)
def test_quiet_shows_what_failed_or_is_close(fake: Fake, argv: list[str], names: str) -> None:
    rows = fake.run("vzubc", *argv).stdout.splitlines()[3:-1]
    assert " ".join(row.split("|")[0].strip() for row in rows) == names


def test_relative_and_incremental_tell_the_change(fake: Fake, tmp_path: Path) -> None:
    options = ("-r", "-i", "-rd", "store", "101")
    first = fake.run("vzubc", *options)
    assert "| HELD  +/-   Bar% Lim%|" in first.stdout and "|+FAIL\n" in first.stdout
    assert "    physpages|39.1M          -   15%|78.1M   -   30%|   - | 256M|    2 \n" in first.stdout
    fake.host.usages[101] = Usage(counters={"physpages": Counter(12500, 20000, 5), "numproc": Counter(20, 80, 0)})
    second = fake.run("vzubc", *options)
    assert "    physpages|48.8M +9.77M   -   19%|78.1M   -   30%|   - | 256M|    3 \n" in second.stdout
    assert "      numproc|  20     -3   20%  20%|" in second.stdout
    assert (tmp_path / "store/ubc.101.physpages.failcnt").read_text() == "5\n"
    third = fake.run("vzubc", *options)
    assert "    physpages|48.8M          -   19%|78.1M   -   30%|   - | 256M|    - \n" in third.stdout
    fake.run("vzubc", "-rc", "-ic", "-rd", "store")
    assert os.listdir(tmp_path / "store") == []


def test_a_store_of_somebody_else_is_not_used(fake: Fake, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/tmp")
    said = fake.run("vzubc", "-r", "-rd", "link")
    assert (said.code, said.stdout) == (1, "") and "not a directory of root's" in said.stderr


@pytest.mark.parametrize("mode", [0o1777, 0o770])
def test_nothing_is_written_where_others_may_have_laid_a_link(fake: Fake, tmp_path: Path, mode: int) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    (tmp_path / "precious").write_text("text")
    (tmp_path / "open/.new").symlink_to(tmp_path / "precious")
    said = fake.run("vzubc", "-r", "-rd", "open")
    assert (said.code, said.stdout) == (1, "") and "nobody else may write to" in said.stderr
    assert (tmp_path / "precious").read_text() == "text"


def test_colours(fake: Fake) -> None:
    rows = fake.run("vzubc", "-c", "-qm", "0.7").stdout.splitlines()
    assert rows[0].startswith("\033[1;32m---") and rows[2].endswith("\033[0;39m")
    assert [row[:7] for row in rows[3:7]] == ["\033[0;39m", "\033[1;33m", "\033[1;31m", "\033[0;39m"]


def test_a_file_and_standard_input(fake: Fake, tmp_path: Path) -> None:
    text = user_beancounters.text(rows(fake))
    assert fake.run("vzubc", "-t", "101") == Said(0, text, "")
    (tmp_path / "saved").write_text(text)
    assert fake.run("vzubc", "-f", "saved") == Said(0, TABLE, "")
    assert fake.run("vzubc", "--file", "-", "101", stdin=text) == Said(0, TABLE, "")
    resources = "\n".join(line[12:] if number else line for number, line in enumerate(text.splitlines()[:1]))
    assert fake.run("vzubc", "-f", "-", stdin=resources) == Said(0, "", "")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["-x"], "Unrecognized option: -x"),
        (["-qh"], "Error: option -qh requires an argument"),
        (["-q", "-v"], "Error: options --quiet and --verbose can't be used together"),
        (["-qh", "0.1"], "Error: -qh and -qm only make sense with --quiet or --color"),
        (["-q", "-qm", "much"], "Error: bad ratio much"),
        (["-w", "-c"], "Error: can't use --watch and --color together"),
        (["-w"], "Error: watch binary not found"),  # or the command would be that
        (["-f", "none"], "none: No such file or directory"),
        (["-f", "fifo"], "fifo: Not a regular file"),
        (["-f", "sparse"], "sparse: File too large"),
        (["-f", "/dev/zero"], "/dev/zero: Not a regular file"),
        (["-f", "-"], "Error: not a row of beancounters: Hello"),
        (["-r", "-rd", "store", "-f", "anonymous"], "Error: can not use relative/incremental modes: BCID is unknown"),
    ],
)
def test_what_cannot_be_used_is_one_line(fake: Fake, tmp_path: Path, argv: list[str], text: str) -> None:
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 40)
    os.mkfifo(tmp_path / "fifo")  # nobody writes to it
    (tmp_path / "anonymous").write_text("Version: 2.5\n numproc 1 2 3 4 5\n")
    assert fake.run("vzubc", *argv, stdin="Hello") == Said(1, "", f"{text}\n")


@pytest.mark.parametrize(
    "row",
    [
        "101: \033]0;mine\007 1 2 3 4 5",
        "101: ../../escape 1 2 3 4 5",
        "101: numproc 1 2 3 4 " + "9" * 5000,
        "9" * 5000 + ": numproc 1 2 3 4 5",
        "101: numproc 1 2 3 4",
        "\udcff",
    ],
)
def test_a_file_of_a_guest_says_nothing_but_names_and_numbers(row: str) -> None:
    with pytest.raises(user_beancounters.BadText) as said:
        list(user_beancounters.parse(f"Version: 2.5\n{row}\n"))
    assert str(said.value).isprintable() and len(str(said.value)) < 100


# the text


def rows(fake: Fake) -> list[Row]:
    globals = fake.host.confs.globals()
    return [Row(101, UP, fake.host.usages[101], VeConf.load(fake.paths.ct_conf(101)), globals)]


@pytest.mark.parametrize(
    ("part", "text"),
    [(0, "- "), (3, "0.3%"), (54, "5%"), (94, "9%"), (95, "10%"), (99, "10%"), (100, "10%"), (999, "99%")],
)
def test_percents(part: int, text: str) -> None:
    assert vzubc._percent(part, 1000) == text


def test_the_text_of_user_beancounters(fake: Fake) -> None:
    lines = user_beancounters.text(rows(fake)).splitlines()
    assert lines[:4] == [
        "Version: 2.5",
        "       uid  resource                     held              maxheld              barrier"
        "                limit              failcnt",
        "      101:  kmemsize                  5139456              5652480  9223372036854775807"
        "  9223372036854775807                    0",
        "            lockedpages                     0                    0  9223372036854775807"
        "  9223372036854775807                    0",
    ]
    assert [line.split()[-6] for line in lines[2:]] == list(user_beancounters.ORDER)
    assert len(lines) == 2 + 24
    again = list(user_beancounters.parse("\n".join(lines)))
    assert again == [one for row in rows(fake) for one in user_beancounters.resources(row)]


@pytest.mark.parametrize("text", ["Version: 3.0", "x: numproc 1 2 3 4 5", "numproc 1 2 3 4", "numproc 1 2 3 4 -5"])
def test_what_is_no_such_text(text: str) -> None:
    with pytest.raises(user_beancounters.BadText):
        list(user_beancounters.parse(text))


# watch(1)


@pytest.mark.parametrize(
    ("line", "options", "rest"),
    [
        ("", None, ""),
        ("-q 101", None, "-q 101"),
        ("-w 101", "", "101"),
        ("-w -wd -wn 10 -wt -q -qh 0.2 101", "-d -n 10 -t", "-q -qh 0.2 101"),
        ("-f -w", None, "-f -w"),
    ],
)
def test_what_watch_gets(line: str, options: str | None, rest: str) -> None:
    assert watch.split(line.split()) == (None if options is None else options.split(), rest.split())


@pytest.mark.parametrize("word", ["101", "my ct", "", "it's", "$(id)", "a;b", "-qh", "ü", "*", "x\ny"])
def test_words_reach_what_watch_starts(word: str) -> None:
    line = " ".join(watch.quoted(one) for one in ("printf", "%s", word))
    assert subprocess.run(("sh", "-c", line), stdout=subprocess.PIPE, check=True).stdout.decode() == word
    assert watch.quoted("/usr/sbin/vzubc") == "/usr/sbin/vzubc", "as it is in the title"

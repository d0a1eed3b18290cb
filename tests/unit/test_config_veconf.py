"""The file format: read as OpenVZ reads it, edited in place."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.config.veconf import VeConf

KEYS = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True).filter(
    lambda key: key not in ("DCACHE", "IPTENTRIES")
)
VALUES = st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), max_size=20)
LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=25)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('A="b"', "b"),
        ("A=b", "b"),
        ("  A=b  ", "b"),
        ('\tA="b c"', "b c"),
        ('A="hello "w""', 'hello "w"'),
        ('A="b" # comment', "b"),
        ("A=b # comment", "b"),
        ("A=b#c", "b#c"),
        ("A=", ""),
        ('A=""', ""),
        ('A="unfinished', "unfinished"),
        ('A="$VEID"', "$VEID"),
        ('A="x=y"', "x=y"),
        ('A="b"\r', "b"),
    ],
)
def test_reading(line: str, value: str) -> None:
    assert VeConf.parse(line).get("A") == value


@pytest.mark.parametrize("line", ["#A=b", "A b", "", "= = =", "A B=c", "\0"])
def test_not_a_definition(line: str) -> None:
    assert VeConf.parse(line).get("A") is None


def test_the_first_definition_wins_and_the_second_is_told() -> None:
    conf = VeConf.parse('A="1"\n# x\nA="2"\n', "/etc/vz/conf/1.conf")
    assert conf.get("A") == "1"
    assert conf.warnings == ["/etc/vz/conf/1.conf:3: duplicate for A, the first is used"]
    conf.set("A", "3")
    assert VeConf.parse(conf.text()).get("A") == "3"
    conf.unset("A")
    assert VeConf.parse(conf.text()).get("A") is None


def test_editing_keeps_everything_else() -> None:
    text = '# my server\n#UUID: 12\n\n  CPUUNITS=5\nMY_KEY="x"\nbroken line\nLAST="y"'
    conf = VeConf.parse(text)
    conf.set("CPUUNITS", "1000")
    conf.set("ONBOOT", "yes")
    expected = '# my server\n#UUID: 12\n\nCPUUNITS="1000"\nMY_KEY="x"\nbroken line\nLAST="y"\nONBOOT="yes"\n'
    assert conf.text() == expected


def test_old_names_of_keys() -> None:
    conf = VeConf.parse('DCACHE="1:2"\nIPTENTRIES="3"\n')
    assert (conf.get("DCACHESIZE"), conf.get("NUMIPTENT")) == ("1:2", "3")
    conf.set("DCACHESIZE", "4")
    assert conf.text() == 'DCACHESIZE="4"\nIPTENTRIES="3"\n'


@given(st.lists(st.tuples(KEYS, VALUES), max_size=6))
def test_what_is_set_is_read_back(pairs: list[tuple[str, str]]) -> None:
    conf = VeConf()
    for key, value in pairs:
        conf.set(key, value)
    again = VeConf.parse(conf.text())
    assert {key: again.get(key) for key, _ in pairs} == dict(pairs)
    assert again.text() == conf.text() and again.warnings == []


@given(st.lists(LINES, max_size=6), KEYS, VALUES)
def test_any_text_survives_an_edit(lines: list[str], key: str, value: str) -> None:
    text = "".join(line + "\n" for line in lines)
    conf = VeConf.parse(text)
    assert conf.text() == text
    before = dict(conf.items())
    conf.set(key, value)
    assert dict(VeConf.parse(conf.text()).items()) == {**before, key: value}


@pytest.mark.parametrize("value", ["a\nB=c", "a\rb", "a\0b"])
def test_a_value_is_one_line(value: str) -> None:
    conf = VeConf.parse("A=1\n")
    with pytest.raises(ValueError, match="one line"):
        conf.set("A", value)
    assert conf.text() == "A=1\n"


def test_saving_replaces_the_file(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "101.conf")
    with open(path, "wb") as file:
        file.write(b'X="caf\xe9"\n')
    os.chmod(path, 0o600)
    inode = os.stat(path).st_ino
    conf = VeConf.load(path)
    conf.set("A", "1")
    conf.save(path)
    with open(path, "rb") as file:
        assert file.read() == b'X="caf\xe9"\nA="1"\n'
    assert os.stat(path).st_ino != inode and os.stat(path).st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["101.conf"]


def test_a_new_file_is_readable(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "101.conf")
    VeConf.parse("A=1\n").save(path)
    assert os.stat(path).st_mode & 0o7777 == 0o644


def test_a_symlink_stays_one(tmp_path: os.PathLike[str]) -> None:
    real, link = os.path.join(tmp_path, "ve.conf"), os.path.join(tmp_path, "101.conf")
    VeConf.parse("A=1\n").save(real)
    os.symlink(real, link)
    VeConf.parse("A=2\n").save(link)
    assert os.readlink(link) == real and VeConf.load(real).get("A") == "2"


def test_a_failing_save_leaves_nothing(tmp_path: os.PathLike[str]) -> None:
    target = os.path.join(tmp_path, "101.conf")
    os.mkdir(target)
    with pytest.raises(OSError):
        VeConf.parse("A=1\n").save(target)
    assert os.listdir(tmp_path) == ["101.conf"]

"""The command line as getopt_long reads it; getopt(1), which is glibc's, is the judge."""

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostd.command.grammar import Grammar, Option, Parsed
from hostd.errors import Usage

OPTIONS = (
    Option("all", "a"),
    Option("sort", "s", value=True),
    Option("save"),
    Option("cpus", value=True),
    Option("cpuunits", value=True),
    Option("ip", value=True, dest="ipadd"),
    Option("ipadd", value=True),
    Option("", "1"),
)
GRAMMAR = Grammar(OPTIONS)


def judge(words: list[str]) -> list[str] | None:
    """What getopt(1) makes of *words*, as its normalised words; None when it refuses them."""
    long = ",".join(one.name + (":" if one.value else "") for one in OPTIONS if one.name)
    done = subprocess.run(
        ["getopt", "-q", "-o", "as:1", "-l", long, "--", *words], capture_output=True, text=True, check=False
    )
    return shlex.split(done.stdout) if done.returncode == 0 else None


def ours(words: list[str]) -> list[str] | None:
    """The same in our reading; short and alias names spelled as getopt(1) does."""
    try:
        parsed = GRAMMAR.parse(words)
    except Usage:
        return None
    flat = []
    for name, value in parsed.given:
        takes = any(one.value for one in OPTIONS if one.target == name)
        flat += [f"--{name}", value] if takes else [f"--{name}"]
    return [*flat, "--", *parsed.words]


LETTERS = {"-a": "--all", "-s": "--sort", "-1": "--", "--ip": "--ipadd"}


def spelled(words: list[str] | None) -> list[str] | None:
    """getopt(1)'s answer with options under our target names."""
    if words is None:
        return None
    out, rest = [], list(words)
    while rest and rest[0] != "--":
        option = rest.pop(0)
        name = LETTERS.get(option, option)
        out.append(name)
        if name in ("--sort", "--cpus", "--cpuunits", "--ipadd"):
            out.append(rest.pop(0))
    return out + rest


WORD = st.one_of(
    st.sampled_from(
        [
            *(
                "-a",
                "-s",
                "-sx",
                "-as",
                "-a1",
                "-1",
                "--all",
                "--sort",
                "--sort=x",
                "--so",
                "--save",
                "--s",
                "--sa",
            ),
            *(
                "--cpu",
                "--cpus",
                "--cpus=",
                "--cpuu",
                "5",
                "--",
                "-",
                "x y",
                "",
                "--i",
                "--ipa=1",
                "--save=1",
                "-z",
            ),
            *("--none", "-s-x", "-1a", "--a", "--cpus=-1"),
        ]
    ),
    st.from_regex(r"-{0,2}[a-s1=]{0,5}", fullmatch=True),
)


@settings(max_examples=150)
@given(st.lists(WORD, max_size=5))
def test_as_glibc(words: list[str]) -> None:
    if any(word == "--i" or word.startswith("--i=") or word == "--ip" for word in words):
        return  # two options with one target: getopt(1) sees them as different ones
    assert ours(words) == spelled(judge(words))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--cpus"], "vzctl: option '--cpus' requires an argument"),
        (["--cpuu"], "vzctl: option '--cpuunits' requires an argument"),
        (["--frob"], "vzctl: unrecognized option '--frob'"),
        (["--frob=1"], "vzctl: unrecognized option '--frob'"),
        (["--cpu", "1"], "vzctl: option '--cpu' is ambiguous; possibilities: '--cpus' '--cpuunits'"),
        (["--save=1"], "vzctl: option '--save' doesn't allow an argument"),
        (["-z"], "vzctl: invalid option -- 'z'"),
        (["-az"], "vzctl: invalid option -- 'z'"),
        (["-s"], "vzctl: option requires an argument -- 's'"),
    ],
)
def test_messages_are_glibcs(words: list[str], text: str) -> None:
    with pytest.raises(Usage) as error:
        GRAMMAR.parse(words)
    assert error.value.message == text


def test_an_alias_is_not_ambiguous_with_its_target() -> None:
    assert GRAMMAR.parse(["--i", "x", "--ip=y"]).given == (("ipadd", "x"), ("ipadd", "y"))


def test_looking_up() -> None:
    parsed = Parsed((("a", ""), ("b", "1"), ("b", "2")), ("x",))
    assert parsed.has("a") and not parsed.has("x")
    assert parsed.last("b") == "2" and parsed.last("x") is None
    assert parsed.all("b") == ["1", "2"]

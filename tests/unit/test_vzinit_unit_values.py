"""Values of unit files that cannot be read: told, ignored, and nobody else's trouble."""

from pathlib import Path

import pytest

from vzinit import conditions, unit_values, unitfile, units
from vzinit.plan import BootPlan
from vzinit.unitfile import Unit

BAD = (
    "[Unit]\nStartLimitBurst=x\nStartLimitIntervalSec=soon\n",
    "[Service]\nRestart=sometimes\nKillMode=gently\nKillSignal=SIGNOTHING\nTimeoutStopSec=-1\nUMask=abc\nNice=99\n",
    "[Service]\nLimitNOFILE=many\nRuntimeDirectoryMode=rwx\nExecStartPre=/bin/a \\xzz\nRemainAfterExit=maybe\n",
    "[Service]\nRestartSec=1 fortnight\nOOMScoreAdjust=low\nEnvironment=A=\\xzz\n",
)
GOOD = "[Service]\nExecStart=/bin/true\nRestart=always\nUMask=0027\nKillSignal=SIGQUIT\n"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(unitfile, "DIRECTORIES", (str(tmp_path),))
    return tmp_path


def give(directory: Path, name: str, text: str) -> None:
    (directory / name).parent.mkdir(exist_ok=True)
    (directory / name).write_text(text)


@pytest.mark.parametrize("text", BAD)
def test_what_cannot_be_read_is_told_and_ignored(directory: Path, text: str) -> None:
    give(directory, "a.service", GOOD + text)
    unit = unit_values.load("a.service")
    assert unit
    begin = GOOD.count("\n") + 1  # the line of BAD's section
    lines = list(enumerate(text.splitlines(), begin))[1:]
    expected = {
        f"{directory}/a.service:{number}: Failed to parse {key}=, ignoring: {value}"
        for number, (key, _, value) in ((number, line.partition("=")) for number, line in lines)
    }
    assert set(unit.complaints) == expected
    made = units.attempt(unit)
    assert not isinstance(made, str)
    assert (made.restart, made.kill_signal, made.burst, made.interval) == ("always", 3, 5, 10.0)
    assert (made.kill_mode, made.stop_timeout, made.pre) == ("control-group", 90.0, [])
    assert made.options == {"UMask": ["0027"]}


def test_the_line_of_a_drop_in(directory: Path) -> None:
    give(directory, "a.service", GOOD)
    give(directory, "a.service.d/more.conf", "# two\n\n[Service]\nNice = low\n")
    unit = unit_values.load("a.service")
    assert unit
    assert unit.complaints == [f"{directory}/a.service.d/more.conf:4: Failed to parse Nice=, ignoring: low"]


def test_the_socket_of_a_service(directory: Path) -> None:
    give(directory, "a.service", GOOD + "Sockets=a.socket\n")
    give(directory, "a.socket", "[Socket]\nListenStream=/run/a\nSocketMode=rw\nBacklog=5\n")
    unit = unit_values.load("a.service")
    assert unit
    made = units.attempt(unit)
    assert not isinstance(made, str)
    assert made.options["Listen"] == ["ListenStream\n/run/a\n0666\n\n\n5\na.socket"]
    assert unit.complaints == [f"{directory}/a.socket:3: Failed to parse SocketMode=, ignoring: rw"]


def test_good_values_stay(directory: Path) -> None:
    text = GOOD + "LimitNOFILE=1K:infinity\nTimeoutSec=1min 5s\nNice=-5\nKillSignal=SIGRTMIN+3\nBacklog=x\n"
    give(directory, "a.service", text)
    unit = unit_values.load("a.service")
    assert unit
    assert unit.complaints == []
    assert unit.all("Service", "KillSignal") == ["SIGQUIT", "SIGRTMIN+3"]


@pytest.mark.parametrize("yes", ["True", "YES", "t", "Y", "on", "1"])
@pytest.mark.parametrize("no", ["False", "NO", "f", "N", "Off", "0"])
def test_booleans_as_systemd_takes_them(directory: Path, yes: str, no: str) -> None:
    give(directory, "a.service", f"{GOOD}Type=oneshot\nRemainAfterExit={yes}\nIgnoreSIGPIPE={no}\n")
    give(directory, "b.service", f"{GOOD}RemainAfterExit={no}\nSockets=b.socket\n")
    give(directory, "b.socket", f"[Socket]\nListenStream=/run/b\nAccept={yes}\n")
    first, second = unit_values.load("a.service"), unit_values.load("b.service")
    assert first and second and not first.complaints
    made = units.attempt(first)
    assert not isinstance(made, str)
    assert made.remain
    assert made.options["IgnoreSIGPIPE"] == [no]
    assert units.attempt(second) == "it is started for each connection"
    assert unitfile.is_true(yes) and not unitfile.is_true(no) and not unitfile.is_true("maybe")


@pytest.mark.parametrize(("value", "holds"), [("True", True), ("!container", False), ("No", False), ("!kvm", True)])
def test_a_container_is_virtual(value: str, holds: bool) -> None:
    assert conditions.check("Virtualization", value) is holds


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("SIGTERM", 15), ("INT", 2), ("9", 9), ("SIGRTMIN+3", 37), ("SIGRTMAX", 64), ("SIGRTMAX-1", 63),
        ("RTMAX-30", 34),
    ],
)
def test_signals(text: str, number: int) -> None:
    assert unit_values.signal(text) == number


NO_SIGNALS = ("SIG", "0", "65", "TERM+x", "TERM-1", "SIGRTMAX+1", "sigterm", "RTMAX-31", "RTMAX--1", "RTMIN-1")


@pytest.mark.parametrize("text", NO_SIGNALS)
def test_no_signals(text: str) -> None:
    with pytest.raises(ValueError):
        unit_values.signal(text)


def test_one_bad_unit_takes_no_other_with_it(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the boot: a value that cannot be read, a name that is none, and what nobody foresaw."""
    give(directory, "multi-user.target", "[Unit]\nWants=a.service b.service c@\\xzz.service d.service e.service\n")
    give(directory, "a.service", "[Unit]\nStartLimitBurst=x\n" + GOOD)
    give(directory, "b.service", GOOD)
    give(directory, "c@.service", GOOD + "PIDFile=/run/%I\n")
    give(directory, "d.service", "[Unit]\nConditionPathExists=/a\0b\n" + GOOD)
    give(directory, "e.service", GOOD)
    planned = units.planned
    monkeypatch.setattr(units, "planned", lambda unit: planned(unit) if unit.name != "e.service" else int("e"))
    found = BootPlan()
    units.from_image(found)
    assert [service.name for service in found.services] == ["a.service", "b.service", "c@\\xzz.service"]
    assert found.services[2].pid_file == "/run/\\xzz"
    assert f"{directory}/a.service:2: Failed to parse StartLimitBurst=, ignoring: x" in found.notes
    assert any(note.startswith("e.service: not run: it cannot be read") for note in found.notes)


def test_a_path_that_cannot_be_is_not_there() -> None:
    unit = Unit("a.service")
    unitfile.parse("[Unit]\nConditionPathExists=/a\0b\n", unit.values)
    assert conditions.unmet(unit) == "ConditionPathExists=/a\0b"

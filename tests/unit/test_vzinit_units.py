"""Unit files, inittab, init scripts: from text to plans, without a container."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vzinit import inittab, plan, prepare, supervise, unitfile, units, utmp
from vzinit.plan import BootPlan, Command, ServicePlan
from vzinit.unitfile import Unit


def unit(text: str, name: str = "test.service") -> Unit:
    made = Unit(name)
    unitfile.parse(text, made.values)
    return made


def test_sections_comments_continuations() -> None:
    made = unit(
        "# comment\n[Unit]\nDescription = a b \n; comment\n[Service]\nExecStart=/bin/x \\\n"
        "# in the middle\n  -y\nExecStart=/z\n"
    )
    assert made.last("Unit", "Description") == "a b"
    assert made.all("Service", "ExecStart") == ["/bin/x    -y", "/z"]


def test_an_empty_assignment_clears() -> None:
    made = unit("[Service]\nExecStart=/a\nExecStart=\nExecStart=/b\n")
    assert made.all("Service", "ExecStart") == ["/b"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("a  b", ["a", "b"]), ("'a b' \"c d\"", ["a b", "c d"]), (r"a\ b \x41\n", ["a b", "A\n"]), ("''", [""]), ("", []),
     ("it's", ["it's"]), ("a=\"b c\"", ['a="b', 'c"']), ("'open", ["open"]), ("end\\", ["end\\"])],
)  # fmt: skip
def test_split(text: str, words: list[str]) -> None:
    assert unitfile.split(text) == words


@given(st.text())
def test_split_never_fails_but_for_bad_hex(text: str) -> None:
    try:
        unitfile.split(text)
    except ValueError:
        assert "\\x" in text


@given(st.text())
def test_parse_never_fails(text: str) -> None:
    unitfile.parse(text, {})
    inittab.parse(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("500ms", 0.5),
        ("1min 30s", 90),
        ("1h30min", 5400),
        ("infinity", unitfile.FOREVER),
        ("", 7),
        ("soon", 7),
    ],
)
def test_seconds(text: str, value: float) -> None:
    assert unitfile.seconds(text, 7) == value


def test_specifiers() -> None:
    made = unit("[Service]\nExecStart=/x %i %I %p %n %N %t %% %q\n", "getty@dev-tty1.service")
    assert (
        made.last("Service", "ExecStart")
        == "/x dev-tty1 dev/tty1 getty getty@dev-tty1.service getty@dev-tty1 /run % %q"
    )
    assert unitfile.template_of("getty@tty1.service") == "getty@.service"


def test_debian_ssh() -> None:
    """The unit of openssh-server, Debian 12 and 13."""
    service = units.planned(
        unit(
            "[Unit]\nAfter=network.target auditd.service\nConditionPathExists=!/etc/ssh/sshd_not_to_be_run\n"
            "[Service]\nEnvironmentFile=-/etc/default/ssh\nExecStartPre=/usr/sbin/sshd -t\n"
            "ExecStart=/usr/sbin/sshd -D $SSHD_OPTS\nExecReload=/bin/kill -HUP $MAINPID\nKillMode=process\n"
            "Restart=on-failure\nRestartPreventExitStatus=255\nType=notify\nRuntimeDirectory=sshd\n",
            "ssh.service",
        )
    )
    assert (service.kind, service.kill_mode, service.restart) == ("notify", "process", "on-failure")
    assert service.no_restart_on == ["255"]
    assert service.pre[0].argv == ["/usr/sbin/sshd", "-t"]
    assert service.start[0].argv == ["/usr/sbin/sshd", "-D", "$SSHD_OPTS"]
    assert service.options["RuntimeDirectory"] == ["sshd"]


def test_exec_prefixes() -> None:
    made = unit("[Service]\nExecStart=-@/bin/sh shell -c x\nExecStart=!+:/bin/y $A\n")
    found = [(command.program, command.argv, command.flags) for command in units.commands(made, "ExecStart")]
    assert found == [("/bin/sh", ["shell", "-c", "x"], "-@"), ("/bin/y", ["/bin/y", "$A"], "!+:")]


@pytest.mark.parametrize(
    ("text", "why"),
    [("Type=later\nExecStart=/x", "later"), ("Type=simple", "ExecStart"),
     ("Type=oneshot\nExecStart=/x", "")],
)  # fmt: skip
def test_what_is_not_supported(text: str, why: str) -> None:
    found = units.unsupported(unit(f"[Service]\n{text}\n"))
    assert (why in found) if why else found == ""


def test_order_breaks_circles() -> None:
    names = ("a.service", "b.service", "c.service")
    services = [ServicePlan(name, "oneshot", []) for name in names]
    found = {
        "a.service": unit("[Unit]\nAfter=c.service\n"),
        "b.service": unit("[Unit]\nAfter=a.service other.service\n"),
        "c.service": unit("[Unit]\nAfter=b.service\nBefore=a.service\n"),
    }
    units.order(services, found)
    assert [service.after for service in services] == [["c.service"], ["a.service"], []]


def test_plan_survives_the_pipe() -> None:
    made = BootPlan()
    made.services = [ServicePlan("x", "simple", [Command(["a", "b"], "-")], after=["y"], options={"User": ["u"]})]
    made.prompt = ["-sh"]
    made.notes = ["note"]
    again = plan.load(plan.dump(made))
    assert (again.prompt, again.notes) == (made.prompt, made.notes)
    assert again.services[0].start[0].argv == ["a", "b"]
    assert again.services[0].start[0].flags == "-"


@pytest.mark.parametrize("data", [b"", b"x", b"\x00", plan.dump(BootPlan())[:-3]])
def test_a_broken_plan_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, EOFError, TypeError)):
        plan.load(data)


def test_expand() -> None:
    values = {"A": "1 2", "B": "", "C": "'x y' z"}
    assert prepare.expand(["$A", "${A}", "$B", "p${B}q", "$C", "$$A", "$none", "${none}"], values) == [
        "1", "2", "1 2", "pq", "x y", "z", "$A", "",
    ]  # fmt: skip


def test_environment_file() -> None:
    text = "A=1\n# B=2\n C = 3 \nD='a b'\nE=\"x\"\nF=a 'b\nno assignment\nG=\n"
    assert prepare.environment_file(text) == {"A": "1", "C": "3", "D": "a b", "E": "x", "F": "a 'b", "G": ""}


def test_order_leaves_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image with an inittab and units gets both, each in its own order."""
    made = BootPlan()
    inittab.add_to(made, "::sysinit:/etc/first\n::wait:/etc/second\n")
    before = [service.after for service in made.services]
    one = unit("[Unit]\nAfter=b.service\n[Service]\nExecStart=/a\n", "a.service")
    other = unit("[Service]\nExecStart=/b\n", "b.service")
    monkeypatch.setattr(units, "closure", lambda target: {"a.service": one, "b.service": other})
    assert units.from_image(made) == {"a", "b"}
    assert [service.after for service in made.services] == [*before, ["b.service"], []]


def test_busybox_inittab() -> None:
    found = BootPlan()
    inittab.add_to(found, "null::respawn:/sbin/syslogd -n\n::sysinit:/etc/init.d/rcS\n"
                          "tty1::respawn:/sbin/getty 38400 tty1\n"
                          "::askfirst:-/bin/sh\n::shutdown:/bin/sync\n::ctrlaltdel:/sbin/reboot\n")  # fmt: skip
    names = [service.name for service in found.services]
    assert names == ["inittab:2:rcS", "inittab:1:syslogd", "inittab:shutdown"], "sysinit comes first wherever it stands"
    assert found.services[1].after == names[:1]
    assert (found.services[1].restart, found.services[1].options["StandardOutput"]) == ("always", ["null"])
    assert found.services[2].after == names[:2], "it is stopped before them"
    assert found.prompt == ["-/bin/sh"]


def test_alpine_inittab() -> None:
    """OpenRC's runlevels are not for the inittab to bring up."""
    found = BootPlan()
    inittab.add_to(found, "::sysinit:/sbin/openrc sysinit\n::sysinit:/sbin/openrc boot\n::wait:/sbin/openrc default\n"
                          "tty1::respawn:/sbin/getty 38400 tty1\n::respawn:/bin/mine\n"
                          "::shutdown:/sbin/openrc shutdown\n")  # fmt: skip
    assert [service.name for service in found.services] == ["inittab:5:mine"]


@pytest.mark.parametrize(
    ("restart", "code", "signal", "again"),
    [("no", 1, 0, False), ("always", 0, 0, True), ("on-failure", 0, 0, False), ("on-failure", 1, 0, True),
     ("on-failure", 0, 9, True), ("on-failure", 0, 15, False), ("on-abnormal", 1, 0, False),
     ("on-abnormal", 0, 11, True),
     ("on-abort", 0, 9, False), ("on-abort", 0, 6, True), ("on-success", 0, 0, True), ("always", 255, 0, False)],
)  # fmt: skip
def test_restart(restart: str, code: int, signal: int, again: bool) -> None:
    service = ServicePlan("x", "simple", [], restart=restart, no_restart_on=["255"])
    clean = supervise.is_clean(service, code, signal)
    result = "success" if clean else "signal" if signal else "exit-code"
    assert supervise.wants_restart(service, result, code, signal) is again


def test_restart_limit() -> None:
    service = ServicePlan("x", "simple", [], burst=3, interval=10.0)
    starts = [0.0, 1.0, 2.0]
    assert not supervise.within_limit(service, starts, 3.0)
    assert supervise.within_limit(service, starts, 10.5)
    assert starts == [1.0, 2.0]


def test_utmp_record() -> None:
    """The layout that glibc reads: `who -r` and `runlevel` are the proof, on a machine that has them."""
    short = utmp.record(utmp.RUN_LVL, 50, b"~", b"~~", b"runlevel", machine="x86_64", now=1.5)
    assert len(short) == 384
    assert (short[44:52], short[340:348]) == (b"runlevel", b"\1\0\0\0\x20\xa1\7\0")
    assert len(utmp.record(utmp.RUN_LVL, 50, machine="aarch64")) == (400 if os.sysconf("SC_LONG_BIT") == 64 else 384)

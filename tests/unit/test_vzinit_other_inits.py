"""What the planner makes of an image of OpenRC or runit."""

from pathlib import Path

import pytest

from vzinit import fds, openrc, planner, runit
from vzinit.plan import BootPlan, ServicePlan

UP = {"sysinit": ("hwclock.sh", "devfs"), "boot": ("syslog", "net.lo"), "default": ("sshd", "no-script")}
DOWN = {"shutdown": ("killprocs", "savecache")}


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BootPlan:
    """Of runlevels UP and DOWN, with a script for each name but one."""
    for level, names in (UP | DOWN).items():
        (tmp_path / "runlevels" / level).mkdir(parents=True)
        for name in names:
            (tmp_path / "runlevels" / level / name).touch()
            (tmp_path / name).touch(mode=0o755 if name != "no-script" else 0o644)
    monkeypatch.setattr(openrc, "RUNLEVELS", f"{tmp_path}/runlevels")
    monkeypatch.setattr(openrc, "SCRIPTS", str(tmp_path))
    monkeypatch.setattr(openrc, "STARTED", f"{tmp_path}/started")
    found = BootPlan()
    openrc.from_image(found)
    return found


def lines(service: ServicePlan, commands: str, place: Path) -> list[str]:
    """Command lines, with the names that they have below *place*, in order of the alphabet."""
    found = []
    for command in getattr(service, commands):
        paths = sorted(word.removeprefix(f"{place}/") for word in command.argv if word.startswith(str(place)))
        found.append(" ".join([*(word for word in command.argv if not word.startswith(str(place))), *paths]))
    return found


def test_openrc_goes_up_and_down_and_leaves_the_host_alone(plan: BootPlan, tmp_path: Path) -> None:
    down, up = plan.services
    assert lines(up, "start", tmp_path) == [
        "ln -sf devfs hwclock.sh started", "/sbin/openrc sysinit", "ln -sf net.lo started", "/sbin/openrc boot",
        "/sbin/openrc default",
    ]  # fmt: skip
    assert lines(down, "stop", tmp_path) == [
        "rm -f started/devfs started/hwclock.sh started/net.lo", "ln -sf killprocs started", "/sbin/openrc shutdown",
    ]  # fmt: skip
    assert down.remain, "it is up from the start: a boot that is cut off is taken down, too"
    assert up.after == [down.name]


def test_each_of_openrcs_services_can_fail(plan: BootPlan) -> None:
    openrc.report_failures(plan)
    looks = plan.services[2:]
    assert [(look.name, look.after) for look in looks] == [("sshd", ["openrc"]), ("syslog", ["openrc"])]


def test_host_keys_for_a_sshd_that_openrc_starts(plan: BootPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fds, "listdir", lambda _path: [])
    planner.make_host_keys(plan)
    assert [bool(service.pre) for service in plan.services] == [False, True]


def test_runit_has_supervisors_but_no_prompts(tmp_path: Path) -> None:
    for name in ("ssh", "getty-tty1", "agetty-tty2", ".off"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert runit.services(str(tmp_path)) == ["ssh"]
    made = runit.supervisor(str(tmp_path), "ssh", ["first"])
    assert (made.start[0].argv, made.options, made.after) == (
        ["runsv", "ssh"], {"WorkingDirectory": [str(tmp_path)]}, ["first"],
    )  # fmt: skip


@pytest.mark.parametrize(("stop", "reboot", "how"), [(0, 0, ""), (0o100, 0, "halt"), (0o100, 0o100, "reboot"),
                                                      (0, 0o100, "")])  # fmt: skip
def test_what_runit_init_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int, reboot: int, how: str
) -> None:
    monkeypatch.setattr(runit, "ASKED", (("/no/such", "/file"), (f"{tmp_path}/stop", f"{tmp_path}/reboot")))
    assert runit.asked_for() == ""
    (tmp_path / "stop").touch(mode=stop)
    (tmp_path / "reboot").touch(mode=reboot)
    assert runit.asked_for() == how


@pytest.mark.parametrize(
    ("init", "has_openrc", "first"),
    [("runit-init", False, "runit"), ("runit-init", True, "runit"), ("init", True, "openrc"), ("", True, "openrc"),
     ("systemd", True, "units"), ("init", False, "units")],
)  # fmt: skip
def test_whose_definitions_count(
    monkeypatch: pytest.MonkeyPatch, init: str, has_openrc: bool, first: str
) -> None:
    monkeypatch.setattr(openrc, "is_here", lambda: has_openrc)
    sources = planner.sources_of(init)
    found = "runit" if runit.from_image in sources else "openrc" if openrc.from_image in sources else "units"
    assert found == first

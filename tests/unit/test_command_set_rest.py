"""vzctl set: restarts, samples, and what is said."""

from collections.abc import Set

import pytest

from hostd.config.model import CtConfig
from hostd.config.veconf import VeConf
from hostd.errors import Failure
from tests.harness.fake_host import Fake, Said

DOWN = "Unable to apply UBC parameters: container is not running\n"
LOST = "WARNING: Settings were not saved to config and will be lost after CT restart (use --save flag)\n"


def saved(fake: Fake, ctid: int = 101) -> str:
    return f"CT configuration saved to {fake.paths.ct_conf(ctid)}\n"


def test_what_needs_a_restart(fake: Fake) -> None:
    fake.up(101, "A=1\n")
    assert fake.ctl("set", "101", "--privileged", "yes").code == 32
    assert fake.conf(101) == "A=1\n"
    said = fake.ctl("set", "101", "--privileged", "yes", "--save")
    assert said.code == 0 and "--setmode restart" in said.stdout and said.stderr == ""
    assert fake.ctl("set", "101", "--privileged", "no", "--save", "--setmode", "ignore").code == 32
    assert fake.asked() == ["apply", "apply"]
    said = fake.ctl("set", "101", "--privileged", "yes", "--save", "--setmode", "restart")
    assert said.code == 0 and "Restarting container\n" in said.stdout
    assert fake.asked() == ["apply", "apply", "apply", "stop", "start"]
    assert 'PRIVILEGED="yes"' in fake.conf(101)


def test_what_nothing_enforces_yet_is_not_promised_for_the_next_start(fake: Fake) -> None:
    fake.up(101, "A=1\n")
    option, value = "--features nfs ppp", "nfs:on,ppp:off"
    name = option.partition(" ")[0]
    said = fake.ctl("set", "101", name, value)
    assert said == Said(21, "", f"{option} is not enforced yet; with --save it is kept in the configuration\n")
    said = fake.ctl("set", "101", name, value, "--save", "--setmode", "restart")
    assert said.code == 0 and f"Warning: {option} is stored, and not enforced yet\n" in said.stdout
    assert "stop" not in fake.asked()


@pytest.mark.parametrize("option", ["--root", "--private"])
def test_places_do_not_change_while_running(fake: Fake, option: str) -> None:
    fake.up(101, "A=1\n")
    assert fake.ctl("set", "101", option, "/srv/x", "--save").code == 32
    assert fake.conf(101) == "A=1\n"
    fake.ct(101)
    assert fake.ctl("set", "101", option, "/srv/x", "--save").code == 0


def test_applyconfig(fake: Fake) -> None:
    fake.ct(101, 'HOSTNAME="h"\nCPUUNITS="8"\nOSTEMPLATE="t"\n')
    said = fake.ctl(
        "set", "101", "--applyconfig", "vswap-512m", "--netfilter", "full", "--hostname", "x", "--save"
    )
    assert said.code == 0
    conf = fake.conf(101)
    for line in ('PHYSPAGES="0:131072"', 'NETFILTER="stateless"', 'HOSTNAME="x"', 'CPUUNITS="1000"',
                 'OSTEMPLATE="t"', 'ORIGIN_SAMPLE="vswap-512m"'):  # fmt: skip
        assert line in conf.splitlines()
    path = fake.paths.sample_conf("none")
    said = fake.ctl("set", "101", "--applyconfig", "none", "--save")
    assert said == Said(109, "", f"Sample config file not found: {path}\n") and fake.conf(101) == conf


SAMPLE = '''PHYSPAGES="0:25600"
PRIVVMPAGES="1000"
NUMFLOCK="9223372036854775807"
QUOTATIME="0"
IOLIMIT="0"
NETIF="eth0"
DISKSPACE="3000000:3000000"
PRIVILEGED="yes"
VE_LAYOUT="simfs"
'''


@pytest.fixture
def sample(fake: Fake) -> None:
    with open(fake.paths.sample_conf("x"), "w", encoding="ascii") as file:
        file.write(SAMPLE)


def test_what_of_a_sample_does_not_take_effect_is_said(fake: Fake, sample: None) -> None:
    path = fake.up(101, 'VE_LAYOUT="overlay"\n')
    said = fake.ctl("set", "101", "--applyconfig", "x", "--save")
    assert said.code == 0 and said.stdout.splitlines()[:3] == [
        "UB limits were set successfully",
        "Setting iolimit: 0 bytes/sec",
        "Warning: of the sample x, stored and not enforced yet: PRIVVMPAGES NETIF",
    ]
    assert "Warning: --diskspace --privileged takes effect after a restart" in said.stdout
    assert 'VE_LAYOUT="overlay"' in fake.conf(101) and "simfs" not in fake.conf(101)
    assert 'NETIF="eth0"' in fake.conf(101) and path


def test_a_sample_can_ask_for_a_restart(fake: Fake, sample: None) -> None:
    fake.up(101, 'SWAPPAGES="0:1000"\n')
    fake.ctl("set", "101", "--applyconfig", "x", "--save", "--setmode", "restart")
    assert fake.asked() == ["apply", "stop", "start"]


def test_what_could_not_start_again_is_not_stopped(fake: Fake, sample: None) -> None:
    fake.up(101, "A=1\n")
    said = fake.ctl("set", "101", "--applyconfig", "x", "--save", "--setmode", "restart")
    assert said.code == 28 and "UBC parameters are missing" in said.stderr
    assert fake.asked() == ["apply"]


def test_a_sample_that_is_not_saved(fake: Fake, sample: None) -> None:
    fake.up(101, "A=1\n")
    said = fake.ctl("set", "101", "--applyconfig", "x")
    waiting = "PRIVVMPAGES NUMFLOCK QUOTATIME NETIF DISKSPACE PRIVILEGED"
    assert said.code == 0 and f"Warning: of the sample x, without --save nothing becomes of {waiting}\n" in said.stdout
    assert fake.host.changes[0].keys == {"PHYSPAGES", "IOLIMIT"} and fake.conf(101) == "A=1\n"


def test_nothing_asked_of_what_is_not_enforced(fake: Fake) -> None:
    """No limit is there already; none at all of something is a limit."""
    fake.up(101, "A=1\n")
    assert fake.ctl("set", "101", "--quotatime", "0").code == 0
    for text in ("unlimited", "unlimited:unlimited", "9223372036854775807"):
        assert fake.ctl("set", "101", "--kmemsize", text).code == 0
    for option in ("--numflock", "--dcachesize"):
        said = fake.ctl("set", "101", option, "0")
        assert said.code == 21 and f"{option} is not enforced yet" in said.stderr
    assert "UB limits" not in fake.ctl("set", "101", "--numiptent", "100", "--save").stdout


def test_a_sample_of_openvz_is_stored_in_plain_numbers(fake: Fake) -> None:
    """libvirt reads no suffixes; a number without one is what the file says, not what an option would mean."""
    sample = (
        'PHYSPAGES="0:256M"\nSWAPPAGES="0:512M"\nKMEMSIZE="1M"\nPRIVVMPAGES="unlimited"\nDISKSPACE="2G:2.2G"\n'
        'DISKINODES="131072:144179"\nIOLIMIT="10M"\nCPUUNITS="1000" # usual\n'
    )
    plain = (
        'PHYSPAGES="0:65536"\nSWAPPAGES="0:131072"\nKMEMSIZE="1048576"\nPRIVVMPAGES="unlimited"\n'
        'DISKSPACE="2097152:2306867"\nDISKINODES="131072:144179"\nIOLIMIT="10485760"\n'
    )
    VeConf.parse(sample).save(fake.paths.sample_conf("old"))
    fake.ct(101)
    assert fake.ctl("set", "101", "--applyconfig", "old", "--save").code == 0
    assert set(plain.splitlines()) <= set(fake.conf(101).splitlines())
    assert fake.ctl("create", "102", "--config", "old").code == 0
    assert fake.conf(102).startswith(f'{plain}CPUUNITS="1000" # usual\n'), "and the rest as it stands there"


def test_reset_ub(fake: Fake) -> None:
    fake.up(101, 'PHYSPAGES="0:256"\n')
    assert fake.ctl("set", "101", "--reset_ub") == Said(0, "UB limits were set successfully\n", "")
    (change,) = fake.host.changes
    assert {"PHYSPAGES", "NUMPROC"} <= change.keys and change.before.ram == change.after.ram == 1 << 20
    said = fake.ctl("set", "101", "--reset_ub", "--save")
    assert said == Said(20, "", "Error: option --reset_ub is exclusive\n")


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["--setmode", "restart", "--onboot", "yes"], 20),
        (["--setmode", "later", "--save"], 21),
        (["--ostemplate", "x"], 20),
        (["--stop-timeout", "5"], 20),
        (["--applyconfig_map", "x", "--save"], 21),
        (["--diskspace", "5G"], 20),
        (["x"], 20),
    ],
)
def test_options_that_do_not_go_together(fake: Fake, argv: list[str], code: int) -> None:
    fake.up(101, "A=1\n")
    assert fake.ctl("set", "101", *argv).code == code
    assert fake.conf(101) == "A=1\n" and fake.asked() == []


def test_what_is_not_enforced_is_said(fake: Fake) -> None:
    fake.ct(101)
    said = fake.ctl("set", "101", "--quotatime", "5", "--kmemsize", "10M:11M", "--save")
    warnings = "".join(f"Warning: --{name} is stored, and not enforced yet\n" for name in ("quotatime", "kmemsize"))
    assert said == Said(0, warnings + saved(fake), "")
    assert fake.conf(101) == 'KMEMSIZE="10485760:11534336"\nQUOTATIME="5"\n'
    assert "Warning" not in fake.ctl("set", "101", "--quotatime", "0", "--save").stdout


def test_what_is_not_enforced_is_refused_where_it_cannot_be_stored(fake: Fake) -> None:
    fake.up(101)
    said = fake.ctl("set", "101", "--dcachesize", "5")
    assert said.code == 21
    assert "--dcachesize is not enforced yet; with --save it is kept in the configuration" in said.stderr
    assert fake.asked() == []


def test_what_runs_decides_what_is_enforced_of_a_set_that_is_not_saved(fake: Fake) -> None:
    """SWAPPAGES without a limit of RAM, as a rule of the host's: by what runs, and not by what the file says."""

    def unkept(config: CtConfig, keys: Set[str]) -> list[str]:
        return ["Warning: SWAPPAGES is only stored"] if config.ram is None else []

    fake.host.unkept = unkept  # type: ignore[method-assign]
    fake.up(101)
    fake.host.states[101] = fake.host.facts(101)._replace(live={"PHYSPAGES": "0:1000"})
    assert "only stored" not in fake.ctl("set", "101", "--swap", "64M").stdout
    assert "only stored" in fake.ctl("set", "101", "--swap", "64M", "--save").stdout


def test_limits_are_told(fake: Fake) -> None:
    fake.up(101)
    said = fake.ctl("set", "101", "--ram", "256M", "--numproc", "9", "--cpulimit", "50", "--cpus", "2")
    assert said.stdout == "UB limits were set successfully\nSetting CPU limit: 50\nSetting CPUs: 2\n" + LOST
    (change,) = fake.host.changes
    assert (change.after.ram, change.after.numproc, change.before.ram) == (256 << 20, 9, None)


def test_quiet(fake: Fake) -> None:
    fake.ct(101)
    assert fake.ctl("--quiet", "set", "101", "--onboot", "yes", "--save") == Said(0, "", "")
    assert fake.ctl("--quiet", "set", "101", "--onboot", "x", "--save") == Said(21, "", "")


def test_a_broken_file_can_be_repaired(fake: Fake) -> None:
    fake.ct(101, 'CPUUNITS="heavy"\nIP_ADDRESS="300.1.1.1 192.0.2.1"\n')
    assert fake.ctl("set", "101", "--cpuunits", "1000", "--ipadd", "192.0.2.2", "--save").code == 0
    assert fake.conf(101) == 'CPUUNITS="1000"\nIP_ADDRESS="192.0.2.1 192.0.2.2"\n'


def test_a_new_size_of_the_disk(fake: Fake) -> None:
    """On a stopped container at once; when that fails, nothing is written.  A running one waits for its restart."""
    fake.ct(101)
    argv = ("set", "101", "--diskspace", "1G", "--save")
    assert fake.ctl(*argv) == Said(0, saved(fake), "")
    assert fake.host.calls == [("resize", 101, (1048576, 1048576))]
    fake.host.failure = Failure(46, "no")
    failed = fake.ctl("set", "101", "--diskspace", "2G", "--save")
    text = "no\nError: failed to apply some parameters, not saving configuration file!\n"
    assert failed == Said(46, "", text)
    assert fake.conf(101) == 'DISKSPACE="1048576:1048576"\n'
    fake.host.failure = None
    fake.up(102)
    said = fake.ctl("set", "102", "--diskspace", "2G", "--save").stdout
    assert said.splitlines()[-1].startswith("Warning: --diskspace takes effect after a restart")
    assert "resize" not in fake.asked()[2:]


@pytest.mark.parametrize("words", ["--diskspace 20", "--diskspace 20T", "--diskspace unlimited",
                                   "--diskinodes 99999999999"])  # fmt: skip
def test_a_disk_that_cannot_be_is_refused(fake: Fake, words: str) -> None:
    """By a running container as well, which would have it after its restart."""
    fake.up(101, "A=1\n")
    said = fake.ctl("set", "101", *words.split(), "--save")
    assert said.code == 21 and " must be " in said.stderr and fake.conf(101) == "A=1\n"
    fake.up(102, 'VE_LAYOUT="simfs"\n')
    assert fake.ctl("set", "102", *words.split(), "--save").code == 0, "which has no disk of its own"


def test_a_container_without_a_disk_is_only_written(fake: Fake) -> None:
    assert fake.ctl("set", "101", "--diskspace", "1G", "--save").code == 0
    assert fake.asked() == []


def test_what_a_disk_does_not_follow_is_told(fake: Fake) -> None:
    """simfs limits nothing; an overlay keeps its inodes."""
    simfs = "Warning: layout simfs does not enforce {}; layout overlay does\n"
    fake.up(101, 'VE_LAYOUT="simfs"\nDISKSPACE="1G"\n')
    said = fake.ctl("set", "101", "--diskinodes", "9", "--save")
    assert said == Said(0, saved(fake) + simfs.format("DISKINODES"), "")
    said = fake.ctl("set", "101", "--diskinodes", "9", "--diskspace", "2G", "--save")
    assert said == Said(0, saved(fake) + simfs.format("DISKSPACE and DISKINODES"), "")
    assert "simfs" not in fake.ctl("set", "101", "--onboot", "yes", "--save").stdout
    fake.ct(102)
    fake.host.inodes = 4242
    line = (
        'Warning: DISKINODES="9:9" is only stored: the disk has 4242 inodes, '
        "and their number follows its size (--diskspace)\n"
    )
    assert fake.ctl("set", "102", "--diskinodes", "9", "--save") == Said(0, saved(fake, 102) + line, "")
    assert fake.ctl("set", "103", "--diskinodes", "9", "--save").stdout == saved(fake, 103)  # no disk yet


def test_a_disk_beside_another_bad_value_is_saved(fake: Fake) -> None:
    fake.ct(101, 'CPUUNITS="heavy"\n')
    assert fake.ctl("set", "101", "--diskinodes", "9", "--save") == Said(0, saved(fake), "")


def test_of_the_host_everything_is_only_kept(fake: Fake) -> None:
    said = fake.ctl("set", "0", "--cpuunits", "2000", "--save")
    warning = "Warning: CT 0 is the host: what is set for it is only kept\n"
    assert said.code == 0 and f"{warning}Its CPU weight is VE0CPUUNITS of {fake.paths.vz_conf}\n" in said.stdout
    said = fake.ctl("set", "0", "--description", "here", "--save")
    assert said.stdout.endswith(warning)

"""What runs, and what the files say of it."""

from hostd.config import live
from hostd.config.model import GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf


def test_what_runs_over_what_the_file_says() -> None:
    conf = VeConf.parse('HOSTNAME="new"\nCPUS="2"\nONBOOT="yes"\n')
    found = live.over(conf, {"HOSTNAME": "old", "CPUS": "", "NUMPROC": "40:40"})
    assert [found.get(key) for key in ("HOSTNAME", "CPUS", "NUMPROC", "ONBOOT")] == ["old", None, "40:40", "yes"]
    assert conf.get("HOSTNAME") == "new", "it is a copy"


def test_what_a_resumed_container_gets() -> None:
    """It goes on as it ran; what was set meanwhile counts."""
    then = {"HOSTNAME": "not saved", "CPUS": "2", "NUMPROC": "40"}
    said_then = {"HOSTNAME": "saved", "CPUS": "2", "NUMPROC": ""}
    says_now = {"HOSTNAME": "saved", "CPUS": "4", "NUMPROC": "", "CPULIMIT": "7"}
    assert live.resumed(then, said_then, says_now) == {
        "HOSTNAME": "not saved", "CPUS": "4", "NUMPROC": "40", "CPULIMIT": "7"
    }  # fmt: skip
    assert live.resumed({}, {}, says_now) == says_now, "a checkpoint that does not say"


def test_features_are_those_of_the_start() -> None:
    """A restore is none."""
    tun, none = {"FEATURES": "tun:on"}, {"FEATURES": ""}
    globals = GlobalConfig.from_conf(Paths("/p"), VeConf())
    started = live.texts(effective(101, VeConf.parse('FEATURES="tun:on"\n'), globals), globals)
    assert started["FEATURES"] == "tun:on"
    assert live.resumed(tun, tun, none) == tun
    assert live.resumed(none, none, tun) == none
    assert live.resumed({}, {}, tun) == tun, "an older checkpoint, which does not say"


def test_what_runs_without_a_key_got_no_default_of_it_since() -> None:
    globals = GlobalConfig.from_conf(Paths("/p"), VeConf.parse('PHYSPAGES="0:65536"\nNUMPROC="9"\n'))
    had = live.running(101, VeConf.parse('CPUS="2"\n'), {"PHYSPAGES": "", "CPUS": "1"}, globals)
    assert (had.ram, had.cpus) == (None, 1)
    assert had.numproc == 9, "of a key that is not told of, the files speak"

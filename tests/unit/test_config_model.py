"""Typed configuration, its cache, the paths and the default tree."""

import os

import pytest

from hostd.config import skeleton
from hostd.config.cache import ConfCache
from hostd.config.model import CtConfig, GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.settings import BY_OPTION
from hostd.config.values import UNLIMITED
from hostd.config.veconf import VeConf
from hostd.errors import BadConfig, NoConfig, NoGlobalConfig

GLOBALS = GlobalConfig.from_conf(
    Paths("/p"), VeConf.parse("CPUUNITS=500\nNAME=x\nNETFILTER=full\n", "vz.conf")
)


def ct(text: str) -> CtConfig:
    return effective(101, VeConf.parse(text, "/c/101.conf"), GLOBALS)


def test_units() -> None:
    config = ct(
        'PHYSPAGES="0:65536"\nSWAPPAGES="0:131072"\nNUMPROC="100:120"\nDISKSPACE="2G:2.2G"\nONBOOT=yes\n'
    )
    assert (config.ram, config.swap, config.numproc) == (256 << 20, 512 << 20, 120)
    assert config.diskspace_kib == (2097152, 2306867)
    assert config.onboot is True


def test_units_of_what_no_cgroup_holds() -> None:
    config = ct('LOCKEDPAGES="10:20"\nSHMPAGES=1M\nNUMPTY=16\nNUMSIGINFO="256:unlimited"\nVMGUARPAGES="5:unlimited"\n')
    assert (config.lockedpages, config.shmpages, config.numpty) == (20 * 4096, 1 << 20, 16)
    assert (config.numsiginfo, config.vmguarpages, config.oomguarpages) == (None, 5 * 4096, 0)


@pytest.mark.parametrize(
    ("text", "bytes"),
    [
        ("unlimited", None),
        ("2147483647", None),
        (f"{UNLIMITED}:{UNLIMITED}", None),
        (f"{2**51}:unlimited", None),
        ("5:unlimited", 5 * 4096),
        ("0:unlimited", 0),
    ],
)
def test_a_guarantee_is_a_number(text: str, bytes: int | None) -> None:
    config = ct(f"VMGUARPAGES={text}\nOOMGUARPAGES={text}\n")
    assert (config.vmguarpages, config.oomguarpages) == (bytes, bytes)


@pytest.mark.parametrize(
    ("text", "bytes"), [("5242880", 5 << 20), ("5M", 5 << 20), ("unlimited", 0), ("9T", 2**31 - 1), ("0", 0)]
)
def test_rates_in_a_file_are_bytes(text: str, bytes: int) -> None:
    assert ct(f'IOLIMIT="{text}"\n').iolimit == bytes


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", None),
        ("MEMINFO=none\n", UNLIMITED),
        ("MEMINFO=pages:0\n", UNLIMITED),
        ("MEMINFO=pages:300\nPHYSPAGES=0:100\n", 300 * 4096),
        ("MEMINFO=privvmpages:2\nPRIVVMPAGES=300:400\n", 600 * 4096),
        ("MEMINFO=privvmpages:2\n", UNLIMITED),
        ("MEMINFO=privvmpages:2\nPRIVVMPAGES=2147483647\n", UNLIMITED),
        (f"MEMINFO=pages:{10**18}\n", UNLIMITED),
    ],
)
def test_memory_that_is_shown(text: str, shown: int | None) -> None:
    assert ct(text).meminfo == shown


def test_unlimited_of_a_32_bit_kernel_is_none() -> None:
    """2^31 - 1 pages or items; as many bytes are a limit."""
    keys = ("PHYSPAGES", "SWAPPAGES", "LOCKEDPAGES", "SHMPAGES", "NUMPROC", "NUMTCPSOCK", "NUMOTHERSOCK", "NUMFILE")
    config = ct("".join(f'{key}="0:2147483647"\n' for key in (*keys, "NUMPTY", "NUMSIGINFO")) + "IOLIMIT=2147483647\n")
    assert {getattr(config, key.lower(), None) for key in keys} | {config.ram, config.swap, config.numpty} == {None}
    assert config.iolimit == 2**31 - 1 and config.numsiginfo is None
    assert ct('PHYSPAGES="0:2147483646"\n').ram == 2147483646 * 4096


@pytest.mark.parametrize("text", ["PHYSPAGES=0", "PHYSPAGES=5:0", "NUMPROC=0"])
def test_nothing_to_run_with_is_refused_as_by_set(text: str) -> None:
    key, _, value = text.partition("=")
    with pytest.raises(ValueError, match="must be more than 0"):
        BY_OPTION[key.lower()].parse(value)
    with pytest.raises(BadConfig, match="must be more than 0"):
        ct(f"{text}\n")


def test_unlimited_is_none() -> None:
    config = ct('PHYSPAGES="unlimited"\nSWAPPAGES="0:2251799813685248"\nNUMPROC="unlimited"\n')
    assert (config.ram, config.swap, config.numproc) == (None, None, None)
    assert ct("").ram is None


def test_defaults_come_from_vz_conf_but_not_what_is_of_one_container() -> None:
    config = ct("")
    assert config.cpuunits == 500 and config.name == ""
    assert (config.layout, config.stop_timeout, config.privileged) == ("overlay", 120, False)
    assert ct("CPUUNITS=8\n").cpuunits == 8
    bare = effective(101, VeConf.parse(""), GlobalConfig.from_conf(Paths("/p"), VeConf.parse("")))
    assert (bare.cpuunits, bare.cpulimit, bare.cpus) == (1000, 0, 0)


def test_places_are_expanded_below_the_prefix() -> None:
    assert ct("").private == "/p/var/lib/vz/private/101"
    assert ct('VE_PRIVATE="/srv/$VEID/x"\nVE_ROOT="/p/r/${VEID}"\n').private == "/p/srv/101/x"
    assert ct('VE_ROOT="/p/r/${VEID}"\n').root == "/p/r/101"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("IP_ADDRESS", "300.1.2.3"),
        ("CPUUNITS", "heavy"),
        ("CPUUNITS", "7"),
        ("CPUUNITS", "500001"),
        ("CPUS", "-1"),
        ("CPUMASK", "3-1"),
        ("NODEMASK", "auto"),
        ("IOPRIO", "8"),
        ("IOLIMIT", "-1"),
        ("IOLIMIT", "0.5"),
        ("DEVICES", "c:10:229"),
        ("DEVNODES", "../fuse:rw"),
        ("DISKSPACE", "much"),
        ("PHYSPAGES", "0:x"),
        ("ONBOOT", "perhaps"),
        ("VE_LAYOUT", "ploop"),
        ("NAMESERVER", "x"),
        ("CAPABILITY", "FLY:on"),
        ("PRIVILEGED", "1"),
        ("STOP_TIMEOUT", "soon"),
    ],
)
def test_garbage_names_file_key_and_value(key: str, value: str) -> None:
    with pytest.raises(BadConfig) as error:
        ct(f'{key}="{value}"\n')
    assert error.value.message.startswith(f'/c/101.conf:1: {key}="{value}": ')
    assert error.value.exit_code == 85


def test_missing_files(tmp_path: os.PathLike[str]) -> None:
    paths = Paths(str(tmp_path))
    with pytest.raises(NoGlobalConfig, match=r"vz\.conf") as missing:
        GlobalConfig.load(paths)
    assert missing.value.exit_code == 10
    skeleton.install(paths)
    with pytest.raises(NoConfig, match=r"^Container config file does not exist$") as absent:
        CtConfig.load(paths, 101, globals=GlobalConfig.load(paths))
    assert absent.value.exit_code == 14


def test_vz_conf_moves_directories_below_the_prefix() -> None:
    raw = VeConf.parse(
        'LOCKDIR="/l"\nDUMPDIR="/p/d"\nTEMPLATE="/t"\nVE_PRIVATE="/vz/$VEID"\nLOGFILE="/log"\n'
    )
    paths = GlobalConfig.from_conf(Paths("/p"), raw).paths
    assert (paths.lock_dir, paths.dump_dir, paths.template_cache) == ("/p/l", "/p/d", "/p/t/cache")
    assert (paths.private_default, paths.log_file, paths.tag) == ("/p/vz/$VEID", "/p/log", Paths("/p").tag)


def test_the_weight_of_the_host() -> None:
    """OpenVZ's default where nobody says it."""
    assert [GlobalConfig.from_conf(Paths(), VeConf.parse(text)).host_cpuunits
            for text in ("", 'VE0CPUUNITS="2500"\n', 'VE0CPUUNITS="7"\n', 'VE0CPUUNITS="1000000"\n')
    ] == [1000, 2500, 8, 500000]  # fmt: skip
    with pytest.raises(BadConfig, match="VE0CPUUNITS"):
        GlobalConfig.from_conf(Paths(), VeConf.parse('VE0CPUUNITS="many"\n'))


def test_names_outside_of_the_file_system() -> None:
    real, other = Paths(), Paths("/some/prefix")
    assert (real.cgroup_root, real.veth(101), real.tag) == ("vz", "ve101", "")
    assert other.cgroup_root == f"vz-{other.tag}" and len(other.tag) == 8
    assert len(other.veth(2147483644)) <= 15
    assert Paths("/some/prefix/").tag == other.tag != Paths("/some/prefiy").tag
    assert (real.vz_conf, other.vz_conf) == ("/etc/vz/vz.conf", "/some/prefix/etc/vz/vz.conf")
    assert other.below("/some/prefix/x") == "/some/prefix/x"
    assert other.below("/some/prefixes") == "/some/prefix/some/prefixes"


def test_the_default_tree(tmp_path: os.PathLike[str]) -> None:
    paths = Paths(str(tmp_path))
    assert skeleton.install(paths) is True
    globals = GlobalConfig.load(paths)
    assert globals.layout == "overlay" and globals.config_file == "basic" and globals.nat is False
    assert globals.paths.lock_dir == paths.lock_dir and os.path.isdir(paths.lock_dir)
    assert os.stat(f"{tmp_path}/var/lib/vz/private").st_mode & 0o777 == 0o700
    assert not os.path.exists(f"{tmp_path}/var/lib/vz/private/$VEID")
    assert VeConf.load(paths.ct_conf(0)).get("CPUUNITS") == "1000"
    names = "basic light vswap-256m vswap-512m vswap-1024m vswap-1g vswap-2g vswap-4g"
    assert [f"ve-{name}.conf-sample" for name in names.split()] == list(skeleton.SAMPLES)
    for name in names.split():
        config = effective(1, VeConf.load(paths.sample_conf(name)), globals)
        assert config.ram and config.numproc and config.diskspace_kib and config.onboot is False, name
    assert effective(1, VeConf.load(paths.sample_conf("vswap-256m")), globals).ram == 256 << 20
    assert sorted(os.listdir(f"{tmp_path}/etc")) == ["vz"]
    before = os.stat(paths.vz_conf).st_mtime_ns
    assert skeleton.install(paths) is False and os.stat(paths.vz_conf).st_mtime_ns == before
    os.unlink(paths.vz_conf)
    with pytest.raises(NoGlobalConfig):
        skeleton.install(paths)


def test_the_cache_follows_the_file(tmp_path: os.PathLike[str]) -> None:
    paths = Paths(str(tmp_path))
    skeleton.install(paths)
    cache = ConfCache(paths)
    VeConf.parse("CPUUNITS=8\n").save(paths.ct_conf(101))
    first = cache.ct(101)
    assert first.cpuunits == 8 and cache.ct(101) is first and cache.raw(101) is first.raw
    VeConf.parse("CPUUNITS=9\n").save(paths.ct_conf(101))
    assert cache.ct(101).cpuunits == 9
    conf = VeConf.load(paths.vz_conf)
    conf.set("STOP_TIMEOUT", "7")
    conf.save(paths.vz_conf)
    assert cache.ct(101).stop_timeout == 7
    os.unlink(paths.ct_conf(101))
    with pytest.raises(NoConfig):
        cache.ct(101)

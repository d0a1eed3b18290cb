"""Values as OpenVZ reads and writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.config import addresses, values
from hostd.config.settings import BY_OPTION, KEY_ORDER, SETTINGS, SHORT

UNLIMITED = values.UNLIMITED

NORMALISED = [
    ("ram", "256M", "0:65536"),
    ("ram", "1", "0:1"),
    ("ram", "4097B", "0:2"),
    ("ram", "unlimited", "0:2251799813685248"),
    ("swap", "unlimited", "0:2251799813685248"),
    ("swap", "0", "0:0"),
    ("swap", "1g", "0:262144"),
    ("physpages", "1000", "1000"),
    ("physpages", "0:65536", "0:65536"),
    ("physpages", "256M:512M", "65536:131072"),
    ("kmemsize", "10M:11M", "10485760:11534336"),
    ("kmemsize", "2P", "8192"),
    ("privvmpages", "10M:unlimited", "2560:unlimited"),
    ("privvmpages", "99999999999999999999", "unlimited"),
    ("privvmpages", "2:1", "2:1"),
    ("diskspace", "2G:2.2G", "2097152:2306867"),
    ("diskspace", "3G", "3145728:3145728"),
    ("diskspace", "1000", "1000:1000"),
    ("diskspace", "2.9", "2:2"),
    ("diskinodes", "131072:144179", "131072:144179"),
    ("iolimit", "5", "5242880"),
    ("iolimit", "5k", "5120"),
    ("iolimit", "0.5M", "524288"),
    ("iolimit", "1.5", "1048576"),
    ("iolimit", "0", "0"),
    ("iolimit", "0.0", "0"),
    ("iolimit", "unlimited", "0"),
    ("iolimit", "9T", "2147483647"),
    ("numproc", "100", "100"),
    ("numproc", "100:unlimited", "100:unlimited"),
    ("cpuunits", "8", "8"),
    ("cpulimit", "150", "150"),
    ("onboot", "auto", "auto"),
    ("capability", "net_admin:on,Sys_Time:off", "NET_ADMIN:on SYS_TIME:off"),
    ("features", "NFS:on ppp:off", "nfs:on ppp:off"),
    ("ipadd", "192.0.2.1/24", "192.0.2.1/24"),
    ("ipadd", "192.0.2.1/255.255.255.0", "192.0.2.1/24"),
    ("ipadd", "192.0.2.1\t2001:DB8::1 192.0.2.1", "192.0.2.1 2001:db8::1"),
    ("ipadd", "0.0.0.0", ""),
    ("ipadd", "::", ""),
    ("ipdel", "all", "all"),
    ("nameserver", "192.0.2.53 2001:db8::53", "192.0.2.53 2001:db8::53"),
    ("nameserver", "192.0.2.53 inherit", "inherit"),
    ("nameserver", "127.0.0.53", "127.0.0.53"),
    ("searchdomain", "a.b _tcp.Example.org. .", "a.b _tcp.Example.org. ."),
    ("searchdomain", "inherit", "inherit"),
    ("searchdomain", "", ""),
    ("hostname", "x_y.example-1.org", "x_y.example-1.org"),
    ("name", "my CT-1+2_3.x", "my CT-1+2_3.x"),
    ("name", "", ""),
    ("cpumask", "0-3,5", "0-3,5"),
    ("cpumask", "5,2,0-1,2-3", "0-3,5"),
    ("cpumask", "auto", "auto"),
    ("nodemask", "1,0", "0-1"),
    ("nodemask", "all", "all"),
    ("meminfo", "pages:100", "pages:100"),
    ("meminfo", "privvmpages:01", "privvmpages:1"),
    ("meminfo", "pages:0", "none"),
    ("vm_overcommit", "1.5", "1.5"),
    ("privileged", "yes", "yes"),
    ("userpasswd", "root:a:b", "root:a:b"),
]

REFUSED = [
    ("numproc", "10K"),
    ("numproc", "0"),
    ("numproc", "-1"),
    ("numproc", ""),
    ("numproc", "١"),
    ("ram", "0"),
    ("ram", "lots"),
    ("ram", "1.5.5M"),
    ("ram", "1X"),
    ("ram", "-5M"),
    ("swap", ""),
    ("physpages", "10:0"),
    ("physpages", "1:2:3"),
    ("diskspace", "0"),
    ("diskspace", "much"),
    ("cpuunits", "7"),
    ("cpuunits", "500001"),
    ("cpuunits", "1e3"),
    ("iolimit", "0.5"),
    ("iolimit", "0.9B"),
    ("iolimit", "0.0001k"),
    ("iopslimit", "0.5"),
    ("cpulimit", "0.5"),
    ("cpulimit", "0.5%"),
    ("cpus", "0.5"),
    ("cpulimit", "101%"),
    ("cpulimit", "-1"),
    ("cpus", "many"),
    ("onboot", "perhaps"),
    ("ipadd", "300.1.1.1"),
    ("ipadd", "2001:db8::/129"),
    ("ipadd", "192.0.2.1,192.0.2.2"),
    ("ipadd", "127.0.0.1"),
    ("ipadd", "224.0.0.1"),
    ("ipadd", "255.255.255.255/32"),
    ("ipadd", "::ffff:192.0.2.1"),
    ("ipadd", "fe80::1"),
    ("ipadd", "2001:db8::1%eth0"),
    ("nameserver", "not-an-ip"),
    ("nameserver", "192.0.2.1 0.0.0.0"),
    ("nameserver", "224.0.0.251"),
    ("nameserver", "fe80::1"),
    ("nameserver", "2001:db8::1%eth0"),
    ("searchdomain", "a..b"),
    ("searchdomain", ".a"),
    ("searchdomain", "-a.b"),
    ("searchdomain", "a.b-"),
    ("searchdomain", "a,b"),
    ("searchdomain", "x" * 64),
    ("searchdomain", "übung.example"),
    ("searchdomain", "a." * 128),
    ("hostname", "a..b"),
    ("hostname", "a.b."),
    ("hostname", "#a"),
    ("hostname", "a b"),
    ("hostname", "x" * 65),
    ("hostname", ""),
    ("description", "two\nlines"),
    ("name", "a/b"),
    ("name", "101"),
    ("name", ".."),
    ("name", "-x"),
    ("name", "x "),
    ("capability", "FLY:on"),
    ("capability", "NET_ADMIN"),
    ("capability", "NET_ADMIN:maybe"),
    ("features", "nfs"),
    ("cpumask", "3-1"),
    ("cpumask", "0-"),
    ("cpumask", "1,,2"),
    ("cpumask", ""),
    ("nodemask", "auto"),
    ("meminfo", "pages:x"),
    ("meminfo", "pages:\N{SUPERSCRIPT TWO}"),
    ("meminfo", "none:1"),
    ("vm_overcommit", "0.5"),
    ("root", "relative"),
    ("private", "/vz/../etc"),
    ("userpasswd", "root"),
    ("userpasswd", ":x"),
    ("ostemplate", "../x"),
    ("bootorder", "-1"),
]


@pytest.mark.parametrize(("option", "given_text", "stored"), NORMALISED)
def test_stored_as_openvz_does(option: str, given_text: str, stored: str) -> None:
    assert BY_OPTION[option].parse(given_text) == stored


@pytest.mark.parametrize(("option", "given_text"), REFUSED)
def test_refused_with_one_line(option: str, given_text: str) -> None:
    with pytest.raises(ValueError) as error:
        BY_OPTION[option].parse(given_text)
    assert str(error.value) and "\n" not in str(error.value)


def test_percent_of_the_host() -> None:
    assert values.cpu_limit("50%", 4) == 200
    assert values.cpu_limit("50", 4) == 50
    assert values.cpu_limit("100%", 8) == 800


def test_a_rate_that_would_be_no_limit_says_how_to_write_it() -> None:
    for parse in (values.io_limit, values.io_bytes):
        assert parse("0") == parse("0.0M") == parse("unlimited") == 0
        with pytest.raises(ValueError, match=r"decimals count only with a suffix, as in 0\.5M"):
            parse("0.5")


def test_unlimited_is_long_max() -> None:
    assert UNLIMITED == 9223372036854775807
    assert values.bar_limit("unlimited", values.items) == (UNLIMITED, UNLIMITED)


@given(st.integers(0, UNLIMITED))
def test_written_counts_read_back(number: int) -> None:
    text = values.count_text(number)
    assert values.items(text) == values.size_pages(text) == values.size_bytes(text) == number


@given(st.text(max_size=12))
def test_sizes_answer_or_refuse(text: str) -> None:
    rates = (values.io_limit, values.io_bytes)
    for parse in (values.size_bytes, values.size_pages, values.disk_kib, values.items, *rates):
        try:
            assert 0 <= parse(text) <= UNLIMITED
        except ValueError as error:
            assert str(error).startswith(("must be", "unknown suffix"))


@given(
    st.lists(st.ip_addresses(network="203.0.113.0/24") | st.ip_addresses(network="2001:db8::/32"), max_size=5)
)
def test_address_lists_read_back(many: list[addresses.Address]) -> None:
    found = addresses.addresses(" ".join(map(str, many)))
    assert [one.ip for one in found] == list(dict.fromkeys(many))
    assert addresses.addresses(addresses.addresses_text(found)) == found


def test_every_option_of_the_interface_is_a_row() -> None:
    classic = """
        onboot bootorder disabled name description stop-timeout ostemplate root private mount_opts
        hostname nameserver searchdomain ipadd ip ipdel netif_add netif_del ifname mac host_ifname
        host_mac bridge mac_filter netdev_add netdev_del userpasswd devices devnodes pci_add pci_del
        capability features netfilter iptables cpuunits cpulimit cpus cpumask nodemask ioprio
        iolimit iopslimit kmemsize lockedpages privvmpages shmpages numproc physpages vmguarpages
        oomguarpages numtcpsock numflock numpty numsiginfo tcpsndbuf tcprcvbuf othersockbuf
        dgramrcvbuf numothersock dcachesize numfile numiptent swappages avnumproc ram swap
        vm_overcommit meminfo diskquota diskspace diskinodes quotatime quotaugidlimit offline-resize
        offline
    """
    assert set(classic.split()) <= set(BY_OPTION)
    assert len(BY_OPTION) == len(SETTINGS)


def test_short_options() -> None:
    assert SHORT == {
        "e": "numiptent",
        "p": "numproc",
        "f": "numflock",
        "t": "numpty",
        "i": "numsiginfo",
        "l": "lockedpages",
        "k": "kmemsize",
        "b": "tcprcvbuf",
        "n": "numfile",
        "x": "dcachesize",
        "h": "dcachesize",
        "a": "avnumproc",
    }


def test_new_keys_are_written_in_the_order_of_openvz() -> None:
    text = """
        KMEMSIZE NUMPROC PHYSPAGES SWAPPAGES NETFILTER CAPABILITY IP_ADDRESS HOSTNAME DESCRIPTION
        NAMESERVER SEARCHDOMAIN DEVICES MOUNT_OPTS CPUUNITS CPULIMIT CPUS CPUMASK ONBOOT
        ORIGIN_SAMPLE DISABLED DISK_QUOTA DISKSPACE DISKINODES QUOTATIME QUOTAUGIDLIMIT MEMINFO
        NETIF NAME FEATURES IOPRIO IOLIMIT IOPSLIMIT BOOTORDER STOP_TIMEOUT
    """
    order = text.split()
    assert [key for key in KEY_ORDER if key in order] == order


def test_help_is_complete() -> None:
    for row in SETTINGS:
        assert row.help and bool(row.metavar) != row.flag, row.option

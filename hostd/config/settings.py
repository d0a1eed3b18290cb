"""The table of settings: one row per option of `vzctl set`, in the order in which OpenVZ writes new keys.

A row drives the parser, the configuration file, what a running container gets, the help and the completion.
`parse` (`hostd.config.texts`) turns the text of the command line into the text of the file, or raises ValueError.
What a setting does when it is given is its `effect`; nothing pretends: what is refused says so and changes nothing.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from hostd.config import texts, values
from hostd.config.texts import Parse
from hostd.config.values import one_line


class Effect(Enum):
    LIVE = "applies to a running container at once"
    RESTART = "a running container has to be restarted for it"
    STORED = "is for the host, or for the next start"
    UNENFORCED = "is stored, and not enforced yet"
    REFUSED = "is not supported yet"


class Setting(NamedTuple):
    """One option.  `key` is the configuration key ("" for actions), `v1`/`v2` the cgroup files that
    enforce it.

    `beancounter` is the row of /proc/user_beancounters and of vzlist.  A `flag` takes no value.
    """

    option: str
    key: str
    parse: Parse
    metavar: str
    help: str
    effect: Effect
    short: str = ""
    flag: bool = False
    v1: str = ""
    v2: str = ""
    beancounter: str = ""
    nothing: tuple[str, ...] = ("unlimited", str(values.UNLIMITED))  # texts, or parts of one, that ask for nothing
    only_kept: frozenset[str] = frozenset()  # of switches: those that do nothing

    def idle(self, text: str) -> str:
        """What *text* asks for and does not happen: the option, with the switches if it is some of them; else ""."""
        if self.effect in (Effect.UNENFORCED, Effect.REFUSED):
            return "" if all(part in self.nothing for part in text.split(":")) else f"--{self.option}"
        names = [name for name in _switched(text) if name in self.only_kept]
        return " ".join((f"--{self.option}", *names)) if names else ""

    def waits(self, text: str) -> bool:
        """Given *text* it asks a running container for something that takes a restart."""
        return self.effect is Effect.RESTART and not (self.only_kept and self.only_kept.issuperset(_switched(text)))

    @property
    def live(self) -> bool:
        return self.effect is Effect.LIVE

    @property
    def supported(self) -> bool:
        return self.effect is not Effect.REFUSED


def _switched(text: str) -> list[str]:
    return [word.partition(":")[0] for word in text.replace(",", " ").split()]


_PAGES, _BYTES, _ITEMS = values.size_pages, values.size_bytes, values.items


def _ubc(
    name: str, unit: Callable[[str], int], short: str, help: str, effect: Effect = Effect.UNENFORCED, v2: str = ""
) -> Setting:
    parse = texts.barrier_limit(unit)
    return Setting(name, name.upper(), parse, "BAR[:LIM]", help, effect, short, v2=v2, beancounter=name)


_BEANCOUNTERS = (
    _ubc("kmemsize", _BYTES, "k", "kernel memory in bytes"),
    _ubc("lockedpages", _PAGES, "l", "locked memory in pages", Effect.LIVE),
    _ubc("privvmpages", _PAGES, "", "private address space in pages"),
    _ubc("shmpages", _PAGES, "", "shared memory in pages", Effect.LIVE),
    Setting(
        *("numproc", "NUMPROC", texts.numproc, "N[:N]", "number of processes and threads", Effect.LIVE, "p"),
        v1="pids.max",
        v2="pids.max",
        beancounter="numproc",
    ),
    Setting(
        *("physpages", "PHYSPAGES", texts.physpages, "BAR[:LIM]", "RAM in pages", Effect.LIVE),
        v1="memory.limit_in_bytes",
        v2="memory.max",
        beancounter="physpages",
    ),
    _ubc("vmguarpages", _PAGES, "", "guaranteed memory in pages", Effect.LIVE, v2="memory.low"),
    _ubc("oomguarpages", _PAGES, "", "memory safe from the OOM killer in pages", Effect.LIVE, v2="memory.min"),
    _ubc("numtcpsock", _ITEMS, "", "number of TCP sockets", Effect.LIVE),
    _ubc("numflock", _ITEMS, "f", "number of file locks"),
    _ubc("numpty", _ITEMS, "t", "number of pseudo-terminals", Effect.LIVE),
    _ubc("numsiginfo", _ITEMS, "i", "number of queued signals", Effect.LIVE),
    _ubc("tcpsndbuf", _BYTES, "", "TCP send buffers in bytes"),
    _ubc("tcprcvbuf", _BYTES, "b", "TCP receive buffers in bytes"),
    _ubc("othersockbuf", _BYTES, "", "other socket buffers in bytes"),
    _ubc("dgramrcvbuf", _BYTES, "", "datagram receive buffers in bytes"),
    _ubc("numothersock", _ITEMS, "", "number of UDP, raw and ping sockets", Effect.LIVE),
    _ubc("dcachesize", _BYTES, "x", "directory cache in bytes"),
    _ubc("numfile", _ITEMS, "n", "number of open files of a process", Effect.LIVE),
    _ubc("numiptent", _ITEMS, "e", "number of netfilter rules"),
    _ubc("avnumproc", _ITEMS, "a", "average number of processes"),
    Setting(
        *("swappages", "SWAPPAGES", texts.barrier_limit(_PAGES), "BAR[:LIM]", "swap space in pages", Effect.LIVE),
        v1="memory.memsw.limit_in_bytes",
        v2="memory.swap.max",
        beancounter="swappages",
    ),
)

_LIVE, _STORED, _RESTART = Effect.LIVE, Effect.STORED, Effect.RESTART
_UNENFORCED, _REFUSED = Effect.UNENFORCED, Effect.REFUSED
_ZERO = ("0",)

_RESOURCES = (
    Setting("ram", "PHYSPAGES", texts.ram, "SIZE", "RAM in bytes, e.g. 512M", _LIVE),
    Setting("swap", "SWAPPAGES", texts.swap, "SIZE", "swap space in bytes, e.g. 1G", _LIVE),
    Setting(
        "vm_overcommit", "VM_OVERCOMMIT", values.ratio, "X", "private memory per RAM + swap", _UNENFORCED
    ),
    Setting(
        *("netfilter", "NETFILTER", texts.netfilter, "disabled|stateless|stateful|full", "netfilter tables"),
        _UNENFORCED,
    ),
    Setting("capability", "CAPABILITY", texts.capabilities, "NAME:on|off,…", "capabilities", _RESTART),
)

_IDENTITY = (
    Setting("ipadd", "IP_ADDRESS", texts.address_list, "ADDR[/N]", "add an address (repeatable)", _LIVE),
    Setting("ip", "IP_ADDRESS", texts.address_list, "ADDR[/N]", "the same as --ipadd", _LIVE),
    Setting("ipdel", "IP_ADDRESS", texts.ip_delete, "ADDR|all", "remove an address (repeatable)", _LIVE),
    Setting("hostname", "HOSTNAME", values.host_domain, "NAME", "host name inside", _LIVE),
    Setting("description", "DESCRIPTION", one_line, "TEXT", "one line of text", _STORED),
    Setting("nameserver", "NAMESERVER", texts.name_servers, "ADDR|inherit", "DNS server (repeatable)", _LIVE),
    Setting(
        "searchdomain", "SEARCHDOMAIN", texts.search_domains, "NAME|inherit", "DNS domain (repeatable)", _LIVE
    ),
    Setting("sshkey", "", one_line, "FILE", "add the public keys in it for root (repeatable)", _LIVE),
    Setting("userdata", "", one_line, "FILE", "cloud-config or script for the next start", _RESTART),
    Setting("userpasswd", "", texts.user_password, "USER:PASSWORD", "set a password; a new user is made", _LIVE),
)

_DEVICES = (
    Setting("devices", "DEVICES", texts.devices, "TYPE:MAJ:MIN:ACCESS", "allow a device, e.g. c:10:200:rw", _LIVE),
    Setting("devnodes", "DEVNODES", texts.devnodes, "NAME:ACCESS", "the same with a node, e.g. net/tun:rw", _LIVE),
    Setting("pci_add", "PCI", one_line, "[DOM:]BUS:SLOT.FUNC", "give a PCI device", _REFUSED),
    Setting("pci_del", "PCI", one_line, "[DOM:]BUS:SLOT.FUNC", "take a PCI device away", _REFUSED),
    Setting("netdev_add", "NETDEV", one_line, "DEV", "move a network device in", _REFUSED),
    Setting("netdev_del", "NETDEV", one_line, "DEV", "move a network device back", _REFUSED),
)

_PROCESSOR = (
    Setting("mount_opts", "MOUNT_OPTS", one_line, "OPT,…", "mount options of the root", _UNENFORCED),
    Setting(
        *("cpuunits", "CPUUNITS", texts.number(8, 500000), "N", "CPU weight, 8..500000 (1000)", _LIVE),
        v1="cpu.shares",
        v2="cpu.weight",
    ),
    Setting(
        *("cpuweight", "CPUUNITS", texts.number(8, 500000), "N", "the same as --cpuunits", _LIVE),
        v1="cpu.shares",
        v2="cpu.weight",
    ),
    Setting(
        *("cpulimit", "CPULIMIT", texts.cpulimit, "N[%]", "percent of a CPU (N% of the host), 0 is none", _LIVE),
        v1="cpu.cfs_quota_us",
        v2="cpu.max",
    ),
    Setting(
        *("cpus", "CPUS", texts.number(0, 8192), "N", "number of CPUs, 0 is all", _LIVE),
        v1="cpu.cfs_quota_us",
        v2="cpu.max",
    ),
    Setting(
        *("cpumask", "CPUMASK", values.cpu_list, "LIST|all|auto", "CPUs to run on; auto: those of --nodemask", _LIVE),
        v1="cpuset.cpus",
        v2="cpuset.cpus",
    ),
    Setting(
        *("nodemask", "NODEMASK", values.node_list, "LIST|all", "NUMA nodes to take memory of", _LIVE),
        v1="cpuset.mems",
        v2="cpuset.mems",
    ),
)

_HOST = (
    Setting("onboot", "ONBOOT", texts.onboot, "yes|no", "start with the host", _STORED),
    Setting("disabled", "DISABLED", texts.yes_no, "yes|no", "refuse to start", _STORED),
    Setting("diskquota", "DISK_QUOTA", texts.yes_no, "yes|no", "disk limits on or off", _UNENFORCED),
    Setting("diskspace", "DISKSPACE", texts.soft_hard(values.disk_kib), "SOFT[:HARD]", "disk size in KiB", _RESTART),
    Setting("diskinodes", "DISKINODES", texts.soft_hard(_ITEMS), "SOFT[:HARD]", "number of files", _STORED),
    Setting(
        "quotatime", "QUOTATIME", texts.number(0, 2**31 - 1), "SECONDS", "grace time of the quota", _UNENFORCED,
        nothing=_ZERO,
    ),
    Setting(
        *("quotaugidlimit", "QUOTAUGIDLIMIT", texts.number(0, 2**31 - 1), "N", "quota of users", _UNENFORCED),
        nothing=_ZERO,
    ),
    Setting("meminfo", "MEMINFO", texts.shown_memory, "none|pages:N|privvmpages:N", "what /proc/meminfo shows", _LIVE),
    Setting("netif_add", "NETIF", one_line, "IF[,MAC,HOSTIF,HOSTMAC,BRIDGE]", "add a veth device", _REFUSED),
    Setting("netif_del", "NETIF", one_line, "IF|all", "remove a veth device", _REFUSED),
    Setting("ifname", "NETIF", one_line, "IF", "veth device to change", _REFUSED),
    Setting("mac", "NETIF", one_line, "MAC", "its address inside", _REFUSED),
    Setting("host_ifname", "NETIF", one_line, "IF", "its name outside", _REFUSED),
    Setting("host_mac", "NETIF", one_line, "MAC", "its address outside", _REFUSED),
    Setting("bridge", "NETIF", one_line, "BRIDGE", "bridge of its outside end", _REFUSED),
    Setting("mac_filter", "NETIF", one_line, "on|off", "keep the address fixed", _REFUSED),
    Setting("name", "NAME", texts.name, "NAME", 'a name instead of the number; "" removes it', _STORED),
    Setting(
        *("features", "FEATURES", texts.features, "NAME:on|off,…", "nesting, openvz, fuse, tun; OpenVZ's", _RESTART),
        only_kept=values.FEATURES_KEPT,
    ),
    Setting(
        *("ioprio", "IOPRIO", texts.number(0, 7), "0..7", "I/O priority (4)", _LIVE),
        v1="blkio.bfq.weight",
        v2="io.bfq.weight",
    ),
    Setting(
        *("iolimit", "IOLIMIT", texts.iolimit, "N[K|M|G]", "I/O in MB/s, 0 is none", _LIVE),
        v1="blkio.throttle.read_bps_device",
        v2="io.max",
    ),
    Setting(
        *("iopslimit", "IOPSLIMIT", texts.number(0, 2**31 - 1), "N", "I/O operations/s, 0 is none", _LIVE),
        v1="blkio.throttle.read_iops_device",
        v2="io.max",
    ),
    Setting("bootorder", "BOOTORDER", texts.number(0, 2**32 - 1), "N", "higher starts earlier", _STORED),
    Setting("stop-timeout", "STOP_TIMEOUT", texts.number(0, 86400), "SECONDS", "patience of stop (120)", _STORED),
    Setting("privileged", "PRIVILEGED", texts.yes_no, "yes|no", "no user namespace: root is root", _RESTART),
    Setting("init", "INIT", values.init, "vz|handoff", "services by vzhost, or the image's own init", _RESTART),
    Setting("root", "VE_ROOT", values.path, "PATH", "where it is mounted, $VEID inside", _STORED),
    Setting("private", "VE_PRIVATE", values.path, "PATH", "where its data is, $VEID inside", _STORED),
    Setting("ostemplate", "OSTEMPLATE", values.file_name, "NAME", "its template", _STORED),
    Setting("iptables", "IPTABLES", one_line, "NAME,…", "kernel modules", _REFUSED),
    Setting("offline-resize", "", one_line, "", "shrink a stopped image", _REFUSED, flag=True),
    Setting("offline", "", one_line, "", "the same as --offline-resize", _REFUSED, flag=True),
)

# Options of OpenVZ 7 only; --noatime and --dhcp style options take yes or no there.
_SEVEN_NAMES = """
    jquota memguarantee numnetif netif gw gw6 dhcp dhcp6 network configure ext_ipadd rate ratebound noatime
    bindmount_add bindmount_del ha_enable ha_prio autostart nettype
"""
_SEVEN = tuple(Setting(option, "", one_line, "VALUE", "OpenVZ 7", _REFUSED) for option in _SEVEN_NAMES.split())

SETTINGS: tuple[Setting, ...] = (
    *_BEANCOUNTERS,
    *_RESOURCES,
    *_IDENTITY,
    *_DEVICES,
    *_PROCESSOR,
    *_HOST,
    *_SEVEN,
)
BY_OPTION: dict[str, Setting] = {row.option: row for row in SETTINGS}
BY_KEY: dict[str, Setting] = {row.key: row for row in reversed(SETTINGS) if row.key}  # the first of several options
SHORT: dict[str, str] = {row.short: row.option for row in SETTINGS if row.short} | {"h": "dcachesize"}
_KEYS = list(dict.fromkeys(row.key for row in SETTINGS if row.key))
_KEYS.insert(_KEYS.index("DISABLED"), "ORIGIN_SAMPLE")  # no option sets it, --applyconfig does
KEY_ORDER: tuple[str, ...] = tuple(_KEYS)
# Without an option: ours, and those of OpenVZ that mean nothing here.
_OTHER_KEYS = """
    VE_LAYOUT VEID VE_TYPE UUID LOCAL_UID LOCAL_GID DISTRIBUTION CLASS_ID OFFLINE_MANAGEMENT OFFLINE_SERVICE TEMPLATES
    TECHNOLOGIES SLMMODE DISTR RATE RATEBOUND HA_ENABLE HA_PRIO AUTOCOMPACT
"""
KNOWN_KEYS = frozenset((*KEY_ORDER, *_OTHER_KEYS.split()))
BEANCOUNTERS: tuple[str, ...] = tuple(row.beancounter for row in _BEANCOUNTERS if row.option != "avnumproc")

"""What the configuration of a container means, typed: its own file over the defaults of vz.conf.

`CtConfig` is a snapshot for the operations; the file itself (`raw`) stays the truth.  A value that cannot
be used raises BadConfig with the file, the key and the value: nothing is guessed.
"""

from collections.abc import Mapping, Set
from typing import NamedTuple

from hostd.config import addresses, bounds, meminfo, permits, places, values
from hostd.config.addresses import Interface
from hostd.config.paths import Paths
from hostd.config.permits import Permit
from hostd.config.places import expand as expand
from hostd.config.reader import Reader
from hostd.config.values import Pair
from hostd.config.veconf import VeConf
from hostd.errors import BadConfig, NoConfig, NoGlobalConfig

LAYOUTS = ("overlay", "simfs")
SIZED = frozenset(("overlay",))  # a file system of its own: limits of the disk are exact, and its use is known
STOP_TIMEOUT = 120  # seconds, when nobody says otherwise
CPUUNITS = 1000  # likewise, of a container and of the host
_CPUUNITS = 8, 500000  # the least and the most
_NO_GUARANTEE: int | None = 0


class GlobalConfig(NamedTuple):
    """vz.conf.  `paths` has its directories applied; templates of paths keep a literal `$VEID`.  `host_cpuunits` is
    the host's weight beside each container's `cpuunits`.
    """

    paths: Paths
    private: str
    root: str
    layout: str
    ostemplate: str
    config_file: str
    stop_timeout: int
    nat: bool
    host_cpuunits: int
    raw: VeConf

    @classmethod
    def load(cls, paths: Paths) -> "GlobalConfig":
        """Raises NoGlobalConfig (exit 10) and BadConfig."""
        try:
            raw = VeConf.load(paths.vz_conf)
        except OSError as error:
            raise NoGlobalConfig(f"Unable to open {paths.vz_conf}: {error.strerror}") from error
        return cls.from_conf(paths, raw)

    @classmethod
    def from_conf(cls, paths: Paths, raw: VeConf) -> "GlobalConfig":
        applied = Paths(
            paths.prefix,
            lock_dir=raw.get("LOCKDIR") or paths.lock_dir,
            dump_dir=raw.get("DUMPDIR") or paths.dump_dir,
            template_dir=raw.get("TEMPLATE") or paths.template_dir,
            private=raw.get("VE_PRIVATE") or paths.private_default,
            root=raw.get("VE_ROOT") or paths.root_default,
            log_file=raw.get("LOGFILE") or paths.log_file,
        )
        read = Reader((raw,))
        return cls(
            paths=applied,
            private=applied.private_default,
            root=applied.root_default,
            layout=read.value("VE_LAYOUT", _layout, "overlay"),
            ostemplate=raw.get("DEF_OSTEMPLATE") or "",
            config_file=raw.get("CONFIGFILE") or "",
            stop_timeout=read.value("STOP_TIMEOUT", values.integer(0, 86400), STOP_TIMEOUT),
            nat=read.value("NAT", values.yes_no, False),
            host_cpuunits=read.value("VE0CPUUNITS", _host_cpuunits, CPUUNITS),
            raw=raw,
        )


class CtConfig(NamedTuple):
    """One container.  None means "not set": no limit; what counts memory is in bytes here.  Of a guarantee
    it means that `unlimited` was given: that is no number and guarantees nothing, as 0 does, which is "not set".

    `private` and `root` are expanded paths.  `addresses` keep the order of the file.  `nameservers` and
    `searchdomains` may be the one word `inherit`.
    """

    ctid: int
    name: str
    hostname: str
    addresses: tuple[Interface, ...]
    nameservers: tuple[str, ...]
    searchdomains: tuple[str, ...]
    ostemplate: str
    layout: str
    private: str
    root: str
    diskspace_kib: Pair | None
    diskinodes: Pair | None
    ram: int | None
    swap: int | None
    cpuunits: int
    cpulimit: int
    cpus: int
    numproc: int | None
    numtcpsock: int | None
    numothersock: int | None
    numfile: int | None
    numpty: int | None
    numsiginfo: int | None
    lockedpages: int | None
    shmpages: int | None
    vmguarpages: int | None
    oomguarpages: int | None
    cpumask: str
    nodemask: str
    ioprio: int
    iolimit: int
    iopslimit: int
    meminfo: int | None
    onboot: bool | None
    bootorder: int | None
    disabled: bool
    stop_timeout: int
    privileged: bool
    init: str
    features: Mapping[str, bool]
    capabilities: Mapping[str, bool]
    devices: tuple[Permit, ...]
    devnodes: tuple[tuple[str, str], ...]
    raw: VeConf

    def has(self, feature: str) -> bool:
        """It is on in FEATURES."""
        return self.features.get(feature, False)

    @property
    def nesting(self) -> bool:
        """Containers inside may have user namespaces of their own; those of a privileged one would be the host's."""
        return self.has("nesting") and not self.privileged

    @property
    def openvz(self) -> bool:
        """It finds OpenVZ's files in /proc; an init of the image's own would not take that for a /proc."""
        return self.has("openvz") and self.init == "vz"

    @property
    def sized(self) -> bool:
        """Its disk is a file system of its own."""
        return self.layout in SIZED

    @classmethod
    def load(cls, paths: Paths, ctid: int, *, globals: GlobalConfig) -> "CtConfig":
        """Raises NoConfig (exit 14) and BadConfig (exit 85)."""
        return effective(ctid, load_raw(paths, ctid), globals)


def load_raw(paths: Paths, ctid: int) -> VeConf:
    """The file of container *ctid*.  Raises NoConfig and BadConfig."""
    try:
        return VeConf.load(paths.ct_conf(ctid))
    except FileNotFoundError as error:
        raise NoConfig("Container config file does not exist") from error
    except OSError as error:
        raise NoConfig(f"Unable to read {error.filename}: {error.strerror}") from error


def effective(ctid: int, own: VeConf, globals: GlobalConfig, *, but: Set[str] = frozenset()) -> CtConfig:
    """What *own* means, with the defaults of vz.conf *but* for these keys.  Raises BadConfig."""
    read = Reader((own, globals.raw), but)
    number = values.integer
    private, root = places_of(own, globals, ctid)
    return CtConfig(
        ctid=ctid,
        name=own.get("NAME") or "",
        hostname=read.value("HOSTNAME", _optional_hostname, ""),
        addresses=read.value("IP_ADDRESS", addresses.addresses, ()),
        nameservers=read.value("NAMESERVER", addresses.name_servers, ()),
        searchdomains=read.value("SEARCHDOMAIN", _words, ()),
        ostemplate=own.get("OSTEMPLATE") or "",
        layout=read.value("VE_LAYOUT", _layout, globals.layout),
        private=private,
        root=root,
        diskspace_kib=read.value("DISKSPACE", lambda text: values.bar_limit(text, values.disk_kib), None),
        diskinodes=read.value("DISKINODES", lambda text: values.bar_limit(text, values.items), None),
        ram=read.value("PHYSPAGES", lambda text: _page_limit(bounds.some(text, values.size_pages)), None),
        swap=read.value("SWAPPAGES", _page_limit, None),
        cpuunits=read.value("CPUUNITS", number(*_CPUUNITS), CPUUNITS),
        cpulimit=read.value("CPULIMIT", number(0, 100 * 8192), 0),
        cpus=read.value("CPUS", number(0, 8192), 0),
        numproc=read.value("NUMPROC", lambda text: _item_limit(bounds.some(text, values.items)), None),
        numtcpsock=read.value("NUMTCPSOCK", _item_limit, None),
        numothersock=read.value("NUMOTHERSOCK", _item_limit, None),
        numfile=read.value("NUMFILE", _item_limit, None),
        numpty=read.value("NUMPTY", _item_limit, None),
        numsiginfo=read.value("NUMSIGINFO", _item_limit, None),
        lockedpages=read.value("LOCKEDPAGES", _page_limit, None),
        shmpages=read.value("SHMPAGES", _page_limit, None),
        vmguarpages=read.value("VMGUARPAGES", _guarantee, _NO_GUARANTEE),
        oomguarpages=read.value("OOMGUARPAGES", _guarantee, _NO_GUARANTEE),
        cpumask=read.value("CPUMASK", values.cpu_list, ""),
        nodemask=read.value("NODEMASK", values.node_list, ""),
        ioprio=read.value("IOPRIO", number(0, 7), 4),
        iolimit=read.value("IOLIMIT", values.io_bytes, 0),
        iopslimit=read.value("IOPSLIMIT", number(0, 2**31 - 1), 0),
        meminfo=meminfo.shown(read),
        onboot=read.value("ONBOOT", _onboot, None),
        bootorder=read.value("BOOTORDER", number(0, 2**32 - 1), None),
        disabled=read.value("DISABLED", values.yes_no, False),
        stop_timeout=read.value("STOP_TIMEOUT", number(0, 86400), STOP_TIMEOUT),
        privileged=read.value("PRIVILEGED", values.yes_no, False),
        init=read.value("INIT", values.init, "vz"),
        features=read.value("FEATURES", _features, {}),
        capabilities=read.value("CAPABILITY", _capabilities, {}),
        devices=read.value("DEVICES", permits.of_devices, ()),
        devnodes=read.value("DEVNODES", permits.of_devnodes, ()),
        raw=own,
    )


def _host_cpuunits(text: str) -> int:
    """Of the host: what is out of bounds there is no reason for all containers to stay down."""
    least, most = _CPUUNITS
    return min(max(values.integer(0, values.UNLIMITED)(text), least), most)


def _layout(text: str) -> str:
    kind = text.partition(":")[0].lower()
    if kind not in LAYOUTS:
        raise ValueError(f"layout {kind} is not supported: use {' or '.join(LAYOUTS)}")
    return kind


def _optional_hostname(text: str) -> str:
    return values.hostname(text.strip())


def _words(text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(text.split()))
    return ("inherit",) if "inherit" in words else words


def places_of(own: VeConf, globals: GlobalConfig, ctid: int) -> tuple[str, str]:
    """VE_PRIVATE and VE_ROOT.  Raises BadConfig that names the file which says what cannot be."""
    found = []
    for key, fallback in (("VE_PRIVATE", globals.private), ("VE_ROOT", globals.root)):
        text = own.get(key)
        origin = (own if text else globals.raw).place(key)
        try:
            found.append((places.place if text else places.default)(globals.paths, text or fallback, ctid))
        except ValueError as error:
            raise BadConfig(f'{origin}: {key}="{text or fallback}": {error}') from error
    private, root = found
    try:
        places.apart(private, root)
    except ValueError as error:
        raise BadConfig(f"{own.origin}: {error}") from error
    return private, root


def _item_limit(text: str) -> int | None:
    return bounds.limit(text, values.items)


def _guarantee(text: str) -> int | None:
    """Bytes; of a guarantee it is the barrier that counts."""
    return _bytes(bounds.barrier(text, values.size_pages))


def _page_limit(text: str) -> int | None:
    return _bytes(bounds.limit(text, values.size_pages))


def _bytes(pages: int | None) -> int | None:
    """None (no limit) from LONG_MAX bytes on, too."""
    return None if pages is None or pages * values.PAGE >= values.UNLIMITED else pages * values.PAGE


def _features(text: str) -> dict[str, bool]:
    return values.switches(text, upper=False, known=values.FEATURES)


def _capabilities(text: str) -> dict[str, bool]:
    return values.switches(text, upper=True, known=values.CAPABILITIES)


def _onboot(text: str) -> bool:
    return text.lower() == "auto" or values.yes_no(text)

"""Where everything of an installation lives.  The only place that spells a path.

`VZ_PREFIX=/dir` moves all of it below /dir, so that a checkout, the tests and two hostd side by side never
touch a real installation.  Names outside of the file system (cgroups, network devices) carry a short tag
of the prefix.
"""

import hashlib
import os

_TAG_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_TAG_LENGTH = 8  # 40 bits: no two installations of a machine ever share it
_DEVICE_NAME = 15  # bytes of a network device's name, IFNAMSIZ - 1


class Paths:
    """All paths below *prefix* ("" for a real installation); the keyword arguments are what vz.conf may
    move.
    """

    __slots__ = (
        "dump_dir",
        "lock_dir",
        "log_file",
        "prefix",
        "private_default",
        "root_default",
        "tag",
        "template_dir",
    )

    def __init__(
        self,
        prefix: str = "",
        *,
        lock_dir: str = "/var/lib/vz/lock",
        dump_dir: str = "/var/lib/vz/dump",
        template_dir: str = "/var/lib/vz/template",
        private: str = "/var/lib/vz/private/$VEID",
        root: str = "/var/lib/vz/root/$VEID",
        log_file: str = "/var/log/vzctl.log",
    ) -> None:
        real = os.path.realpath(prefix) if prefix else ""
        self.prefix = "" if real == "/" else real
        self.tag = _tag(self.prefix)
        self.lock_dir = self.below(lock_dir)
        self.dump_dir = self.below(dump_dir)
        self.template_dir = self.below(template_dir)
        self.private_default = self.below(private)
        self.root_default = self.below(root)
        self.log_file = self.below(log_file)

    @classmethod
    def from_environment(cls) -> "Paths":
        return cls(os.environ.get("VZ_PREFIX", ""))

    def below(self, path: str) -> str:
        """*path* moved below the prefix, unless it is there already."""
        if not self.prefix or path == self.prefix or path.startswith(self.prefix + "/"):
            return path
        return self.prefix + "/" + path.lstrip("/")

    # configuration

    @property
    def etc_dir(self) -> str:
        return self.below("/etc/vz")

    @property
    def vz_conf(self) -> str:
        return self.below("/etc/vz/vz.conf")

    @property
    def conf_dir(self) -> str:
        return self.below("/etc/vz/conf")

    @property
    def names_dir(self) -> str:
        return self.below("/etc/vz/names")

    @property
    def dists_dir(self) -> str:
        return self.below("/etc/vz/dists")

    def ct_conf(self, ctid: int) -> str:
        return f"{self.conf_dir}/{ctid}.conf"

    def ct_creating(self, ctid: int) -> str:
        """The configuration of a container that is being created."""
        return f"{self.ct_conf(ctid)}.creating"

    def ct_destroying(self, ctid: int) -> str:
        """The configuration of a container that is being destroyed."""
        return f"{self.ct_conf(ctid)}.destroying"

    def ct_first_boot(self, ctid: int) -> str:
        """What the first boot of the container has to do; gone when that is done."""
        return f"{self.conf_dir}/{ctid}.firstboot"

    def sample_conf(self, name: str) -> str:
        return f"{self.conf_dir}/ve-{name}.conf-sample"

    # storage

    @property
    def var_dir(self) -> str:
        return self.below("/var/lib/vz")

    @property
    def template_cache(self) -> str:
        return f"{self.template_dir}/cache"

    @property
    def template_tree(self) -> str:
        return f"{self.template_dir}/tree"

    @property
    def vzrm_dir(self) -> str:
        """Trees on their way out: renamed here, then deleted in the background."""
        return f"{self.var_dir}/vztmp"

    def dump(self, ctid: int) -> str:
        return f"{self.dump_dir}/Dump.{ctid}"

    def lock(self, ctid: int) -> str:
        return f"{self.lock_dir}/{ctid}.lck"

    @property
    def reboot_dir(self) -> str:
        """Names the containers that ran when the host went down, as files."""
        return self.below("/var/lib/vzctl/vzreboot")

    # run time

    @property
    def run_dir(self) -> str:
        return self.below("/run/vz")

    @property
    def socket(self) -> str:
        return f"{self.run_dir}/hostd.sock"

    @property
    def hostd_pid(self) -> str:
        return f"{self.run_dir}/hostd.pid"

    @property
    def daemon_pid(self) -> str:
        return f"{self.run_dir}/daemon.pid"

    @property
    def records_dir(self) -> str:
        return f"{self.run_dir}/ct"

    def ct_record(self, ctid: int) -> str:
        return f"{self.records_dir}/{ctid}.json"

    def ct_maxima(self, ctid: int) -> str:
        """The most that hostd has seen the container hold."""
        return f"{self.records_dir}/{ctid}.most"

    @property
    def runtime_dir(self) -> str:
        """Parent of the content-hashed vzinit runtimes that containers bind-mount."""
        return f"{self.run_dir}/runtime"

    @property
    def views_dir(self) -> str:
        """The file system of what containers see of themselves."""
        return f"{self.run_dir}/views"

    @property
    def hostd_log(self) -> str:
        return self.below("/var/log/vz-hostd.log")

    # common to all installations of the machine, whatever their prefix

    @property
    def hostds_dir(self) -> str:
        """A link to the prefix of each hostd that has leased user ids: these are the machine's."""
        return "/run/vzhost"

    # names outside of the file system

    @property
    def cgroup_root(self) -> str:
        return f"vz-{self.tag}" if self.tag else "vz"

    def veth(self, ctid: int) -> str:
        """Name of the host end of the container's venet pair, with as much of the tag as fits."""
        return f"ve{ctid}-{self.tag}"[:_DEVICE_NAME] if self.tag else f"ve{ctid}"


def _tag(prefix: str) -> str:
    """A few letters that tell installations apart; "" for the real one."""
    if not prefix:
        return ""
    digest = hashlib.sha256(os.fsencode(prefix)).digest()
    return "".join(_TAG_LETTERS[byte % 32] for byte in digest[:_TAG_LENGTH])

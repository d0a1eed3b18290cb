"""OpenRC: the image's own `openrc` takes its runlevels up and down.  Runs in the planner.

So rc-service, rc-status and rc-update mean what they say, and the order is OpenRC's.  What is the work of the host is
marked as started before its runlevel begins: then OpenRC does not run it, and what needs it need not wait.  Before all
goes down the marks are taken away: what was not started is not stopped either.
"""

from vzinit import fds
from vzinit.plan import BootPlan, Command, ServicePlan

PROGRAM = "/sbin/openrc"
RUNLEVELS, SCRIPTS = "/etc/runlevels", "/etc/init.d"
STARTED, INACTIVE = "/run/openrc/started", "/run/openrc/inactive"  # the latter: they wait for something
UP = ("sysinit", "boot", "default")
DOWN = "shutdown"
NAME, AT_STOP = "openrc", "openrc:shutdown"
TIMEOUT = 600.0  # seconds for all of them: one comes after the other
# Work of the host, of real hardware, or of another init: scripts of OpenRC itself and of Debian, without their `.sh`.
NOT_OURS = frozenset({
    "binfmt", "cgroups", "consolefont", "devfs", "dmcrypt", "dmesg", "fsck", "hwclock", "hwdrivers", "keymaps",
    "killprocs", "localmount", "loopback", "lvm", "mdadm", "mdadm-raid", "mdev", "modloop", "modules", "mount-ro",
    "mtab", "netmount", "network", "networking", "numlock", "osclock", "procfs", "root", "save-keymaps",
    "save-termencoding", "seedrng", "staticroute", "swap", "swclock", "sysctl", "sysfs", "sysfsconf", "termencoding",
    "udev", "udev-postmount", "udev-settle", "udev-trigger", "urandom",
    "bootlogs", "bootmisc", "brightness", "checkfs", "checkroot", "checkroot-bootclean", "console-setup", "hostname",
    "keyboard-setup", "mount-configfs", "mountall", "mountall-bootclean", "mountdevsubfs", "mountkernfs", "mountnfs",
    "mountnfs-bootclean", "plymouth", "procps", "rmnologin", "screen-cleanup", "sendsigs", "umountfs", "umountroot",
})  # fmt: skip
NOT_OURS_EITHER = ("net.", "agetty.")  # net.eth0 and its kin; prompts come when somebody looks


def is_here() -> bool:
    return fds.is_program(PROGRAM)


def from_image(plan: BootPlan) -> None:
    """One service that takes the runlevels up, and before it one that takes them down: also when they are half up."""
    fds.make_parents(f"{STARTED}/")
    names = {name for level in UP for name in services(level)}
    left_out = [f"{STARTED}/{name}" for name in sorted(names) if not is_ours(name)]
    down = [Command(["rm", "-f", *left_out], ":"), *entering(DOWN)]
    up = [command for level in UP for command in entering(level)]
    plan.services += [
        ServicePlan(AT_STOP, "oneshot", [], stop=down, remain=True, stop_timeout=TIMEOUT),
        ServicePlan(NAME, "oneshot", up, after=[AT_STOP], remain=True, start_timeout=TIMEOUT),
    ]
    plan.within[NAME] = sorted(filter(is_ours, names))


def entering(level: str) -> list[Command]:
    """Mark as OpenRC does, with a link to the script; what is marked and not of this runlevel would be stopped."""
    scripts = [f"{SCRIPTS}/{name}" for name in services(level) if not is_ours(name)]
    mark = [Command(["ln", "-sf", *scripts, STARTED], "-:")] if scripts else []
    return [*mark, Command([PROGRAM, level], "-:")]


def report_failures(plan: BootPlan) -> None:
    """What OpenRC could not start has failed under its own name: a look for its mark, once all are up."""
    for name in plan.within.get(NAME, []):
        look = Command(["test", "-L", f"{STARTED}/{name}", "-o", "-L", f"{INACTIVE}/{name}"], ":")
        plan.services.append(ServicePlan(name, "oneshot", [look], after=[NAME]))


def services(level: str) -> list[str]:
    """A runlevel is a directory of links to scripts; what is in it beside them is another runlevel."""
    return [name for name in fds.listdir(f"{RUNLEVELS}/{level}") if fds.is_program(f"{SCRIPTS}/{name}")]


def is_ours(name: str) -> bool:
    return name.removesuffix(".sh") not in NOT_OURS and not name.startswith(NOT_OURS_EITHER)

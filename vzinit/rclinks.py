"""Init scripts: the S links of /etc/rc2.d, in their order.  Runs in the planner."""

import posix

from vzinit import fds
from vzinit.plan import BootPlan, Command, ServicePlan

DIRECTORIES = ("/etc/rc2.d", "/etc/rc.d/rc2.d")
# Work of the host, of real hardware, or of another init.
NOT_OURS = frozenset({
    "bootlogs", "console-setup.sh", "halt", "hwclock.sh", "keyboard-setup.sh", "killprocs",
    "networking", "plymouth",
    "rc.local", "reboot", "rmnologin", "screen-cleanup", "sendsigs", "single", "udev",
    "umountfs", "umountroot",
})  # fmt: skip
STOP_TIMEOUT = 30.0


def from_image(plan: BootPlan, covered: "set[str]") -> None:
    """Add the scripts whose name is not in *covered* (those run from their unit)."""
    for directory in DIRECTORIES:
        if fds.is_dir(directory):
            add_links(plan, directory, covered)
            return


def add_links(plan: BootPlan, directory: str, covered: "set[str]") -> None:
    """Equal numbers start together; a higher number waits for all lower ones (insserv computed them so)."""
    earlier: list[str] = []
    same: list[str] = []
    number = ""
    for link in sorted(name for name in posix.listdir(directory) if name[:1] == "S" and name[1:3].isdigit()):
        name = link[3:]
        if name in NOT_OURS or name.removesuffix(".sh") in covered or not fds.is_program(f"{directory}/{link}"):
            continue
        if link[1:3] != number:
            earlier, same, number = earlier + same, [], link[1:3]
        plan.services.append(script(name, f"{directory}/{link}", list(earlier)))
        same.append(name)


def script(name: str, link: str, after: list[str]) -> ServicePlan:
    path = f"/etc/init.d/{name}" if fds.is_program(f"/etc/init.d/{name}") else link
    return ServicePlan(
        name, "oneshot", [Command([path, "start"], ":")],
        stop=[Command([path, "stop"], ":")], after=after, stop_timeout=STOP_TIMEOUT, remain=True,
        options={"Environment": [f"RUNLEVEL={2}", "PREVLEVEL=N"]},
    )  # fmt: skip

"""Reads what the image wants to run, in a child process: unit files cost memory that PID 1 would never give
back, and a bug in here must not be one of PID 1.

Sources, in this order: inittab, then what belongs to the init that the image has (units, init scripts that no unit
covers; OpenRC; runit), /etc/rc.local.
"""

import posix

from vzinit import fds, generators, image_init, inittab, openrc, plan, rclinks, runit, units, utmp
from vzinit.plan import BootPlan, Command, ServicePlan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Source = Callable[[BootPlan], object]

# Directories that programs expect in the fresh tmpfs on /run: path and mode.
RUN = (("/run/lock", 0o1777), ("/run/user", 0o755), ("/run/vzinit", 0o755))
TELINIT = "/lib/sysvinit/telinit"
SYSUSERS, TMPFILES = "/bin/systemd-sysusers", "/bin/systemd-tmpfiles"
TMPFILES_ARGUMENTS = (
    "--create", "--remove", "--boot",
    "--exclude-prefix=/dev", "--exclude-prefix=/proc", "--exclude-prefix=/sys",
    "--exclude-prefix=/run/utmp",
    "--exclude-prefix=/run/nologin",  # "the system is booting"; systemd would remove it at the end
)  # fmt: skip
# With OpenVZ's files in it /proc is none to systemd-tmpfiles: it gets the kernel's own in place of it.
KERNELS_PROC = "/proc/.vz"
WITH_KERNELS_PROC = ["/usr/bin/unshare", "-m", "/bin/sh", "-c", f'mount --move {KERNELS_PROC} /proc && exec "$@"', "sh"]
SSH_SERVICES = {"ssh.service", "sshd.service", "ssh", "sshd"}
NEW_KEYS = Command(["ssh-keygen", "-A"], "-")


def serve(pipe: int) -> None:
    """Plan, and write the plan to *pipe*."""
    furnish_run()
    fds.write_all(pipe, plan.dump(make()))


def make() -> BootPlan:
    """The plan.  A source that cannot be read does not take the others with it."""
    found = BootPlan()
    sources: tuple[Source, ...] = (
        inittab.from_image,
        *sources_of(image_init.name()),
        put_tmpfiles_first,
        make_host_keys,
        openrc.report_failures,
        lambda _: offer_telinit(),
        lambda _: utmp.boot("2"),
    )
    for source in sources:
        try:
            source(found)
        except Exception as error:
            found.notes.append(f"vzinit: planner: {type(error).__name__}: {error}")
    return found


def sources_of(init: str) -> "tuple[Source, ...]":
    """Where *init*, the image's own, would find its services."""
    if init in runit.INITS:
        return lambda found: rclinks.from_image(found, runit.known()), runit.from_image, add_rc_local
    if init != "systemd" and openrc.is_here():
        return (openrc.from_image,)
    covered: set[str] = set()
    return (
        lambda _: generators.run(),
        lambda found: covered.update(units.from_image(found)),
        lambda found: rclinks.from_image(found, covered),
        add_rc_local,
    )


def furnish_run() -> None:
    """What other inits make in /run before their first service."""
    for path, mode in RUN:
        try:
            posix.mkdir(path)
            posix.chmod(path, mode)
        except OSError:
            pass
    if fds.is_dir("/var") and not fds.exists("/var/run") and not fds.is_link("/var/run"):
        posix.symlink("/run", "/var/run")  # where static programs look for utmp


def offer_telinit() -> None:
    """Debian 12's systemd runs this path for `init 6` when it is not PID 1, and ships nothing there."""
    if fds.is_dir("/run/systemd/system") or not fds.is_program("/bin/systemctl") or fds.exists(TELINIT):
        return
    fds.make_parents(TELINIT)
    if not fds.is_link(TELINIT):
        posix.symlink("/.vz/bin/telinit", TELINIT)


def add_rc_local(found: BootPlan) -> None:
    """/etc/rc.local comes last, where it is executable."""
    if fds.is_program("/etc/rc.local"):
        others = [service.name for service in found.services]
        start = [Command(["/etc/rc.local", "start"], ":")]
        found.services.append(ServicePlan("rc.local", "oneshot", start, after=others, remain=True))


def put_tmpfiles_first(found: BootPlan) -> None:
    """The image's own tools work without systemd: the users that packages want, and then what they want in /run."""
    tools = [[SYSUSERS], [TMPFILES, *TMPFILES_ARGUMENTS]]
    first = WITH_KERNELS_PROC if fds.is_dir(KERNELS_PROC) else []
    commands = [Command([*first, *tool], "-:") for tool in tools if fds.is_program(tool[0])]
    if not commands:
        return
    for service in found.services:
        service.after.append("tmpfiles")
    found.services.insert(0, ServicePlan("tmpfiles", "oneshot", commands, options={"StandardError": ["null"]}))


def make_host_keys(found: BootPlan) -> None:
    """Images carry no ssh host keys.  Where nothing in the image makes them, sshd's start does."""
    if any(name.startswith("ssh_host_") and name.endswith("_key") for name in fds.listdir("/etc/ssh")):
        return
    every = [command for service in found.services for command in service.start]
    if any(command.argv[0].endswith("ssh-keygen") for command in every):
        return
    for service in found.services:
        if SSH_SERVICES & {service.name, *found.within.get(service.name, ())}:
            service.pre.insert(0, NEW_KEYS)

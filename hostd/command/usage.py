"""Help texts, from the tables."""

from hostd.command.table import VERBS
from hostd.config.settings import SETTINGS

INTERFACE = "4.11.0"  # the vzctl whose interface this is; libvirt reads it
_GLOBAL = (
    ("--quiet", "print nothing; the log has it"),
    ("--verbose", "print every step with its time, to stderr"),
    ("--skiplock", "do not take the container's lock"),
    ("--skipowner", "ignored"),
)
_SET_CONTROL = (
    ("--save", "write the settings to the configuration"),
    ("--force", "save even if applying fails"),
    ("--setmode restart|ignore", "restart a running container if a setting needs it"),
    ("--reset_ub", "apply the limits of the configuration again"),
    ("--applyconfig NAME", "take the settings of ve-NAME.conf-sample"),
    ("--applyconfig_map name", "make the link of the name again"),
)
_OPTIONS = {
    "create": (
        ("--ostemplate NAME", "the template; default DEF_OSTEMPLATE of vz.conf"),
        ("--config NAME", "begin with the settings of ve-NAME.conf-sample"),
        ("--layout overlay|simfs", "how its files are kept; default VE_LAYOUT"),
        ("--private PATH, --root PATH", "where they are, and are mounted; $VEID is the number"),
        ("--ipadd, --hostname, --name, --description", "as of vzctl set; saved"),
        ("--diskspace, --diskinodes", "as of vzctl set; saved"),
        ("--sshkey FILE", "root may log in with the public keys in it"),
        ("--userdata FILE", "cloud-config or script for its first boot"),
    ),
    "start, restart": (
        ("--wait", "return when its services are up"),
        ("--sshkey FILE", "as of vzctl set"),
        ("--force", "start it though it is disabled"),
        ("--fast", "of restart: kill it at once"),
    ),
    "stop": (
        ("--fast", "kill it at once"),
        ("--skip-umount", "leave its files mounted"),
    ),
    "monitor": (("--pressure SECONDS", "also tell, so far apart, how long they wait"),),
    "chkpnt, restore": (("--dumpfile FILE", "where the checkpoint is; default DUMPDIR/Dump.CTID"),),
}


def version_line() -> str:
    return f"vzctl version {INTERFACE}\n"


def vzctl() -> str:
    """The help; its first line is the version, which libvirt reads from here."""
    flags = "[--quiet|--verbose] [--skiplock] [--skipowner]"
    parts = [version_line(), f"Usage: vzctl {flags} COMMAND CTID|NAME [options]\n\n"]
    parts += [_row(f"vzctl {verb.name} {verb.synopsis}".rstrip(), verb.help) for verb in VERBS if verb.module]
    parts.append("\nOptions before the command:\n")
    parts += [_row(f"  {option}", help) for option, help in _GLOBAL]
    for verb, options in _OPTIONS.items():
        parts.append(f"\nOptions of vzctl {verb}:\n")
        parts += [_row(f"  {option}", help) for option, help in options]
    parts.append("\nOptions of vzctl set:\n")
    parts += [_row(f"  {option}", help) for option, help in _SET_CONTROL]
    parts += [
        _row(f"  {_spelled(row.option, row.short, row.metavar)}", row.help)
        for row in SETTINGS
        if row.supported
    ]
    return "".join(parts)


def _spelled(option: str, short: str, metavar: str) -> str:
    return f"{f'-{short}, ' if short else ''}--{option} {metavar}".rstrip()


def _row(left: str, right: str) -> str:
    return f"{left:<44} {right}\n"

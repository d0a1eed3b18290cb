"""The verbs of vzctl: one row each.  Drives dispatch, locking, help and completion."""

from typing import NamedTuple

from hostd.command.grammar import Option
from hostd.config.settings import SETTINGS, SHORT


class Verb(NamedTuple):
    """`module` in `hostd.command.verbs`, "" for a verb of a later version, which fails with `code`.

    `lock`: takes the container's lock.  `conf`: needs its configuration, and one that can be read, unless
    `any_conf`: whatever became of the file, a running container must not be out of reach.  `payload`: what follows
    the CTID is never parsed.  `container`: a CTID is expected.  `words`: how many words may follow it.  `code`: of
    an option that does not parse.
    """

    name: str
    module: str
    synopsis: str
    help: str
    options: tuple[Option, ...] = ()
    lock: bool = True
    conf: bool = True
    any_conf: bool = False
    payload: bool = False
    container: bool = True
    words: int = 0
    code: int = 20
    aliases: tuple[str, ...] = ()


def _flags(*names: str) -> tuple[Option, ...]:
    return tuple(Option(name) for name in names)


def _values(*names: str) -> tuple[Option, ...]:
    return tuple(Option(name, value=True) for name in names)


_ALIASES = {"ip": "ipadd", "cpuweight": "cpuunits", "offline": "offline-resize"}


def _settings() -> tuple[Option, ...]:
    """Every setting as an option; a second short letter is a row of its own."""
    rows = [Option(row.option, row.short, not row.flag, _ALIASES.get(row.option, "")) for row in SETTINGS]
    known = {row.short for row in SETTINGS}
    extra = [Option("", letter, True, option) for letter, option in SHORT.items() if letter not in known]
    return (*rows, *extra)


_SET = (
    *_flags("save", "force", "reset_ub", "skip_arpdetect"),
    *_values("setmode", "applyconfig", "applyconfig_map"),
    *_settings(),
)
_CREATE = (
    *_values("ostemplate", "config", "layout", "private", "root", "ipadd", "hostname", "name", "description"),
    *_values("diskspace", "diskinodes", "init", "sshkey", "userdata", "local_uid", "local_gid", "distribution", "uuid"),
    Option("ve_layout", value=True, dest="layout"),
    Option("velayout", value=True, dest="layout"),
    Option("ip", value=True, dest="ipadd"),
    *_flags("force", "skip_app_templates"),
)
_START = (*_flags("wait", "force", "skip-fsck", "skip-remount", "skip_ve_setup", "repair"), *_values("sshkey"))
_CHKPNT = (
    *_flags("suspend", "dump", "resume", "kill", "skip_arpdetect"),
    *_flags("keep_pages", "unfreeze", "stop-tracker", "create-devmap"),
    *_values("dumpfile", "flags", "context"),
)
_RESTORE = (
    *_flags("undump", "resume", "kill", "skip_arpdetect", "skip-fsck", "skip-remount"),
    *_values("dumpfile", "flags", "context"),
)


_MANY = 1 << 20  # words: as many as somebody likes


def _later(name: str, code: int) -> Verb:
    return Verb(name, "", "CTID", "not supported yet", code=code)


def _inside(name: str, module: str, synopsis: str, help: str, *, payload: bool = False, words: int = 0) -> Verb:
    return Verb(name, module, synopsis, help, lock=False, any_conf=True, payload=payload, words=words)


VERBS: tuple[Verb, ...] = (
    Verb(
        *("create", "create", "CTID [options]", "make a container from a template"),
        options=_CREATE,
        conf=False,
        code=21,
    ),
    Verb("destroy", "destroy", "CTID", "remove a container and its data", aliases=("delete",)),
    Verb("mount", "mount", "CTID", "mount the root of a container"),
    Verb("umount", "umount", "CTID", "unmount it", any_conf=True),
    Verb("start", "start", "CTID [options]", "start a container", _START),
    Verb("stop", "stop", "CTID [--fast] [--skip-umount]", "stop it", _flags("fast", "skip-umount"), any_conf=True),
    Verb("restart", "restart", "CTID [options]", "stop and start it", (*_START, *_flags("fast"))),
    Verb("status", "status", "CTID", "print its state on one line", lock=False, conf=False),
    _inside("exec", "exec", "CTID COMMAND|-", "run a command; 8 when it fails", payload=True),
    _inside("exec2", "exec", "CTID COMMAND|-", "run a command; its own exit code", payload=True),
    _inside("exec3", "exec", "CTID PROGRAM [ARG]…", "the same without a shell", payload=True),
    _inside("enter", "enter", "CTID [--exec COMMAND]", "log in as root", payload=True),
    _inside("console", "console", "CTID [N]", "attach to its console (tty N)", words=1),
    Verb("runscript", "runscript", "CTID FILE", "run a script of the host inside", words=1, any_conf=True),
    Verb("set", "set", "CTID [--save] [options]", "change settings", options=_SET, conf=False, code=21),
    Verb("chkpnt", "chkpnt", "CTID [--dumpfile FILE]", "suspend to disk", _CHKPNT, aliases=("suspend",)),
    Verb("restore", "restore", "CTID [--dumpfile FILE]", "resume it", _RESTORE, aliases=("resume",)),
    Verb("check", "check", "", "print what this host can do", lock=False, conf=False, container=False),
    Verb(
        *("monitor", "monitor", "[CTID|NAME…] [--pressure SECONDS]", "print what happens, as JSON lines"),
        *(_values("pressure"), False, False),
        container=False,
        words=_MANY,
    ),
    _later("snapshot", 156),
    _later("snapshot-switch", 159),
    _later("snapshot-delete", 158),
    _later("snapshot-mount", 160),
    _later("snapshot-umount", 161),
    _later("snapshot-list", 167),
    _later("compact", 166),
    _later("convert", 155),
    _later("quotaon", 60),
    _later("quotaoff", 66),
    _later("quotainit", 61),
    _later("reinstall", 128),
    _later("register", 20),
    _later("unregister", 20),
    _later("pause", 20),
    _later("execaction", 20),
)
BY_NAME: dict[str, Verb] = {name: verb for verb in VERBS for name in (verb.name, *verb.aliases)}
GLOBAL_FLAGS = ("quiet", "verbose", "version", "help", "skiplock", "skipowner")

"""vzctl set: everything is parsed first, applied to the running container, then written with one rename.

    running, --save       apply, write          running, no --save    apply, warn that it will be lost
    down, --save          write                 down, no --save       31

If applying fails nothing is written, unless --force says so.
"""

import os
from contextlib import ExitStack
from typing import NamedTuple

from hostd.command import applying, changes, disk, edge, given, hardware, sample, typed_places, unkept
from hostd.command.call import Call
from hostd.command.changes import Changes
from hostd.command.host import Facts, StopOptions
from hostd.command.verbs import start
from hostd.config import announce, combined, live, names
from hostd.config.model import effective
from hostd.config.settings import BY_OPTION, Effect, Setting
from hostd.config.veconf import VeConf
from hostd.errors import AlreadyRunning, BadValue, Exit, Failure, NotRunning, Usage, VzError
from hostd.userdata.logins import Logins
from hostd.userdata.plan import Plan

_NEED_SAVE = ("ostemplate", "stop-timeout", "userdata", "force")
LOST = "WARNING: Settings were not saved to config and will be lost after CT restart (use --save flag)"


class Request(NamedTuple):
    """What was asked for.  `restart` and `ignore` are the two values of --setmode."""

    save: bool
    force: bool
    restart: bool
    ignore: bool
    reset_ub: bool
    map_names: bool
    changes: Changes
    logins: Logins
    plan: Plan | None
    notes: tuple[str, ...]

    @property
    def empty(self) -> bool:
        return not (self.changes.keys or self.logins or self.plan or self.map_names or self.reset_ub)

    @property
    def only_logins(self) -> bool:
        """Which can be changed of a stopped container as well."""
        return bool(self.logins) and not self.changes.keys


async def run(call: Call) -> int:
    conf = _file(call)
    request = await _request(call, conf)
    await call.host.settled(call.ctid)
    facts = call.facts()
    if not facts.running and not request.save and not request.only_logins:
        raise NotRunning("Unable to apply UBC parameters: container is not running")
    idle = _idle(request)
    if idle and not request.save:
        raise BadValue(f"{idle[0]} is not enforced yet; with --save it is kept in the configuration")
    _refuse_while_running(call, request, facts, conf)
    if request.logins:
        call.not_suspended()
    typed_places.check(call, request.changes.texts, conf)
    hardware.check(request.changes.texts)
    if name := request.changes.texts.get("NAME", conf.get("NAME") if request.map_names else None):
        names.check(call.host.paths, call.ctid, name)  # before anything is changed
    after = request.changes.edited(conf)
    if request.changes.keys & {"FEATURES", "INIT"}:
        combined.check(effective(call.ctid, after, call.host.confs.globals()))
    disk.check(call, request.changes.keys, after)
    if request.changes.keys & {"CPUMASK", "NODEMASK"}:
        others = conf if request.save else live.over(conf, facts.live)
        combined.check_masks(request.changes.edited(others), call.host.confs.globals().raw)
    code = await _apply(call, request, facts, conf)
    if request.save:
        _save(call, request, conf)
        if request.plan is not None:
            await call.host.lay_plan(call.ctid, request.plan)
        waits = disk.tell(call, request.changes.keys, conf, exists=facts.exists)
        return code or await _settle(call, request, facts, frozenset() if waits else disk.KEYS)
    if facts.running and request.changes.keys:
        call.console.say(LOST)
    return code


# Asking


async def _request(call: Call, conf: VeConf) -> Request:
    parsed = call.parsed
    mode = parsed.last("setmode")
    save = parsed.has("save")
    if mode not in (None, "restart", "ignore"):
        raise BadValue(f"Bad parameter for --setmode: {mode}", hint="must be restart or ignore")
    if mode == "restart" and not save:
        raise Usage("Error: option --setmode restart needs --save")
    if parsed.has("reset_ub") and len(parsed.given) > 1:
        raise Usage("Error: option --reset_ub is exclusive")
    if parsed.last("applyconfig_map") not in (None, "name"):
        raise BadValue(f"Bad parameter for --applyconfig_map: {parsed.last('applyconfig_map')}")
    data = await given.user_data(call)
    if data is not None:
        call.private_area()
    found = changes.read(given.with_hostname(call, data))
    if not save:
        _need_save(call, found)
    whole = sample.over(call, found, conf, save=save)
    return Request(
        save=save,
        force=parsed.has("force"),
        restart=mode == "restart",
        ignore=mode == "ignore",
        reset_ub=parsed.has("reset_ub"),
        map_names=parsed.has("applyconfig_map"),
        changes=whole.changes,
        logins=Logins(whole.changes.passwords, given.ssh_keys(call)),
        plan=data.plan if data else None,
        notes=(*whole.changes.clamped, *whole.notes),
    )


def _need_save(call: Call, found: Changes) -> None:
    if "NAME" in found.keys:
        raise Failure(Exit.SET_NAME, "Error: unable to use --name option without --save")
    for option in _NEED_SAVE:
        if call.flag(option):
            raise Usage(f"Error: unable to use --{option} option without --save")


def _file(call: Call) -> VeConf:
    """A fresh copy of the container's file to edit; a new one, with OpenVZ's warning, when there is none."""
    path = call.host.paths.ct_conf(call.ctid)
    try:
        return VeConf.load(path)
    except FileNotFoundError as error:
        call.console.error(f"WARNING: {path} not found: {error.strerror}")
        return VeConf(path)


def _refuse_while_running(call: Call, request: Request, facts: Facts, conf: VeConf) -> None:
    if not facts.running:
        return
    keys = request.changes.keys
    for key, option in (("VE_ROOT", "root"), ("VE_PRIVATE", "private")):
        if key in keys:
            raise AlreadyRunning(f"Unable to change --{option}: container is running")
    for key in disk.KEYS & keys if not request.save else ():
        raise Usage(f"Error: unable to use --{key.lower()} option without --save")
    waiting = _waiting(request, conf)
    if waiting and not request.save:
        raise AlreadyRunning(f"Unable to change {waiting} of a running container (use --save)")


def _waiting(request: Request, conf: VeConf) -> str:
    """The options that a running container cannot take over, as far as they change something."""
    after = request.changes.edited(conf)
    return " ".join(f"--{row.option}" for row in _restarting(request) if after.get(row.key) != conf.get(row.key))


def _restarting(request: Request) -> list[Setting]:
    """The settings given that a running container has only after a restart."""
    rows = [BY_OPTION[option] for option in request.changes.options(Effect.RESTART)]
    return [row for row in rows if row.waits(request.changes.texts.get(row.key, ""))]


# Applying


async def _apply(call: Call, request: Request, facts: Facts, conf: VeConf) -> int:
    """Bring the changes into the container; 0, or the code of a failure that --force passes over."""
    try:
        if facts.running:
            await applying.running(call, request.changes, request.logins, facts, conf, reset_ub=request.reset_ub)
        else:
            await applying.down(call, request.changes, request.logins, facts, conf)
    except (VzError, OSError) as error:  # as of a full disk inside
        if not request.save:
            raise
        why, code = edge.report(error)
        if not request.force:
            text = "Error: failed to apply some parameters, not saving configuration file!"
            raise Failure(code, f"{why}\n{text}") from error
        call.console.error(why)
        return code
    for what in _idle(request):
        call.console.say(f"Warning: {what} {Effect.UNENFORCED.value}")
    unkept.tell(call, request.changes, conf if request.save else live.over(conf, facts.live))
    for line in request.notes:
        call.console.say(line)
    return Exit.OK


def _idle(request: Request) -> list[str]:
    """The options given, or the switches in them, that are only kept; without --save nothing at all would happen."""
    options = request.changes.options(Effect.UNENFORCED) + request.changes.options(Effect.RESTART)
    rows = [BY_OPTION[option] for option in options]
    return list(filter(None, (row.idle(request.changes.texts.get(row.key, "")) for row in rows)))


# Writing


def _save(call: Call, request: Request, conf: VeConf) -> None:
    if request.empty:
        call.console.say("No changes in CT configuration, not saving")
        return
    path = call.host.paths.ct_conf(call.ctid)
    old = conf.get("NAME") or ""
    request.changes.edit(conf)
    new = conf.get("NAME") or ""
    with ExitStack() as undo:
        if new and (request.map_names or "NAME" in request.changes.texts):
            names.assign(call.host.paths, call.ctid, new)
            if new != old:
                undo.callback(names.remove, call.host.paths, call.ctid, new)
        if "NAME" in request.changes.texts:
            call.console.say(f"Name {new} assigned")
        _write(conf, path)
        undo.pop_all()
    if old and old != new:
        names.remove(call.host.paths, call.ctid, old)
    call.console.say(f"CT configuration saved to {path}")
    if call.ctid == 0:
        call.console.say("Warning: CT 0 is the host: what is set for it is only kept")
        if "CPUUNITS" in request.changes.texts:
            call.console.say(f"Its CPU weight is VE0CPUUNITS of {call.host.paths.vz_conf}")
    if request.changes.texts.get("PRIVILEGED") == "yes":
        call.console.say(announce.PRIVILEGED)


def _write(conf: VeConf, path: str) -> None:
    try:
        conf.save(path)
    except OSError as error:
        where = os.path.dirname(path) if error.filename is None else error.filename
        raise Failure(Exit.CONFIG_SAVE, f"Unable to save {path}: {where}: {error.strerror}") from error


async def _settle(call: Call, request: Request, facts: Facts, idle: frozenset[str]) -> int:
    """What a saved change that needs a restart means for the running container; for *idle* keys no restart helps."""
    options = [row.option for row in _restarting(request) if row.key not in idle] if facts.running else []
    if not options:
        return Exit.OK
    if request.ignore:
        return Exit.VE_RUNNING
    if request.restart:
        start.check(call)
        call.console.say("Restarting container")
        await call.host.stop(call.ctid, StopOptions(), call.console.say)
        await start.boot(call)
        return Exit.OK
    what = " ".join(f"--{option}" for option in options)
    call.console.say(
        f"Warning: {what} takes effect after a restart of the container (or use --setmode restart)"
    )
    return Exit.OK

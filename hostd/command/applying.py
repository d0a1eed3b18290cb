"""What set does to a container, before anything is written: all of it, or nothing.

Of a login nothing can be taken back, so it comes last: what was done before it is taken back when it fails.
"""

from hostd.command import in_use
from hostd.command.call import Call
from hostd.command.changes import Changes
from hostd.command.host import Change, Facts
from hostd.config import announce, live
from hostd.config.model import effective
from hostd.config.settings import BEANCOUNTERS
from hostd.config.veconf import VeConf
from hostd.errors import VzError
from hostd.log import log
from hostd.userdata.logins import Logins

_UBC_KEYS = frozenset(name.upper() for name in BEANCOUNTERS) | {"AVNUMPROC"}
_UBC_LIVE = _UBC_KEYS & frozenset(live.KEYS)


async def running(
    call: Call, changes: Changes, logins: Logins, facts: Facts, conf: VeConf, *, reset_ub: bool = False
) -> None:
    """Of a container that runs; with *reset_ub* it gets the limits that its file says."""
    if not changes.keys and not reset_ub:
        await _logins(call, logins)
        return
    change = _change(call, changes, logins, facts, conf, reset_ub=reset_ub)
    in_use.check(call.host, call.ctid, change.add)
    await call.host.apply(call.ctid, change, call.console.say)
    if change.keys & _UBC_LIVE:
        call.console.say("UB limits were set successfully")
    if change.delete:
        call.console.say(announce.deleting(change.delete))
    if change.add:
        call.console.say(announce.adding(change.add))
    for line in announce.applying(change.after, change.keys):
        call.console.say(line)


async def down(call: Call, changes: Changes, logins: Logins, facts: Facts, conf: VeConf) -> None:
    """Of one that is down: its disk, and who may log in."""
    resized = "DISKSPACE" in changes.keys and facts.exists
    if resized:
        await _resize(call, changes.edited(conf))
    try:
        await _logins(call, logins)
    except BaseException as error:
        if resized:
            await _resize_back(call, conf, error)
        raise


async def _logins(call: Call, logins: Logins) -> None:
    if logins:
        await call.host.set_logins(call.ctid, logins)


async def _resize(call: Call, conf: VeConf) -> None:
    await call.host.resize(call.ctid, effective(call.ctid, conf, call.host.confs.globals()))


async def _resize_back(call: Call, conf: VeConf, error: BaseException) -> None:
    """To what *conf* says.  *error* tells it when that cannot be."""
    try:
        await _resize(call, conf)
    except VzError as failure:
        log.error("the disk keeps its new size: %s", failure.message)
        if isinstance(error, VzError):
            error.message += f"; the disk keeps its new size: {failure.message}"


def _change(call: Call, changes: Changes, logins: Logins, facts: Facts, conf: VeConf, *, reset_ub: bool) -> Change:
    """From what runs now, whatever the files say by now, to what it shall be: with --reset_ub what they say."""
    globals = call.host.confs.globals()
    keys = _UBC_KEYS if reset_ub else changes.keys
    now, then = live.over(conf, facts.live), live.over(conf, facts.live)
    for key in _UBC_KEYS if reset_ub else ():
        then.set(key, conf.get(key) or "")
    changes.edit(then)
    for key in live.STARTED:  # of these the container has the new value after a restart
        then.set(key, now.get(key) or "")
    before = live.running(call.ctid, conf, facts.live, globals)
    after = effective(call.ctid, then, globals, but=facts.live.keys() - (keys - set(live.STARTED)))
    had, has = ({one.ip for one in config.addresses} for config in (before, after))
    return Change(
        before=before,
        after=after,
        keys=keys,
        add=tuple(one for one in after.addresses if one.ip not in had),
        delete=tuple(one for one in before.addresses if one.ip not in has),
        logins=logins,
    )

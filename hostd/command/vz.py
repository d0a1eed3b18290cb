"""vz: the containers that start with the host and stop with it, as OpenVZ's service of that name.

What is done to a container is what `vzctl` does, with its locks and its messages.  Here is to which, and in what order:
those with the highest BOOTORDER first, at the stop last; a group begins when the one before it has ended.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import groupby
from typing import Protocol

from hostd.command.console import Console
from hostd.command.host import Host
from hostd.config import files, values
from hostd.config.reader import Reader
from hostd.errors import BadConfig, Exit, NoConfig, VzError

HELP = """Usage: vz start|stop|restart|status

  start     start the containers with ONBOOT=yes, and those that ran when the host went down (not with ONBOOT=no)
  stop      suspend all that run, or stop them, as VE_STOP_MODE of vz.conf says; the next start knows them
  restart   stop and start
  status    print whether hostd serves, 0 if so, 3 if not
"""
RUNNING, STOPPED = "OpenVZ is running...\n", "OpenVZ is stopped.\n"  # what OpenVZ's tools look for
# Exit codes of an init script: Linux Standard Base 5.0, "Init Script Actions".
OK, FAILED, BAD_ARGUMENT, NOT_RUNNING = 0, 1, 2, 3

ROUNDS = 3  # of a stop: a container may be held by another action
PAUSE = 1.0  # seconds between two of them
LIFTED = {"CPULIMIT": "--cpulimit", "IOLIMIT": "--iolimit", "IOPSLIMIT": "--iopslimit"}  # of who is to stop

Act = Callable[[int], Awaitable[bool]]


class Vzctl(Protocol):
    async def __call__(self, *argv: str) -> tuple[int, str]:
        """Exit code of `vzctl` with *argv*, and what it had to say of a failure, on one line."""


def offline(argv: Sequence[str]) -> tuple[int, str] | None:
    """Exit code and text of what needs no hostd; None for the rest."""
    match list(argv):
        case ["status"]:
            return NOT_RUNNING, STOPPED
        case ["start" | "stop" | "restart"]:
            return None
    return (OK if "--help" in argv else BAD_ARGUMENT), HELP


async def run(host: Host, console: Console, vzctl: Vzctl, argv: Sequence[str]) -> int:
    service = _Service(host, console, vzctl)
    match list(argv):
        case ["start"]:
            return await service.start()
        case ["stop"]:
            return await service.stop()
        case ["restart"]:
            return await service.stop() or await service.start()
        case ["status"]:
            console.show(RUNNING)
            return OK
    console.show(HELP)
    return OK if "--help" in argv else BAD_ARGUMENT


class _Service:
    def __init__(self, host: Host, console: Console, vzctl: Vzctl) -> None:
        self._host = host
        self._console = console
        self._vzctl = vzctl
        self._globals = host.confs.globals().raw

    async def start(self) -> int:
        if not values.yes_no(self._globals.get("VIRTUOZZO") or "yes"):
            self._console.say("nothing is started: VIRTUOZZO is not yes in vz.conf")
            return OK
        noted = self._noted()
        up = await self._in_order([ctid for ctid in self._host.ids() if self._is_to_start(ctid, noted)], self._start)
        for ctid in noted:
            files.remove(self._note(ctid))
        return OK if up else FAILED

    async def stop(self) -> int:
        for ctid in self._alive():
            os.makedirs(os.path.dirname(self._note(ctid)), exist_ok=True)
            files.replace(self._note(ctid), "")
        down = self._suspend if (self._globals.get("VE_STOP_MODE") or "suspend") == "suspend" else self._stop
        for attempt in range(ROUNDS):
            if attempt:
                await asyncio.sleep(PAUSE)
            if await self._in_order(self._alive(), down, backwards=True):
                break
        mounted = [ctid for ctid in self._host.ids() if self._host.facts(ctid).mounted and ctid not in self._alive()]
        unmounted = await self._in_order(mounted, self._umount, backwards=True)
        return OK if unmounted and not self._alive() else FAILED

    # which

    def _alive(self) -> list[int]:
        return [ctid for ctid in self._host.ids() if self._host.facts(ctid).stoppable]

    def _is_to_start(self, ctid: int, noted: Iterable[int]) -> bool:
        try:
            onboot, disabled = (_yes(self._said(ctid, key)) for key in ("ONBOOT", "DISABLED"))
        except BadConfig:
            return True  # vzctl says what is wrong with it
        except NoConfig:
            return False  # what is there without a file can only be ended
        wanted = onboot or (ctid in noted and onboot is None)
        return wanted and not self._host.facts(ctid).running and not disabled

    def _said(self, ctid: int, key: str) -> str:
        """By the container's file, else by vz.conf; one value, so that a bad one of another key does not matter here.

        Raises NoConfig and BadConfig.
        """
        return Reader((self._host.confs.raw(ctid), self._globals)).value(key, str.strip, "")

    def _noted(self) -> list[int]:
        """Those that ran when the service was stopped."""
        directory = self._host.paths.reboot_dir
        names = os.listdir(directory) if os.path.isdir(directory) else []
        return [int(name) for name in names if name.isdecimal()]

    def _note(self, ctid: int) -> str:
        return f"{self._host.paths.reboot_dir}/{ctid}"

    # in what order

    async def _in_order(self, ctids: Iterable[int], act: Act, *, backwards: bool = False) -> bool:
        """Have each of *ctids* done; True when all succeeded.  One that fails holds up none of the others."""
        places = asyncio.Semaphore(self._parallel())

        async def one(ctid: int) -> bool:
            async with places:
                return await act(ctid)

        outcomes = []
        for _, group in groupby(sorted(ctids, key=self._order, reverse=not backwards), key=self._order):
            outcomes += await asyncio.gather(*map(one, group))
        return all(outcomes)

    def _order(self, ctid: int) -> tuple[bool, int]:
        """Without BOOTORDER: after all that have one."""
        try:
            return True, int(self._said(ctid, "BOOTORDER"))
        except (ValueError, VzError):
            return False, 0

    def _parallel(self) -> int:
        given = self._globals.get("VE_PARALLEL") or ""
        return max(1, int(given)) if given.isdecimal() else 4 * (os.cpu_count() or 1)

    # what

    async def _start(self, ctid: int) -> bool:
        return self._told(f"Starting CT {ctid}", await self._vzctl("start", str(ctid)))

    async def _suspend(self, ctid: int) -> bool:
        code, why = await self._vzctl("--skiplock", "chkpnt", str(ctid))
        if code == OK:
            return self._told(f"Suspending CT {ctid}", (code, why))
        self._console.say(f"CT {ctid} cannot be suspended, and is stopped: {why}")
        return await self._stop(ctid)

    async def _stop(self, ctid: int) -> bool:
        """It may take all the processors and all of the disk that it can get for that."""
        live = self._host.facts(ctid).live  # what the file says is not what runs, and perhaps nothing at all
        if slow := [option for key, option in LIFTED.items() if (live.get(key) or "0") != "0"]:
            await self._vzctl("--skiplock", "set", str(ctid), *(word for option in slow for word in (option, "0")))
        code, why = await self._vzctl("--skiplock", "stop", str(ctid))
        if code not in (OK, Exit.LOCKED) and self._host.facts(ctid).running:  # by CTID.stop: the host goes all the same
            self._console.error(f"CT {ctid} is killed: {why}")
            code, why = await self._vzctl("--skiplock", "stop", str(ctid), "--fast")
        return self._told(f"Stopping CT {ctid}", (code, why))

    async def _umount(self, ctid: int) -> bool:
        return self._told(f"Unmounting CT {ctid}", await self._vzctl("--skiplock", "umount", str(ctid)))

    def _told(self, what: str, outcome: tuple[int, str]) -> bool:
        code, why = outcome
        if code == OK:
            self._console.say(f"{what}: done")
        else:
            self._console.error(f"{what}: {why}")
        return code == OK


def _yes(text: str) -> bool | None:
    """None: neither yes nor no, as OpenVZ 7's `auto`, for which it counts whether the container ran."""
    try:
        return values.yes_no(text)
    except ValueError:
        return None

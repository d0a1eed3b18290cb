"""All services: planned in a child, started in order, stopped in reverse order, and one by one while all runs."""

from vzinit import fds, notify, plan, planning, processes
from vzinit.service import FAILED, OVER, STARTING, STOPPING, UP, WAITING, Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.console import Console
    from vzinit.logs import Logs
    from vzinit.loop import Loop

    Done = Callable[[str], None]

# Results of a job, in systemd's words.
DONE, JOB_FAILED, CANCELED = "done", "failed", "canceled"
JOB_RESULTS = {"success": DONE, "timeout": "timeout", "dependency": "dependency"}  # by that of the service


class Services:
    """`boot()` once; then services may be started and stopped; then `stop(then)` once.

    `on_running(failed)` is called when every service of the boot was started.
    """

    def __init__(self, loop: "Loop", console: "Console", on_running: "Callable[[list[str]], None]") -> None:
        self._loop = loop
        self._console = console
        self._on_running: Callable[[list[str]], None] | None = on_running
        self._then: Callable[[], None] | None = None
        self._going: set[str] = set()  # names of those that are being stopped, each when its turn has come
        self._again: set[str] = set()  # of these, those that are started afterwards
        self._jobs: dict[str, list[tuple[str, Done]]] = {}  # by name: what was asked for, and who waits
        self._notify = notify.NotifySocket(loop, self._notified)
        self._around = processes.Surroundings(console, self._notify.open, open_logs(loop))
        self.table: dict[str, Service] = {}

    def boot(self, on_planned: "Callable[[], None]") -> None:
        """Let a child find out what is to be run; call *on_planned* when that is known; run it."""
        planning.ask(self._loop, self._console, lambda found: self._planned(found, on_planned))

    def _planned(self, found: plan.BootPlan, on_planned: "Callable[[], None]") -> None:
        for note in found.notes:
            self._console.log(note)
        if found.prompt:
            self._console.set_prompt(found.prompt)
        if not self._then:  # else stopped meanwhile
            self.learn(found.services, WAITING)
        on_planned()
        self._changed()
        if found.supervised and not self._then:
            from vzinit import runit

            runit.Scan(self._loop, self, found.supervised)

    def learn(self, plans: "list[plan.ServicePlan]", state: int) -> None:
        """New services, in *state*, and what is new of those that are known.

        What stands before a service and is no unit (init scripts, systemd-tmpfiles), its unit file cannot tell again.
        """
        for one in plans:
            known = self.table.get(one.name)
            if known:
                one.after += [name for name in known.plan.after if name not in one.after and self._is_no_unit(name)]
                known.replan(one)
            else:
                self.table[one.name] = Service(self._loop, one, self._around, self._changed, state)

    def _is_no_unit(self, name: str) -> bool:
        return name in self.table and not self.table[name].plan.grouped

    # Run.

    def start(self, names: list[str], wanted: str, done: "Done") -> None:
        """Start those of *names* that are not up, in their order; `done(result)` is about *wanted*, one of them."""
        if self._then:
            done(CANCELED)
            return
        self._want(names)
        self._wait_for(wanted, "start", done)
        self._changed()

    def _want(self, names: list[str]) -> None:
        for name in names:
            one = self.table[name]
            self._answer(name, "stop", CANCELED)
            if name in self._going or one.state == STOPPING:
                self._again.add(name)
                self._going.add(name)
            elif one.state in OVER:
                one.await_turn()

    def restart(self, names: list[str], pulled: list[str], wanted: str, done: "Done") -> None:
        """Stop *names*; start *wanted*, and those of them that were up, after what they pull in."""
        self._want(pulled)
        self.halt(names, wanted, done, again=True)

    def halt(self, names: list[str], wanted: str, done: "Done", again: bool = False) -> None:
        """Stop *names* in their order, and with *again* those that were up are started afterwards."""
        for name in names:
            one = self.table[name]
            self._answer(name, "start", CANCELED)
            if again:
                self._answer(name, "stop", CANCELED)
            else:
                self._again.discard(name)
            if again and (one.state not in OVER or one.restarts or name == wanted):
                self._again.add(name)
            if one.state not in OVER or one.restarts:
                self._going.add(name)
            elif name in self._again:
                self._again.discard(name)
                one.await_turn()
        self._wait_for(wanted, "start" if again else "stop", done)
        self._changed()

    def _wait_for(self, name: str, kind: str, done: "Done") -> None:
        self._jobs.setdefault(name, []).append((kind, done))

    def _answer(self, name: str, kind: str, result: str) -> None:
        """Tell those that wait for *kind* of *name*."""
        waiting = self._jobs.pop(name, [])
        left = [job for job in waiting if job[0] != kind]
        if left:
            self._jobs[name] = left
        for asked, done in waiting:
            if asked == kind:
                done(result)

    def _changed(self) -> None:
        self._stop_more()
        if not self._then:
            self._start_more()
        self._tell()

    def _gone(self, name: str) -> None:
        self._going.discard(name)
        self._answer(name, "stop", DONE)
        if name in self._again and not self._then:
            self._again.discard(name)
            self.table[name].await_turn()

    def _start_more(self) -> None:
        for one in list(self.table.values()):
            if one.state == WAITING and all(self._has_settled(other) for other in self._before(one)):
                if self._lacks_what_it_requires(one):
                    self._around.log(one.plan.name, "not started: what it requires has failed")
                    one.give_up()
                else:
                    one.start()
        if self._on_running and all(one.is_settled for one in self.table.values()):
            report, self._on_running = self._on_running, None
            report([one.plan.name for one in self.table.values() if one.state == FAILED])

    def _before(self, one: Service) -> list[Service]:
        return [self.table[name] for name in one.plan.after if name in self.table]

    def _has_settled(self, one: Service) -> bool:
        """What comes after *one* need not wait for it: also not for its end, if it was down before that."""
        return one.is_settled and one.plan.name not in self._going

    def _lacks_what_it_requires(self, one: Service) -> bool:
        return any(self.table[name].start_failed for name in one.plan.requires if name in self.table)

    def _tell(self) -> None:
        """Who waits for a service that has settled hears how."""
        for name in list(self._jobs):
            one = self.table[name]
            if name in self._again or name in self._going:
                continue
            if one.restarts:  # it failed; that it is tried again, nobody waits for
                self._answer(name, "start", JOB_RESULTS.get(one.result, JOB_FAILED))
            elif one.state in UP:
                self._answer(name, "start", DONE)
            elif one.state in OVER:
                self._answer(name, "start", CANCELED if one.asked else JOB_RESULTS.get(one.result, JOB_FAILED))
                self._answer(name, "stop", DONE)

    def _notified(self, pid: int, values: dict[str, str]) -> None:
        """A datagram of sd_notify."""
        for one in self._senders(pid):
            named = values.get("MAINPID", "")
            if one.processes.owns(pid) and named.isdigit() and one.processes.may_adopt(int(named)):
                one.processes.adopt(int(named))
            if "STATUS" in values:
                one.status = values["STATUS"][:200]
            if values.get("READY") == "1":
                one.ready()

    def _senders(self, pid: int) -> list[Service]:
        """The service that *pid* belongs to.

        A helper (`systemd-notify`) may be gone before its message is read: if just one service is awaited, it was its.
        """
        everything = list(self.table.values())
        owners = [one for one in everything if one.processes.owns(pid)]
        if owners or processes.is_alive(pid):
            return owners
        awaited = [one for one in everything if one.state == STARTING and one.plan.kind == "notify"]
        return awaited if len(awaited) == 1 else []

    # Stop.

    def stop(self, then: "Callable[[], None]") -> None:
        """Stop what runs, each service after those that were started after it; then call *then*."""
        self._then = then
        self._on_running = None
        self._again.clear()
        self._going = set(self.table)
        self._changed()

    def _stop_more(self) -> None:
        for name in list(self._going):
            if self.table[name].state in OVER and not self.table[name].restarts:
                self._gone(name)
        for name in list(self._going):
            one = self.table[name]
            first = not any(name in self.table[later].plan.after for later in self._going)
            if first and name in self._going and one.state != STOPPING:  # gone: by the stop of the one before
                one.stop()
        if self._then and not self._going:
            then, self._then = self._then, lambda: None
            then()


def open_logs(loop: "Loop") -> "Logs | None":
    """The journal, where the image has a reader of it."""
    if not fds.is_program("/bin/journalctl"):
        return None
    from vzinit.logs import Logs

    try:
        logs = Logs(loop)
        logs.open()
        return logs
    except (OSError, ValueError):
        return None  # no identity, no room: the console has it all

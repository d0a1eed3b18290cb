"""The helper's line to PID 1: what runs, and orders.  The other end is `vzinit.orders`."""

import _socket
import marshal

from vzinit import plan
from vzinit.orders import LARGEST
from vzinit.services import DONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Order = tuple[Any, ...]  # a verb and its arguments; () is none

SERVICES_AT_ONCE = 20  # plans in a message


FIELDS = (
    "name", "state", "restarts", "starting", "main", "control", "result", "code", "signal", "since", "up_since",
    "down_since", "status", "group", "main_since", "count",
)  # fmt: skip


class Refused(Exception):
    """PID 1 could not do it; the text says what."""


class State:
    """What PID 1 knows of a service: `vzinit.orders.row`."""

    name: str
    state: int
    restarts: bool
    starting: bool
    main: int
    control: int
    result: str
    code: int
    signal: int
    since: int
    up_since: int
    down_since: int
    status: str
    group: str
    main_since: int
    count: int

    def __init__(self, row: "tuple[Any, ...]") -> None:
        for name, value in zip(FIELDS, row, strict=True):
            setattr(self, name, value)


class PidOne:
    """Questions wait for their answer; ends of jobs that come meanwhile are kept in `over`: (job, result)."""

    def __init__(self, fd: int) -> None:
        self._socket = _socket.socket(fileno=fd)
        self._job = 0
        self._then: dict[int, Callable[[], Order]] = {}  # by job: what is ordered when it is done
        self.over: list[tuple[int, str]] = []

    def fileno(self) -> int:
        return self._socket.fileno()

    def hear(self) -> None:
        """Take ends of jobs, if there are any left: an answer that was waited for may have come behind them."""
        try:
            while not self._receive(_socket.MSG_DONTWAIT):
                pass
        except BlockingIOError:
            pass

    def _receive(self, flags: int = 0) -> "tuple[Any, ...]":
        """The next message; () for the end of a job.  Raises EOFError when PID 1 is on its way down."""
        data = self._socket.recv(LARGEST, flags)
        if not data:
            raise EOFError("PID 1 has closed")
        message: tuple[Any, ...] = marshal.loads(data)
        if message[0] == "job":
            self._ended(*message[1:])
            return ()
        if message[0] == "error":
            raise Refused(message[1])
        return message

    def _ended(self, number: int, result: str) -> None:
        then = self._then.pop(number, None)
        order = then() if then and result == DONE else ()
        if order:
            self._give(number, order)
        else:
            self.over.append((number, result))

    def finish(self) -> None:
        """What was begun comes to its end, though nobody waits for it any more."""
        while self._then:
            self._receive()

    def _ask(self, *message: "Any") -> "tuple[Any, ...]":
        self._socket.send(marshal.dumps(message))
        while True:
            answer = self._receive()
            if answer:
                return answer

    def states(self) -> dict[str, State]:
        """Every service by name."""
        found: dict[str, State] = {}
        answer = self._ask("list")
        while answer[0] != "end":
            found |= {row[0]: State(row) for row in answer[1]}
            answer = self._receive() or ("rows", [])
        return found

    def learn(self, plans: list[plan.ServicePlan], notes: list[str]) -> None:
        """What services are now, and what the console is to say of them."""
        for at in range(0, len(plans), SERVICES_AT_ONCE):
            part = plan.BootPlan()
            part.services = plans[at : at + SERVICES_AT_ONCE]
            part.notes = notes if at == 0 else []
            self._ask("learn", plan.dump(part))

    def job(self, *order: "Any", then: "Callable[[], Order] | None" = None) -> int:
        """Give an order whose end is told; its number.  When it is done, the job goes on with what *then* orders."""
        self._job += 1
        if then:
            self._then[self._job] = then
        self._give(self._job, order)
        return self._job

    def _give(self, number: int, order: "Order") -> None:
        verb, *arguments = order
        self._socket.send(marshal.dumps((verb, number, *arguments)))

    def kill(self, name: str, whom: str, number: int) -> bool:
        return bool(self._ask("kill", name, whom, number)[1])

    def forgive(self, names: list[str]) -> None:
        self._ask("forgive", names)

    def wake(self, seconds: float) -> None:
        """A timer is due then."""
        self._ask("wake", seconds)

    def down(self, how: str) -> None:
        self._ask("down", how)

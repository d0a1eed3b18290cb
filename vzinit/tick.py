"""The helper that looks at the timers: it starts what is due, tells PID 1 when to look again, and is gone."""

from vzinit import timers
from vzinit.jobs import Jobs, NotHere, key
from vzinit.pid_one import PidOne, Refused


def serve(pid_1: int) -> None:
    link = PidOne(pid_1)
    jobs = Jobs(link)
    states = link.states()
    names, wait = timers.due(lambda name: states.get(key(name, states)))
    for name in names:
        try:
            jobs.start(name)
        except (NotHere, Refused, KeyError, ValueError):
            pass  # it is masked, not for us, or cannot be read: the others are not to suffer
    link.wake(wait)

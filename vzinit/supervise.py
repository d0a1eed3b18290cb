"""When a service that ended is started again.  Pure."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vzinit.plan import ServicePlan

CLEAN_SIGNALS = (1, 2, 13, 15)  # SIGHUP, SIGINT, SIGPIPE, SIGTERM: how daemons are told to end
SIGNAL_NAMES = {
    "SIGHUP": 1,
    "SIGINT": 2,
    "SIGQUIT": 3,
    "SIGABRT": 6,
    "SIGKILL": 9,
    "SIGUSR1": 10,
    "SIGSEGV": 11,
    "SIGTERM": 15,
}
ABORTS = (3, 4, 6, 7, 8, 11, 31)  # signals with a core dump


def wants_restart(plan: "ServicePlan", code: int, signal: int) -> bool:
    """By Restart=, the exit code and the signal (0: none)."""
    if str(code) in plan.no_restart_on and not signal:
        return False
    if signal and any(SIGNAL_NAMES.get(name) == signal for name in plan.no_restart_on):
        return False
    clean = signal in CLEAN_SIGNALS if signal else code == 0
    return {
        "always": True,
        "on-success": clean,
        "on-failure": not clean,
        "on-abnormal": bool(signal) and not clean,
        "on-abort": signal in ABORTS,
    }.get(plan.restart, False)


def within_limit(plan: "ServicePlan", starts: list[float], now: float) -> bool:
    """False when there were `burst` starts in the last `interval` seconds.

    Forgets older ones in *starts*.
    """
    starts[:] = [start for start in starts if now - start < plan.interval]
    return len(starts) < plan.burst

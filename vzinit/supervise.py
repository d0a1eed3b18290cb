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


def is_clean(plan: "ServicePlan", code: int, signal: int) -> bool:
    """How a daemon ends that was told to; SuccessExitStatus= adds to it."""
    if named(plan.success_on, code, signal):
        return True
    return signal in CLEAN_SIGNALS if signal else code == 0


def wants_restart(plan: "ServicePlan", result: str, code: int, signal: int) -> bool:
    """By Restart=, the result (systemd's word), the exit code and the signal (0: none) of the main process."""
    if named(plan.no_restart_on, code, signal):
        return False
    return named(plan.restart_on, code, signal) or {
        "always": True,
        "on-success": result == "success",
        "on-failure": result != "success",
        "on-abnormal": result in ("signal", "timeout"),
        "on-abort": signal in ABORTS,
    }.get(plan.restart, False)


def named(words: list[str], code: int, signal: int) -> bool:
    """One of *words* (exit codes and names of signals) is how it ended."""
    if signal:
        return any(SIGNAL_NAMES.get(word) == signal for word in words)
    return str(code) in words


def within_limit(plan: "ServicePlan", starts: list[float], now: float) -> bool:
    """False when there were `burst` starts in the last `interval` seconds.

    Forgets older ones in *starts*.
    """
    starts[:] = [start for start in starts if now - start < plan.interval]
    return len(starts) < plan.burst

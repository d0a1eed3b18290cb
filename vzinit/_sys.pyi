def reboot(command: int, /) -> None:
    """reboot(2).  Raises OSError; returns only where it does not end PID 1."""

def setrlimit(resource: int, soft: int, hard: int, /) -> None:
    """setrlimit(2), -1 for no limit; of more than may be had, as much as may be.  Raises OSError."""

def reboot(command: int, /) -> None:
    """reboot(2).  Raises OSError; returns only where it does not end PID 1."""

def type_modified(changed: type, /) -> None:
    """Tell the interpreter that the dictionary of *changed* is another now: it caches what it found there."""

"""The commands of a reload, one after the other.  Imported by the first reload: many containers never see one."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.loop import Loop
    from vzinit.processes import Processes


def run(loop: "Loop", processes: "Processes", done: "Callable[[bool], None]") -> None:
    """Run ExecReload= of *processes*, none longer than its start may take; `done(worked)`."""
    todo = list(processes.plan.reload)
    over: list[bool] = []
    ignored = False  # whether the command that runs may fail

    def following(code: int, signal: int) -> None:
        nonlocal ignored
        if over:
            return
        if ((code or signal) and not ignored) or not todo:
            finish(ignored or not (code or signal))
            return
        command = todo.pop(0)
        ignored = "-" in command.flags
        try:
            processes.start(command, None, following)
        except OSError:
            finish(False)

    def finish(worked: bool) -> None:
        over.append(True)
        patience.cancel()
        done(worked)

    patience = loop.after(processes.plan.start_timeout, lambda: finish(False))
    following(0, 0)

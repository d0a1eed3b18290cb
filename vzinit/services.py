"""Starts and stops the services of the distribution."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vzinit.console import Console
    from vzinit.loop import Loop


class Services:
    def __init__(self, loop: "Loop", console: "Console", on_running: "Callable[[list[str]], None]") -> None:
        self._on_running = on_running

    def boot(self) -> None:
        self._on_running([])

    def stop(self, then: "Callable[[], None]") -> None:
        then()

"""PID 1 of a container.  hostd has made the namespaces, the mounts and descriptor 3, the channel."""

import time

STARTED = time.clock_gettime_ns(time.CLOCK_MONOTONIC)

import _socket  # noqa: E402 - the clock is read first
import gc  # noqa: E402
import posix  # noqa: E402
import sys  # noqa: E402

from vzinit import channel, reaper, ring, signals  # noqa: E402
from vzinit.console import Consoles  # noqa: E402
from vzinit.control import Control, describe  # noqa: E402
from vzinit.initctl import Initctl  # noqa: E402
from vzinit.loop import Loop  # noqa: E402
from vzinit.services import Services  # noqa: E402
from vzinit.shutdown import Shutdown  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LAST_WORDS, CHANNEL = 2, 3  # stderr: a memory file that the host holds too; the socket to the host
ABANDONED = 1  # exit code of a PID 1 that was never told to go


def main() -> None:
    posix.set_inheritable(CHANNEL, False)
    posix.umask(0o022)
    posix.chdir("/")

    loop = Loop(lambda where, error: trouble(where, error))
    words = ring.Ring(LAST_WORDS)
    sys.stderr = words
    control = Control(loop, on_go=lambda: services.boot(), on_abandoned=lambda: posix._exit(ABANDONED))
    control.channel.connect(_socket.socket(fileno=CHANNEL))
    control.channel.answer("hello", clock=STARTED)
    control.hand_over_lasting_pair()

    control.consoles = consoles = Consoles(loop, words)
    services = Services(
        loop, consoles.first, on_running=lambda failed: control.channel.report("running", failed=failed)
    )
    control.shutdown = shutdown = Shutdown(
        loop, services.stop, say_bye=lambda how: control.channel.answer("bye", how=how)
    )

    def trouble(where: str, error: BaseException) -> None:
        consoles.first.log(f"vzinit: {where}: {type(error).__name__}: {error}")
        control.channel.report("error", text=f"{where}: {describe(error)}")

    def asked_to_stop(how: str) -> None:
        if not shutdown.how:
            shutdown.begin(how)

    def guarded(step: "Callable[[], None]") -> None:
        try:
            step()
        except OSError as error:
            trouble(step.__qualname__, error)

    signals.watch(loop, on_child=reaper.reap, on_request=asked_to_stop)
    guarded(Initctl(loop, asked_to_stop).open)
    channel.listen_for_rescue(loop, control.host_is_back)
    gc.freeze()  # what is there now is there for ever: no collection looks at it, no child's copies its pages
    gc.enable()
    loop.run()


if __name__ == "__main__":
    main()

"""What PID 1 is made of, put together."""

import gc
import posix
import sys

from vzinit import channel, fds, reaper, ring, signals
from vzinit.console import Consoles
from vzinit.control import Control, describe
from vzinit.initctl import Initctl
from vzinit.loop import Loop
from vzinit.shutdown import Shutdown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable

    from vzinit.services import Services

LAST_WORDS = 2  # stderr: a memory file that the host holds too
ABANDONED = 1  # exit code of a PID 1 that was never told to go
NAME = "/proc/self/comm"


def run(lasting: "socket") -> None:
    """Obey the host on *lasting*, look after everything that runs, until the way down."""
    posix.umask(0o022)
    posix.chdir("/")
    loop = Loop(lambda where, error: trouble(where, error))
    words = ring.Ring(LAST_WORDS)
    sys.stderr = words
    control = Control(loop, lambda: boot(), lambda: hand_over(), on_abandoned=lambda: posix._exit(ABANDONED))
    control.consoles = consoles = Consoles(loop, words)
    control.shutdown = Shutdown(
        loop, lambda then: stop_services(then), say_bye=lambda how: control.channel.answer("bye", how=how)
    )
    services: Services | None = None

    def boot() -> None:
        """The host has been told that we are ready, and nobody waits for these modules."""
        nonlocal services
        from vzinit.orders import Orders
        from vzinit.services import Services

        services = Services(loop, consoles.first, lambda failed: control.channel.report("running", failed=failed))
        orders = Orders(loop, services, consoles.first.log, asked_to_stop)
        control.before_quiet = orders.send_home
        guarded(go_by_init)
        guarded(orders.open)
        guarded(lambda: listen_to_openrc(loop, asked_to_stop))
        services.boot(orders.serve)

    def hand_over() -> None:
        """From here on we are a child of the image's init, which is PID 1."""
        from vzinit import handoff

        guarded(initctl.close)
        control.shutdown = handoff.hand_over(loop, consoles, lambda: control.channel.report("running"))

    def stop_services(then: "Callable[[], None]") -> None:
        services.stop(then) if services else then()

    def trouble(where: str, error: BaseException) -> None:
        consoles.first.log(f"vzinit: {where}: {type(error).__name__}: {error}")
        control.channel.report("error", text=f"{where}: {describe(error)}")

    def asked_to_stop(how: str) -> None:
        control.shutdown.asked(how)

    def guarded(step: "Callable[[], None]") -> None:
        try:
            step()
        except OSError as error:
            trouble(step.__qualname__, error)

    signals.watch(loop, on_child=reaper.reap, on_request=asked_to_stop)
    initctl = Initctl(loop, asked_to_stop)
    guarded(initctl.open)
    channel.listen_for_rescue(loop, control.host_is_back)
    control.channel.connect(lasting)
    gc.freeze()  # what is there now is there for ever: no collection looks at it, no child's copies its pages
    gc.enable()
    loop.run()


def listen_to_openrc(loop: Loop, on_request: "Callable[[str], None]") -> None:
    """Where the image has a command of OpenRC's for a way down.  Raises OSError."""
    if fds.is_program("/sbin/openrc-shutdown"):
        from vzinit import openrc_ctl

        openrc_ctl.listen(loop, on_request)


def go_by_init() -> None:
    """Be `init` in the lists of processes.  Ansible takes any name that it does not know for the service manager's,
    podman takes `systemd` for one that has a bus.  Raises OSError.
    """
    fds.overwrite(NAME, b"init")

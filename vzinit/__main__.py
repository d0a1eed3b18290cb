"""PID 1 of a container.  hostd has made the namespaces, the mounts and descriptor 3, the channel."""

import time

STARTED = time.clock_gettime_ns(time.CLOCK_MONOTONIC)

from vzinit import channel  # noqa: E402 - the clock is read first

CHANNEL = 3


def main() -> None:
    """Greet the host, which has work to do then; the larger part of the modules is imported meanwhile."""
    lasting = channel.greet(CHANNEL, STARTED)

    from vzinit import init

    init.run(lasting)


if __name__ == "__main__":
    main()

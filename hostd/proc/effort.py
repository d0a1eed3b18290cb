"""What it takes to make something that is given to a container, while all the others wait."""

import time

_LONG = 0.002  # seconds of a processor: where making took more, what was made serves again,
_RESTS = 10  # for so many times as long as it took: it takes no more than a tenth of the server's time


class Effort:
    """Of what is made from now on."""

    __slots__ = ("_begun", "_worked")

    def __init__(self) -> None:
        self._begun, self._worked = time.monotonic(), time.process_time()

    def rest(self) -> float:
        """Seconds for which it is to serve again; 0: it was not dear.

        Whether it was the processor says: on a busy machine everything takes long.
        """
        worked = time.process_time() - self._worked
        return (time.monotonic() - self._begun) * _RESTS if worked > _LONG else 0.0

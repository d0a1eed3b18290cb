"""How much each unit may write into the log.

As with journald: so many messages in an interval, apart for each class of priorities, so that a flood of one does not
hide the other; what was left out is counted, and told when the interval is over.  Its bytes are bounded besides.
"""

BURST, INTERVAL = 10000, 30.0  # journald's RateLimitBurst= and RateLimitIntervalSec=
BYTES = 4 << 20  # as much as a file of the journal holds
CLASSES = (0, 0, 0, 1, 2, 3, 3, 4)  # by priority: emergencies, errors, warnings, the usual, debugging
MANY = 256  # shares, after which those that are over are looked for
TOO_MUCH = -1


class Share:
    """What a unit has written since `begin`."""

    __slots__ = ("begin", "bytes", "left_out", "messages")

    def __init__(self, begin: float) -> None:
        self.begin = begin
        self.messages = self.bytes = self.left_out = 0


class Rates:
    """The shares of all units."""

    def __init__(self) -> None:
        self._shares: dict[tuple[str, int], Share] = {}

    def take(self, unit: str, priority: int, size: int, now: float) -> int:
        """TOO_MUCH: leave this message of *size* bytes out.  Else how many of *unit* were left out before it."""
        share = self._share(unit, CLASSES[priority], now)
        if share.messages >= BURST or (share.messages and share.bytes + size > BYTES):
            share.left_out += 1
            return TOO_MUCH
        share.messages += 1
        share.bytes += size
        before, share.left_out = share.left_out, 0
        return before

    def _share(self, unit: str, kind: int, now: float) -> Share:
        """A new one in each interval; what it was not told yet goes over to it."""
        old = self._shares.get((unit, kind))
        if old and now - old.begin <= INTERVAL:
            return old
        if len(self._shares) >= MANY:
            self._shares = {key: one for key, one in self._shares.items() if now - one.begin <= INTERVAL}
        new = self._shares[unit, kind] = Share(now)
        new.left_out = old.left_out if old else 0
        return new

"""OnCalendar= of timers: `daily`, `Mon..Fri *-*-* 06,18:30`, `*:0/15`: the next moment after another.  Pure.

After systemd.time(7), "Calendar Events"; without `~` (days from the end of a month) and other time zones than UTC.
"""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTHANDS = {
    "minutely": "*-*-* *:*:00", "hourly": "*-*-* *:00:00", "daily": "*-*-* 00:00:00", "monthly": "*-*-01 00:00:00",
    "weekly": "Mon *-*-* 00:00:00", "yearly": "*-01-01 00:00:00", "annually": "*-01-01 00:00:00",
    "quarterly": "*-01,04,07,10-01 00:00:00", "semiannually": "*-01,07-01 00:00:00",
}  # fmt: skip
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")  # the first three letters of each
DAYS_AHEAD = 366 * 8 + 1  # a 29th of February on a given day of the week may be as far
DAY = 86400


class Calendar:
    """The sets of what may be; None is everything."""

    def __init__(self, text: str) -> None:
        """Raises ValueError for what is no calendar event."""
        words = SHORTHANDS.get(text.strip().lower(), text).split()
        self.utc = bool(words) and words[-1] == "UTC"
        if self.utc:
            words.pop()
        self.weekdays = weekdays(words.pop(0)) if words and words[0][:1].isalpha() else None
        clock = words.pop() if words and ":" in words[-1] else "00:00:00"
        date = words.pop() if words else "*-*-*"
        if words:
            raise ValueError(f"{text!r} is no calendar event")
        parts = date.split("-")
        self.year, self.month, self.day = (
            numbers(part, low, high)
            for part, low, high in zip(["*", *parts][-3:], (1970, 1, 1), (2200, 12, 31), strict=True)
        )
        hour, minute, second = [*clock.split(":"), "0"][:3]
        self.hours, self.minutes = every(hour, 24), every(minute, 60)
        self.seconds = every(second.partition(".")[0], 60)

    def after(self, moment: float) -> float | None:
        """The first event later than *moment* (seconds since the epoch); None when there is none in sight."""
        split = time.gmtime if self.utc else time.localtime
        today = split(moment)
        start = int(moment) - today.tm_hour * 3600 + DAY // 2  # about noon: a clock that changes leaves the day
        for ahead in range(DAYS_AHEAD):
            noon = split(start + ahead * DAY)
            if self._is_day(noon):
                for hour, minute, second in self._times():
                    found = self._moment(noon, hour, minute, second)
                    if found > moment:
                        return found
        return None

    def _is_day(self, day: time.struct_time) -> bool:
        wanted = (
            (self.weekdays, day.tm_wday), (self.year, day.tm_year), (self.month, day.tm_mon), (self.day, day.tm_mday)
        )  # fmt: skip
        return all(choices is None or value in choices for choices, value in wanted)

    def _times(self) -> "Iterator[tuple[int, int, int]]":
        return ((hour, minute, second) for hour in self.hours for minute in self.minutes for second in self.seconds)

    def _moment(self, day: time.struct_time, hour: int, minute: int, second: int) -> float:
        fields = (day.tm_year, day.tm_mon, day.tm_mday, hour, minute, second, 0, 0, -1)
        if not self.utc:
            return time.mktime(fields)
        month = (day.tm_mon + 9) % 12  # of a year that begins in March, so that the day that leaps is its last
        year = day.tm_year - (month >= 10)
        days = 365 * year + year // 4 - year // 100 + year // 400 + (306 * month + 5) // 10 + day.tm_mday - 719469
        return days * DAY + hour * 3600 + minute * 60 + second


def numbers(text: str, low: int, high: int) -> set[int] | None:
    """`*`, `1,15`, `1..5`, `*/2`, `3/4`; None is everything.  Raises ValueError."""
    if text == "*":
        return None
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("..")
        begin = low if first == "*" else int(first)
        end = int(last) if last else high if step else begin
        found |= set(range(begin, end + 1, int(step or 1)))
    if not found <= set(range(low, high + 1)):
        raise ValueError(f"{text!r} is not within {low}..{high}")
    return found


def every(text: str, count: int) -> list[int]:
    found = numbers(text, 0, count - 1)
    return sorted(range(count) if found is None else found)


def weekdays(text: str) -> set[int]:
    """`Mon`, `Mon..Fri`, `Sat,Sun`; Monday is 0.  Raises ValueError."""
    found: set[int] = set()
    for part in text.strip(",").split(","):
        first, _, last = part.lower().partition("..")
        begin, end = WEEKDAYS.index(first[:3]), WEEKDAYS.index((last or first)[:3])
        found |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return found

"""Values beyond what there is.  They are clamped, as in OpenVZ; whoever gives one is told."""

from hostd.config.settings import Setting
from hostd.config.values import PAGE, UNLIMITED

_NO_LIMIT = ("unlimited", str(UNLIMITED))
_MOST_MEMORY = (str(-(-UNLIMITED // PAGE)), _NO_LIMIT)
# By option: the most as it is stored, and the words that mean just that.
_MOST = {
    "ram": _MOST_MEMORY,
    "swap": _MOST_MEMORY,
    "iolimit": (str(2**31 - 1), ("2147483647b",)),
}


def line(row: Setting, given: str, stored: str) -> str:
    """What to say of *given*, of which *stored* was made; "" when it is all there."""
    most, words = _MOST.get(row.option, ("unlimited", _NO_LIMIT))
    made = stored.split(":")[-1:] if row.option in _MOST else stored.split(":")
    for one, found in zip(given.split(":"), made, strict=False):  # one value may have become two
        if found == most and one.lower() not in words:
            return f"Warning: --{row.option} {given} is more than there can be: it becomes {stored}"
    return ""

"""How much slower than a common machine this one is: waits that only a failing test reaches are as much longer.

VZ_SLOW=6 in an emulated machine (docs/testing.md).  What a test checks does not change with it.
"""

import os

SLOW = float(os.environ.get("VZ_SLOW", "1"))


def patient(seconds: float) -> float:
    """*seconds* on a common machine, in seconds here."""
    return seconds * SLOW

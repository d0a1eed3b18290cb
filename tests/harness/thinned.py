"""Every combination, or each case in one of them: VZ_THINNED=1, where all would take hours (docs/testing.md)."""

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def cases(all_of_them: Sequence[T], variant: int, variants: int) -> list[T]:
    """Those for *variant*, the first of *variants* being 0: thinned, each case is in one variant."""
    thinned = os.environ.get("VZ_THINNED") == "1"
    return list(all_of_them[variant::variants] if thinned else all_of_them)

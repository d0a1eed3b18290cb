"""UTF-8, by name only: the interpreter's own code has all the work."""

import _codecs


class Codec(tuple):  # type: ignore[type-arg]
    name = "utf-8"


def find(name: str) -> Codec | None:
    if name in ("utf_8", "utf-8", "utf8"):
        return Codec((_codecs.utf_8_encode, _codecs.utf_8_decode, None, None))
    return None


_codecs.register(find)  # type: ignore[arg-type]

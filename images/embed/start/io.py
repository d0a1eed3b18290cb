"""Standard streams: text written is written at once, as bytes of UTF-8.  Nothing else can be opened."""

import posix


class TextIOWrapper:
    """One of the three; the interpreter makes it of what `open` answered, and gives it a name and a mode."""

    name = mode = ""

    def __init__(self, raw: "TextIOWrapper | int", *_settings: object) -> None:
        self.raw = self
        self.fd: int = raw if isinstance(raw, int) else raw.fd

    def isatty(self) -> bool:
        """What the interpreter asks in order to choose a way of buffering."""
        return False

    def fileno(self) -> int:
        return self.fd

    def write(self, text: str) -> None:
        data = text.encode("utf-8", "surrogateescape")
        while data:
            data = data[posix.write(self.fd, data) :]

    def flush(self) -> None:
        """Nothing is held back."""


def open(file: int, *_settings: object) -> TextIOWrapper:
    """The stream of a descriptor.  Raises OSError for a path: the interpreter looks for sources to quote them."""
    if not isinstance(file, int):
        raise OSError("no files here")
    return TextIOWrapper(file)

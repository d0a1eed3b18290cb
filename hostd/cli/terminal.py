"""The terminal that the command was typed on: raw while a relay has it, and given back as it was."""

import termios


class Terminal:
    """stdin, if it is a terminal; `is_one` is known once it was made raw."""

    def __init__(self) -> None:
        self._saved: list[int | list[bytes | int]] | None = None

    @property
    def is_one(self) -> bool:
        return self._saved is not None

    def make_raw(self) -> None:
        """No echo, no lines, no signals, no translation: every byte is the container's.  As cfmakeraw(3)."""
        try:
            iflag, oflag, cflag, lflag, ispeed, ospeed, cc = termios.tcgetattr(0)
            self._saved = self._saved or termios.tcgetattr(0)
        except termios.error:
            return
        iflag &= ~(
            termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
            | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
        )  # fmt: skip
        oflag &= ~termios.OPOST
        lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        cflag = cflag & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        cc[termios.VMIN], cc[termios.VTIME] = 1, 0
        termios.tcsetattr(0, termios.TCSADRAIN, [iflag, oflag, cflag, lflag, ispeed, ospeed, cc])

    def give_back(self) -> None:
        if self._saved:
            try:
                termios.tcsetattr(0, termios.TCSANOW, self._saved)
            except termios.error:
                pass  # the terminal is gone

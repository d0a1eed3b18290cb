"""ESC . and ESC ! at the start of a line, picked out of what the user types on a console.  Pure."""

ESC = 0x1B
DETACH = 0x2E  # .
ATTENTION = 0x21  # !
_LINE_ENDS = b"\r\n"


class Escapes:
    """Holds back an ESC at the start of a line until the next byte tells what it was."""

    def __init__(self) -> None:
        self.line_start = True
        self.held = False

    def feed(self, data: bytes) -> tuple[bytes, list[int]]:
        """The bytes to pass on and the escapes (DETACH, ATTENTION) in order; nothing passes after DETACH."""
        passed = bytearray()
        commands = []
        for byte in data:
            if self.held:
                self.held = False
                if byte in (DETACH, ATTENTION):
                    commands.append(byte)
                    if byte == DETACH:
                        break
                    continue
                passed.append(ESC)
                self.line_start = False
            if byte == ESC and self.line_start:
                self.held = True
                continue
            passed.append(byte)
            self.line_start = byte in _LINE_ENDS
        return bytes(passed), commands

"""Frames between vzinit and hostd, keeper and daemon, command and daemon: bytes <-> (verb, fields).

A frame is one SEQPACKET datagram that looks like an environ block: `verb\\0key=value\\0key=value\\0`.  Keys may
repeat (argv), values are any text without NUL; descriptors travel beside the frame by SCM_RIGHTS.  Pure: no I/O,
and nothing imported, because PID 1 and the commands pay for every import.
"""

MAX_FRAME = 128 * 1024  # bytes; fits the default socket buffer (net.core.wmem_default 212992)

Fields = dict[str, list[str]]


class BadFrame(ValueError):
    """The bytes are not a frame, or the fields cannot become one."""


def encode(verb: str, **fields: object) -> bytes:
    """One frame.  A field is text, a number, or a list/tuple of those (repeated key); None is left out."""
    parts = [verb]
    for key, value in fields.items():
        if value is None:
            continue
        for item in value if isinstance(value, (list, tuple)) else (value,):
            parts.append(f"{key}={item}")
    for part in parts:
        if "\0" in part:
            raise BadFrame(f"NUL in a field of {verb}")
    frame = ("\0".join(parts) + "\0").encode("utf-8", "surrogateescape")
    if len(frame) > MAX_FRAME:
        raise BadFrame(f"{verb}: {len(frame)} bytes are more than a message can carry ({MAX_FRAME})")
    return frame


def decode(frame: bytes) -> tuple[str, Fields]:
    """The verb and the fields of *frame*, every field as the list of its values in order."""
    if not frame.endswith(b"\0"):
        raise BadFrame("frame without an end")
    verb, *parts = frame[:-1].decode("utf-8", "surrogateescape").split("\0")
    fields: Fields = {}
    for part in parts:
        key, mark, value = part.partition("=")
        if not mark:
            raise BadFrame(f"{verb}: field without a value: {part[:40]!r}")
        fields.setdefault(key, []).append(value)
    return verb, fields


def one(fields: Fields, key: str, default: str = "") -> str:
    """The only (or first) value of *key*, or *default*."""
    values = fields.get(key)
    return values[0] if values else default

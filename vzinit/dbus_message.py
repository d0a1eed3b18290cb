"""Messages of D-Bus: headers and bodies, after the "Message Format" chapter of the specification."""

from vzinit.dbus_wire import BadMessage, is_word, marshal, unmarshal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY_EXPECTED = 1  # a flag
VERSION = 1
HEADER = "yyyyuua(yv)"  # order, kind, flags, version, length of the body, serial, fields
FIXED = 16  # bytes, up to and with the length of the fields
FIELDS = {  # number: (attribute, type)
    1: ("path", "o"),
    2: ("interface", "s"),
    3: ("member", "s"),
    4: ("error_name", "s"),
    5: ("reply_serial", "u"),
    6: ("destination", "s"),
    7: ("sender", "s"),
    8: ("signature", "g"),
}
REQUIRED = {
    CALL: ("path", "member"),
    RETURN: ("reply_serial",),
    ERROR: ("error_name", "reply_serial"),
    SIGNAL: ("path", "interface", "member"),
}
ORDERS = {ord("l"): True, ord("B"): False}  # first byte: whether the message is little endian
MAX_NAME = 255
# The specification allows 128 MiB.  No question to us is near this, and who asks is root of a guest.
MAX_MESSAGE = 1 << 20


class Message:
    """One message.  A header field that is not there is "" or 0; `serial` is set when it is sent."""

    def __init__(
        self, kind: int, signature: str = "", body: "Sequence[Any]" = (), *, reply_serial: int = 0, **names: str
    ) -> None:
        """*names* are the other header fields, by their attributes."""
        self.kind = kind
        self.flags = 0
        self.serial = 0
        self.path = names.pop("path", "")
        self.interface = names.pop("interface", "")
        self.member = names.pop("member", "")
        self.error_name = names.pop("error_name", "")
        self.destination = names.pop("destination", "")
        self.sender = names.pop("sender", "")
        self.reply_serial = reply_serial
        self.signature = signature
        self.body = list(body)
        if names:
            raise TypeError(f"no header fields: {', '.join(names)}")

    def wants_reply(self) -> bool:
        return self.kind == CALL and not self.flags & NO_REPLY_EXPECTED

    def method_return(self, signature: str = "", *body: "Any") -> "Message":
        """The answer to this call."""
        return Message(RETURN, signature, body, reply_serial=self.serial, destination=self.sender)

    def error(self, name: str, text: str) -> "Message":
        """The refusal of this call; *text* is for people."""
        names = {"error_name": name, "destination": self.sender}
        return Message(ERROR, "s", [text], reply_serial=self.serial, **names)

    def __repr__(self) -> str:
        names = [f"{name}={value!r}" for name, _ in FIELDS.values() if (value := getattr(self, name))]
        return f"<{self.kind} #{self.serial} {' '.join(names)} {self.body!r}>"


def signal(path: str, interface: str, member: str, signature: str = "", *body: "Any") -> Message:
    return Message(SIGNAL, signature, body, path=path, interface=interface, member=member)


def encode(message: Message, little_endian: bool = True) -> bytes:
    """The bytes of *message*.  Raises BadMessage when a field is missing or wrong."""
    _check(message)
    body = marshal(message.signature, message.body, little_endian)
    fields = [
        (number, (code, value)) for number, (name, code) in FIELDS.items() if (value := getattr(message, name))
    ]
    order = ord("l" if little_endian else "B")
    row = [order, message.kind, message.flags, VERSION, len(body), message.serial, fields]
    header = marshal(HEADER, row, little_endian)
    return header + bytes(-len(header) % 8) + body


def size_of(data: bytes) -> int:
    """How long the message is that *data* begins with; 0 while that cannot be told.

    Raises BadMessage when it is no message, or one that is too long for us.
    """
    if data and data[0] not in ORDERS:
        raise BadMessage("no byte order at the start of a message")
    if len(data) < FIXED:
        return 0
    body, _, fields = unmarshal("uuu", data[4:FIXED], ORDERS[data[0]])
    size: int = _padded(FIXED + fields) + body
    if size > MAX_MESSAGE:
        raise BadMessage(f"a message of {size} bytes")
    return size


def decode(data: bytes) -> Message:
    """The message that is *data*.  Raises BadMessage.

    A kind that the specification does not know is let through, since it is to be ignored.
    """
    if len(data) < FIXED or size_of(data) != len(data):
        raise BadMessage("not the bytes of one message")
    little = ORDERS[data[0]]
    fields_end = FIXED + unmarshal("u", data[12:FIXED], little)[0]
    start = _padded(fields_end)
    _, kind, flags, version, _, serial, fields = unmarshal(HEADER, data[:fields_end], little)
    if version != VERSION or not kind or not serial or any(data[fields_end:start]):
        raise BadMessage("bad header")
    message = Message(kind)
    message.flags, message.serial = flags, serial
    for number, content in fields:
        _set_field(message, number, content)
    _check(message)
    message.body = unmarshal(message.signature, data[start:], little)
    return message


def _padded(size: int) -> int:
    return size + -size % 8


def _set_field(message: Message, number: int, content: "tuple[str, Any]") -> None:
    if not number:
        raise BadMessage("a header field 0")
    if number in FIELDS:  # others come with later versions, and are to be ignored
        name, code = FIELDS[number]
        if content[0] != code:
            raise BadMessage(f"{name} of type {content[0]!r}")
        setattr(message, name, content[1])


def _check(message: Message) -> None:
    """Raises BadMessage when a field that the kind of message needs is missing, or a name is none."""
    for name in REQUIRED.get(message.kind, ()):
        if not getattr(message, name):
            raise BadMessage(f"a message of kind {message.kind} without {name}")
    if message.member and not (is_word(message.member) and len(message.member) <= MAX_NAME):
        raise BadMessage("a bad name of a member")
    if not all(is_name(name) for name in (message.interface, message.error_name) if name):
        raise BadMessage("a bad name of an interface or an error")


def is_name(text: str) -> bool:
    """Whether *text* may name an interface or an error: two words or more, joined by dots."""
    words = text.split(".")
    return len(words) > 1 and len(text) <= MAX_NAME and all(is_word(word) for word in words)

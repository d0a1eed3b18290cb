"""Values of D-Bus <-> bytes, after the "Type System" and "Marshaling" chapters of the D-Bus specification.

| type | in Python | |
|---|---|---|
| y n q i u x t h | int | h is an index into the descriptors beside the message |
| b | bool | |
| s o g | str | o and g are checked; of s, what UTF-8 cannot carry is sent as "?" |
| a | list | a{} is a dict; ay is bytes (and any iterable of numbers may be sent) |
| ( ) | tuple | any sequence may be sent |
| v | (signature, value) | |

d is left out: nothing that we speak has one.  Pure: no I/O.  The bytes come from whoever has a socket, so each length
is compared with what is there before anything is made from it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    Order = Literal["little", "big"]
    Type = tuple[str, tuple["Type", ...]]  # a code and, for containers, what is in them

NUMBERS = {  # code: (bytes, signed)
    "y": (1, False), "n": (2, True), "q": (2, False), "i": (4, True), "u": (4, False),
    "x": (8, True), "t": (8, False), "b": (4, False), "h": (4, False),
}  # fmt: skip
LENGTHS = {"s": "u", "o": "u", "g": "y"}  # the number in front of the text
BASIC = {*NUMBERS, *LENGTHS}
ALIGNMENT = {code: size for code, (size, _) in NUMBERS.items()}
ALIGNMENT |= {"s": 4, "o": 4, "g": 1, "a": 4, "v": 1, "(": 8, "{": 8}
CLOSING = {"(": ")", "{": "}"}
LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
DIGITS = frozenset("0123456789")

# The specification's limits.
MAX_SIGNATURE = 255
MAX_NESTING = 32  # of arrays, and as many of structures
MAX_DEPTH = 64  # of values, with the variants
MAX_ARRAY = 64 << 20  # bytes


class BadMessage(ValueError):
    """The bytes are not D-Bus, or the values cannot become bytes."""


def marshal(signature: str, values: "Sequence[Any]", little_endian: bool = True) -> bytes:
    """The bytes of *values*, one for each complete type of *signature*.

    Raises BadMessage for values that do not fit.
    """
    types = types_of(signature)
    if len(types) != len(values):
        raise BadMessage(f"{len(values)} values for the signature {signature!r}")
    writer = Writer("little" if little_endian else "big")
    try:
        for kind, value in zip(types, values, strict=True):
            writer.write(kind, value)
    except BadMessage:
        raise
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise BadMessage(f"a value does not fit {signature!r}: {error}") from None
    return bytes(writer.out)


def unmarshal(signature: str, data: bytes, little_endian: bool = True) -> "list[Any]":
    """The values in *data*, all of it.  Raises BadMessage."""
    reader = Reader(data, "little" if little_endian else "big")
    values = [reader.read(kind) for kind in types_of(signature)]
    if reader.at != len(data):
        raise BadMessage("more bytes than the signature explains")
    return values


def types_of(signature: str) -> "list[Type]":
    """The complete types of *signature*.  Raises BadMessage."""
    if len(signature) > MAX_SIGNATURE:
        raise BadMessage("the signature is too long")
    found, at = [], 0
    while at < len(signature):
        kind, at = _type_at(signature, at, 0, 0)
        found.append(kind)
    return found


def single_type(signature: str) -> "Type":
    """The one complete type of *signature*, as a variant has it.  Raises BadMessage."""
    found = types_of(signature)
    if len(found) != 1:
        raise BadMessage(f"{signature!r} is not one type")
    return found[0]


def _type_at(signature: str, at: int, arrays: int, structures: int) -> "tuple[Type, int]":
    """The type that begins at *at*, and where the next one does."""
    code = signature[at : at + 1]
    if code in BASIC or code == "v":
        return (code, ()), at + 1
    if code == "a" and arrays < MAX_NESTING:
        # Only here may an entry of a dictionary be.
        read = _members if signature[at + 1 : at + 2] == "{" else _type_at
        element, at = read(signature, at + 1, arrays + 1, structures)
        return (code, (element,)), at
    if code == "(":
        return _members(signature, at, arrays, structures)
    raise BadMessage(f"bad signature {signature!r}")


def _members(signature: str, at: int, arrays: int, structures: int) -> "tuple[Type, int]":
    """A structure or an entry of a dictionary."""
    code, at = signature[at], at + 1
    members: list[Type] = []
    while signature[at : at + 1] != CLOSING[code] and structures < MAX_NESTING:
        kind, at = _type_at(signature, at, arrays, structures + 1)
        members.append(kind)
    entry = len(members) == 2 and members[0][0] in BASIC
    if not members or (code == "{" and not entry):
        raise BadMessage(f"bad signature {signature!r}")
    return (code, tuple(members)), at + 1


def is_path(text: str) -> bool:
    """Whether *text* is an object path."""
    return text == "/" or (text[:1] == "/" and all(is_word(part, DIGITS) for part in text[1:].split("/")))


def is_word(text: str, first: "frozenset[str]" = frozenset()) -> bool:
    """Whether *text* is one element of a name; *first* may begin it too."""
    return text[:1] in LETTERS | first and set(text) <= LETTERS | DIGITS


class Writer:
    """Bytes that grow; alignment counts from the first one."""

    def __init__(self, order: "Order") -> None:
        self.out = bytearray()
        self._order = order

    def write(self, kind: "Type", value: "Any", depth: int = 0) -> None:
        """Add *value*.  Raises BadMessage, or what Python says when the type of *value* is wrong."""
        code, inner = kind
        if depth > MAX_DEPTH:
            raise BadMessage("nested too deep")
        if code in NUMBERS:
            self._number(code, value)
        elif code in LENGTHS:
            self._text(code, value)
        elif code == "a":
            self._array(inner[0], value, depth)
        elif code == "v":
            signature, content = value
            self._text("g", signature)
            self.write(single_type(signature), content, depth + 1)
        else:
            self._align(code)
            for one, member in zip(inner, value, strict=True):
                self.write(one, member, depth + 1)

    def _align(self, code: str) -> None:
        self.out += bytes(-len(self.out) % ALIGNMENT[code])

    def _number(self, code: str, value: int) -> None:
        size, signed = NUMBERS[code]
        self._align(code)
        self.out += (bool(value) if code == "b" else value).to_bytes(size, self._order, signed=signed)

    def _text(self, code: str, value: str) -> None:
        check_text(code, value)
        data = value.encode("utf-8", "replace")  # names and descriptions of a guest may hold anything
        self._number(LENGTHS[code], len(data))
        self.out += data + b"\0"

    def _array(self, element: "Type", value: "Any", depth: int) -> None:
        self._number("u", 0)
        mark = len(self.out)
        self._align(element[0])
        start = len(self.out)
        if element[0] == "y":
            self.out += bytes(iter(value))  # of an iterator: bytes(3) would be three of them
        else:
            for item in value.items() if element[0] == "{" else value:
                self.write(element, item, depth + 1)
        length = len(self.out) - start
        if length > MAX_ARRAY:
            raise BadMessage("the array is too long")
        self.out[mark - 4 : mark] = length.to_bytes(4, self._order)


class Reader:
    """A position in bytes of which nothing is believed."""

    def __init__(self, data: bytes, order: "Order") -> None:
        self.at = 0
        self._data = data
        self._order = order

    def read(self, kind: "Type", depth: int = 0) -> "Any":
        """The next value.  Raises BadMessage."""
        code, inner = kind
        if depth > MAX_DEPTH:
            raise BadMessage("nested too deep")
        if code in NUMBERS:
            return self._number(code)
        if code in LENGTHS:
            return self._text(code)
        if code == "a":
            return self._array(inner[0], depth)
        if code == "v":
            signature = self._text("g")
            return signature, self.read(single_type(signature), depth + 1)
        self._align(code)
        return tuple([self.read(one, depth + 1) for one in inner])

    def _take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self._data):
            raise BadMessage("the bytes end early")
        data, self.at = self._data[self.at : end], end
        return data

    def _align(self, code: str) -> None:
        if any(self._take(-self.at % ALIGNMENT[code])):
            raise BadMessage("padding that is not zero")

    def _number(self, code: str) -> int:
        size, signed = NUMBERS[code]
        self._align(code)
        value = int.from_bytes(self._take(size), self._order, signed=signed)
        if code != "b":
            return value
        if value > 1:
            raise BadMessage("a boolean that is neither 0 nor 1")
        return bool(value)

    def _text(self, code: str) -> str:
        data = self._take(self._number(LENGTHS[code]) + 1)
        if data[-1]:
            raise BadMessage("a text without its end")
        try:
            text = data[:-1].decode()
        except UnicodeDecodeError:
            raise BadMessage("a text that is not UTF-8") from None
        check_text(code, text)
        return text

    def _array(self, element: "Type", depth: int) -> "Any":
        length = self._number("u")
        self._align(element[0])
        end = self.at + length
        if length > MAX_ARRAY or end > len(self._data):
            raise BadMessage("the array is too long")
        if element[0] == "y":
            return self._take(length)
        items = []
        while self.at < end:  # every type has one byte at least
            items.append(self.read(element, depth + 1))
        if self.at > end:
            raise BadMessage("an element reaches beyond its array")
        return dict(items) if element[0] == "{" else items


def check_text(code: str, text: str) -> None:
    """Raises BadMessage when *text* is not of type *code*."""
    if "\0" in text:
        raise BadMessage("NUL in a text")
    if code == "o" and not is_path(text):
        raise BadMessage(f"{text[:80]!r} is no object path")
    if code == "g":
        types_of(text)

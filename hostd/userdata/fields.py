"""A map of cloud-config, read key by key: what nobody asks for is noted, what cannot be used raises ValueError."""

TRUE, FALSE = ("true", "yes", "on", "y", "1"), ("false", "no", "off", "n", "0", "")


class Fields:
    """The map *raw*, called *where* in messages; the keys that `rest` finds unread are added to *unknown*."""

    def __init__(self, raw: object, where: str, unknown: list[str]) -> None:
        if not isinstance(raw, dict):
            raise ValueError(f"{where or 'all of it'} must be a map of keys")
        self._raw: dict[object, object] = raw
        self._where = where
        self._unknown = unknown
        self._read: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._raw

    def name(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key

    def raw(self, key: str) -> object:
        """Whatever it is; "" when it is not there."""
        self._read.add(key)
        return self._raw.get(key, "")

    def text(self, key: str, default: str = "") -> str:
        value = self.raw(key) if key in self else default
        if not isinstance(value, str):
            raise ValueError(f"{self.name(key)} must be a text")
        return value

    def line(self, key: str, default: str = "") -> str:
        """A text that will stand on a line of its own."""
        return one_line(self.text(key, default), self.name(key))

    def flag(self, key: str, default: bool) -> bool:
        text = self.text(key, str(default)).lower()
        if text not in TRUE + FALSE:
            raise ValueError(f"{self.name(key)} must be true or false")
        return text in TRUE

    def items(self, key: str) -> list[object]:
        """A list; a text or a map stands for a list of one."""
        value = self.raw(key)
        return value if isinstance(value, list) else [value] if value else []

    def lines(self, key: str) -> list[str]:
        """The texts of a list, each on a line of its own."""
        found = []
        for number, value in enumerate(self.items(key)):
            if not isinstance(value, str):
                raise ValueError(f"{self.name(key)}.{number} must be a text")
            found.append(one_line(value, f"{self.name(key)}.{number}"))
        return found

    def words(self, key: str) -> list[str]:
        """The same; a text may also be several with commas between."""
        return [word.strip() for text in self.lines(key) for word in text.split(",") if word.strip()]

    def map(self, key: str) -> "Fields":
        return Fields(self.raw(key) or {}, self.name(key), self._unknown)

    def maps(self, key: str, of_text: str = "") -> "list[Fields]":
        """The maps of a list; with *of_text* a text stands for a map that has only this key."""
        found = []
        for number, one in enumerate(self.items(key)):
            raw = {of_text: one} if of_text and isinstance(one, str) else one
            found.append(Fields(raw, f"{self.name(key)}.{number}", self._unknown))
        return found

    def rest(self) -> None:
        """All that is known has been read."""
        self._unknown += [self.name(str(key)) for key in self._raw if key not in self._read]


def one_line(text: str, where: str) -> str:
    text = text.strip()
    if not text.isprintable():
        raise ValueError(f"{where} must be one line")
    return text

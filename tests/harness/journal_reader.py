"""A reader of journal files that shares nothing with the writer: what is in them, and whether they are in order."""

import glob
import os
import struct
from dataclasses import dataclass
from typing import Any

HEADER = struct.Struct("<8sIIB7x16s16s16s16s21QIIQ")
NAMES = [
    "signature", "compatible", "incompatible", "state", "file_id", "machine_id", "boot_id", "seqnum_id",
    "header_size", "arena_size", "data_table", "data_table_size", "field_table", "field_table_size",
    "tail_object", "objects", "entries", "tail_seqnum", "head_seqnum", "entry_array", "head_realtime",
    "tail_realtime", "tail_monotonic", "data", "fields", "tags", "entry_arrays", "data_depth", "field_depth",
    "tail_entry_array", "tail_entry_array_items", "tail_entry",
]  # fmt: skip
DATA, FIELD, ENTRY, DATA_TABLE, FIELD_TABLE, ARRAY = range(1, 7)
STATES = OFFLINE, ONLINE, ARCHIVED = range(3)


@dataclass(frozen=True)
class Entry:
    seqnum: int
    realtime: int
    monotonic: int
    boot_id: bytes
    fields: frozenset[bytes]


class Reader:
    """The file *path* as it is now.  AssertionError as soon as something that is looked at makes no sense."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            self.content = file.read()
        self.header: dict[str, Any] = dict(zip(NAMES, HEADER.unpack_from(self.content), strict=True))
        assert self["signature"] == b"LPKSHHRH" and self["state"] in STATES
        assert (self["compatible"], self["incompatible"], self["header_size"]) == (0, 0, HEADER.size)
        assert self["header_size"] + self["arena_size"] <= len(self.content)

    def __getitem__(self, name: str) -> Any:
        return self.header[name]

    def words(self, offset: int, count: int) -> tuple[int, ...]:
        return struct.unpack_from(f"<{count}Q", self.content, offset)

    def object(self, offset: int, kind: int) -> bytes:
        """The content of the object at *offset*, which is of that kind."""
        assert offset % 8 == 0 and offset >= HEADER.size
        found, size = self.words(offset, 2)
        assert found == kind and 16 < size <= len(self.content) - offset
        return self.content[offset + 16 : offset + size]

    def array(self, offset: int, count: int) -> list[int]:
        """The first *count* entries of a chain of arrays."""
        found: list[int] = []
        while len(found) < count:
            following, *items = struct.unpack(f"<{len(self.object(offset, ARRAY)) // 8}Q", self.object(offset, ARRAY))
            found += items[: count - len(found)]
            offset = following
        assert found == sorted(set(found))
        return found

    def entry(self, offset: int) -> tuple[Entry, list[int]]:
        """The entry at *offset*, and the offsets of its data."""
        content = self.object(offset, ENTRY)
        seqnum, realtime, monotonic, boot_id, xor = struct.unpack_from("<QQQ16sQ", content)
        items = list(struct.iter_unpack("<QQ", content[48:]))
        for data, hash in items:
            assert struct.unpack_from("<Q", self.object(data, DATA))[0] == hash
            xor ^= hash
        assert xor == 0 and items == sorted(set(items))
        fields = frozenset(self.object(data, DATA)[48:] for data, _ in items)
        return Entry(seqnum, realtime, monotonic, boot_id, fields), [data for data, _ in items]

    def entries(self) -> list[Entry]:
        """All entries, as `journalctl` without arguments finds them."""
        offsets = self.array(self["entry_array"], self["entries"])
        return [self.entry(offset)[0] for offset in offsets]

    def chained(self, table: str, kind: int, complete: bool = False) -> dict[int, bytes]:
        """Everything that a hash table leads to, by offset; in a *complete* file, to the end of each chain."""
        found = {}
        size = self[table + "_size"]
        for cell in range(0, size, 16):
            offset, last = self.words(self[table] + cell, 2)
            while offset:
                found[offset] = self.object(offset, kind)
                hash, following = struct.unpack_from("<QQ", found[offset])
                assert hash % (size // 16) * 16 == cell
                assert not complete or (offset == last) == (not following)
                offset = following
        return found

    def listed(self) -> dict[bytes, list[int]]:
        """All data, with the offsets of the entries that have it: what a match finds."""
        found = {}
        for content in self.chained("data_table", DATA).values():
            first, array, count = struct.unpack_from("<QQQ", content, 24)
            found[content[48:]] = [first, *self.array(array, count - 1)]
        return found

    def check(self) -> None:
        """Everything is linked up, counted, and nothing is there twice."""
        kinds = self._walk()
        counted = [self[name] for name in ("data", "fields", "entries", "entry_arrays", "objects")]
        assert counted == [kinds.count(kind) for kind in (DATA, FIELD, ENTRY, ARRAY)] + [len(kinds)]
        data, fields = self.chained("data_table", DATA, True), self.chained("field_table", FIELD, True)
        assert (len(data), len(fields)) == (kinds.count(DATA), kinds.count(FIELD))
        self._check_fields(data, fields)
        offsets = self.array(self["entry_array"], self["entries"])
        having: dict[bytes, list[int]] = {content[48:]: [] for content in data.values()}
        for offset in offsets:
            for field in self.entry(offset)[0].fields:
                having[field].append(offset)
        assert having == self.listed()
        self._check_ends([self.entry(offset)[0] for offset in offsets], offsets)

    def _walk(self) -> list[int]:
        """The kinds of all objects, in order; nothing is behind the last."""
        kinds, offset, last = [], HEADER.size, 0
        while last != self["tail_object"]:
            kind, size = self.words(offset, 2)
            kinds.append(kind)
            last, offset = offset, offset + (size + 7 & ~7)
        assert not any(self.content[offset:])
        return kinds

    def _check_fields(self, data: dict[int, bytes], fields: dict[int, bytes]) -> None:
        """Every data is in the list of its field."""
        for content in fields.values():
            offset, found = struct.unpack_from("<Q", content, 16)[0], set()
            while offset:
                found.add(offset)
                offset = struct.unpack_from("<Q", data[offset], 16)[0]
            assert found == {at for at, one in data.items() if one[48:].partition(b"=")[0] == content[24:]}

    def _check_ends(self, entries: list[Entry], offsets: list[int]) -> None:
        first, last = entries[0], entries[-1]
        assert (self["head_seqnum"], self["head_realtime"]) == (first.seqnum, first.realtime)
        assert (self["tail_seqnum"], self["tail_realtime"]) == (last.seqnum, last.realtime)
        assert (self["tail_monotonic"], self["boot_id"]) == (last.monotonic, last.boot_id)
        assert self["tail_entry"] == offsets[-1]
        assert self.array(self["tail_entry_array"], self["tail_entry_array_items"])[-1] == offsets[-1]
        assert [entry.seqnum for entry in entries] == list(range(first.seqnum, last.seqnum + 1))


def archived(path: str) -> list[str]:
    """The files beside *path* that it once was."""
    return sorted(glob.glob(glob.escape(path.removesuffix(".journal")) + "@*"))


def everything(path: str) -> list[Entry]:
    """The entries of *path* and of what was archived, in order; each file is checked."""
    found = []
    for name in [*archived(path), path]:
        if os.path.exists(name):
            reader = Reader(name)
            reader.check()
            found += reader.entries()
    return found

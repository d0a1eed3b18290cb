"""One journal file, open for writing: entries are composed in memory and then written.

New objects go behind the end in one piece, where nobody sees them; then they are linked up; the header is last.  A
reader, which maps the file and takes no lock, finds whole entries at any moment, and an append that was cut off shows:
something is behind the end that the header knows.

Root inside may write to the file as well: nothing in it is trusted to make sense, or to be finite.
"""

import errno
import posix

from vzinit import journal_format as form

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")

STEP = 64 * 1024  # bytes the file grows by: holes, which cost no memory
CHAIN_MAX = 100  # longer chains in the hash tables, by accident or malice: it is time for another file
# Items in an array of entries: doubled each time, but a page at most.  Doubled without an end, half of them are empty
# when the file is full, and an entry takes 395 bytes instead of 365.
FIRST_ROOM, LAST_ROOM = 4, 512
REMEMBERED = 32  # data and names kept in memory, and the length of the longest
REMEMBERED_LENGTH = 128


class Full(OSError):
    """The next entry belongs into another file."""


class Chain:
    """The end of a chain of arrays of entries: offset of the last (0: there is none), items in it, room in it."""

    __slots__ = ("room", "tail", "used")

    def __init__(self, tail: int = 0, used: int = 0, room: int = 0) -> None:
        self.tail = tail
        self.used = used
        self.room = room


class Data:
    """One `NAME=value` of the file: its offset, its hash, how many entries have it, and where those are listed."""

    __slots__ = ("chain", "count", "hash", "offset")

    def __init__(self, offset: int, hash: int, count: int, chain: Chain) -> None:
        self.offset = offset
        self.hash = hash
        self.count = count
        self.chain = chain


class File:
    """The descriptor *fd* (ours from now on) of a file of *size* bytes with this *header*.

    After any error it is to be closed; what it is worth shows when it is opened again.
    """

    def __init__(self, fd: int, header: bytearray, size: int) -> None:
        self.fd = fd
        self.header = header
        self.head = memoryview(header).cast("Q")  # its words, by the names in journal_format
        self._size = size
        self._end = form.TABLES_END
        self._all = Chain()  # every entry
        self._data: dict[bytes, Data] = {}
        self._fields: dict[bytes, int] = {}
        self._new = bytearray()  # will be written at the end
        self._links: dict[int, bytes] = {}  # words to change before the end, in this order

    def resume(self) -> bool:
        """Find the end of a file that was written before; whether its last append is complete.  Raises OSError."""
        tail = self.head[form.TAIL_OBJECT]
        self._end = self._size
        self._end = tail + (self._word(tail + form.SIZE) + 7 & ~7)
        if self._end > self._size or any(posix.pread(self.fd, 16, self._end)):
            return False
        self._all = self._chain(self.head[form.ENTRY_ARRAY], self.head[form.N_ENTRIES])
        return True

    # An entry, composed.

    def compose(self, fields: list[bytes], seqnum: int, now: int, ticks: int, boot_id: bytes, limit: int) -> None:
        """Prepare an entry.  Raises Full when the file would pass *limit* bytes, or makes no sense; or OSError."""
        try:
            self._compose(fields, seqnum, now, ticks, boot_id)
        except (ArithmeticError, IndexError, ValueError):
            raise Full from None
        if self._end + len(self._new) > limit:
            raise Full

    def _compose(self, fields: list[bytes], seqnum: int, now: int, ticks: int, boot_id: bytes) -> None:
        head, header = self.head, self.header
        self._new, self._links = bytearray(), {}
        if header[form.BOOT_ID_AT : form.SEQNUM_ID_AT] == boot_id:
            ticks = max(ticks, head[form.TAIL_MONOTONIC])  # never falls within a boot: readers rely on it
        entry = self._add_entry([*map(self._find_data, fields)], [seqnum, now, ticks], boot_id)
        if head[form.N_ENTRIES] == 1:
            head[form.HEAD_SEQNUM], head[form.HEAD_REALTIME] = seqnum, now
        head[form.TAIL_SEQNUM], head[form.TAIL_REALTIME], head[form.TAIL_MONOTONIC] = seqnum, now, ticks
        head[form.TAIL_ENTRY], head[form.TAIL_ENTRY_ARRAY] = entry, self._all.tail | self._all.used << 32
        header[form.BOOT_ID_AT : form.SEQNUM_ID_AT] = boot_id

    def _add_entry(self, every: list[Data], start: list[int], boot_id: bytes) -> int:
        """An entry of the data in *every*, listed wherever it belongs; each once, in the order of the file."""
        distinct = {data.offset: data for data in every}
        items, xor = [], 0
        for offset in sorted(distinct):
            items += [offset, distinct[offset].hash]
            xor ^= distinct[offset].hash
        offset = self._object(form.ENTRY, form.words(start) + boot_id + form.words([xor, *items]))
        self._enlist(self._all, offset, 8 * form.ENTRY_ARRAY)
        for data in distinct.values():
            self._refer(data, offset)
        return offset

    def _find_data(self, payload: bytes) -> Data:
        data = self._data.get(payload)
        if data:
            return data
        hash = form.lookup3(payload)
        cell, offset = self._find(hash, payload, form.DATA_TABLE, form.DATA_PAYLOAD, form.DATA_DEPTH)
        if not offset:
            return self._add_data(cell, hash, payload)
        count = self._word(offset + form.DATA_ENTRIES)
        data = Data(offset, hash, count, self._chain(self._word(offset + form.DATA_ARRAY), count - 1))
        remember(self._data, payload, data)  # not when it is new: most messages come once
        return data

    def _add_data(self, cell: int, hash: int, payload: bytes) -> Data:
        field = self._find_field(payload[: payload.find(b"=")])
        links = form.word(self._word(field + form.HEAD_DATA)) + bytes(24)
        offset = self._hashed(form.DATA, cell, hash, links + payload)
        self._set(field + form.HEAD_DATA, offset)
        return Data(offset, hash, 0, Chain())

    def _find_field(self, name: bytes) -> int:
        """The offset of the field *name*, which is added if need be."""
        offset = self._fields.get(name)
        if offset:
            return offset
        hash = form.lookup3(name)
        cell, offset = self._find(hash, name, form.FIELD_TABLE, form.FIELD_NAME, form.FIELD_DEPTH)
        offset = offset or self._hashed(form.FIELD, cell, hash, bytes(8) + name)
        remember(self._fields, name, offset)
        return offset

    def _find(self, hash: int, payload: bytes, table: int, start: int, depth_word: int) -> tuple[int, int]:
        """The cell of a hash table where *payload* belongs, and the offset of the object that has it (0: none)."""
        cell = self.head[table] + hash % (self.head[table + 1] // 16) * 16
        offset, depth, sought = self._word(cell), 0, form.word(hash)
        while offset:
            found = self._read(offset + form.HASH, 16)  # the hash, and the next in the chain
            if found[:8] == sought and self._holds(offset, start, payload):
                return cell, offset
            offset = int.from_bytes(self._links.get(offset + form.NEXT_IN_CHAIN) or found[8:], "little")
            depth += 1
            if depth > CHAIN_MAX:
                raise Full
        self.head[depth_word] = max(self.head[depth_word], depth)
        return cell, 0

    def _holds(self, offset: int, start: int, payload: bytes) -> bool:
        size = start + len(payload)
        return self._word(offset + form.SIZE) == size and self._read(offset + start, len(payload)) == payload

    def _hashed(self, kind: int, cell: int, hash: int, rest: bytes) -> int:
        """Add data or a field at the end of its chain."""
        offset = self._object(kind, form.word(hash) + bytes(8) + rest)
        last = self._word(cell + 8)
        self._set(last + form.NEXT_IN_CHAIN if last else cell, offset)
        self._set(cell + 8, offset)
        return offset

    def _object(self, kind: int, body: bytes) -> int:
        offset = self._end + len(self._new)
        self._new += form.pack(kind, body)
        self.head[form.TAIL_OBJECT] = offset
        self.head[form.N_OBJECTS] += 1
        if form.COUNTED_BY[kind]:
            self.head[form.COUNTED_BY[kind]] += 1
        return offset

    def _refer(self, data: Data, entry: int) -> None:
        """List *entry* among those that have *data*: the first in the data itself, the rest in arrays."""
        if data.count:
            self._enlist(data.chain, entry, data.offset + form.DATA_ARRAY)
        else:
            self._set(data.offset + form.ENTRY_OFFSET, entry)
        data.count += 1
        self._set(data.offset + form.DATA_ENTRIES, data.count)

    def _enlist(self, chain: Chain, entry: int, start: int) -> None:
        """Add *entry* to a chain of arrays; the word at *start* is the offset of its first."""
        if chain.used == chain.room:
            room = min(max(2 * chain.room, FIRST_ROOM), LAST_ROOM)
            array = self._object(form.ENTRIES, bytes(8 + 8 * room))
            self._set(chain.tail + form.NEXT_ARRAY if chain.tail else start, array)
            chain.tail, chain.used, chain.room = array, 0, room
        self._set(chain.tail + form.ARRAY_ITEMS + 8 * chain.used, entry)
        chain.used += 1

    def _chain(self, array: int, items: int) -> Chain:
        """The end of the chain that starts at *array* and has so many *items*.  Raises Full where it is broken."""
        while items > 0:
            room = (self._word(array + form.SIZE) - form.ARRAY_ITEMS) // 8
            if items <= room:
                return Chain(array, items, room)
            following = self._word(array + form.NEXT_ARRAY)
            if following <= array + 8 * room or room <= 0:
                raise Full
            array, items = following, items - room
        return Chain()

    # Words and bytes, of the file as it will be.

    def _word(self, offset: int) -> int:
        return int.from_bytes(self._links.get(offset) or self._read(offset, 8), "little")

    def _read(self, offset: int, length: int) -> bytes:
        """Raises Full beyond the end: an offset that is nonsense."""
        if offset >= self._end:
            found = bytes(self._new[offset - self._end :][:length])
        else:
            found = posix.pread(self.fd, length, offset)
        if len(found) != length:
            raise Full
        return found

    def _set(self, offset: int, value: int) -> None:
        if form.HEADER_SIZE <= offset < self._end:
            self._links[offset] = form.word(value)
        elif offset < form.HEADER_SIZE:
            self.head[offset // 8] = value
        elif offset < self._end + len(self._new):
            self._new[offset - self._end : offset - self._end + 8] = form.word(value)
        else:
            raise Full

    # Writing.

    def commit(self) -> None:
        """Write what was composed.  Raises OSError.

        All pages that links are on have been written to before, so only the first write can fail for want of space,
        and leaves nothing that anybody sees.  Each write wakes who follows the file (inotify), the last one in time:
        no ftruncate is needed for that, as it is by a writer that maps the file.
        """
        end = self._end + len(self._new)
        if end > self._size:
            self._grow(end)
        try:
            self.write(self._new, self._end)
        except OSError:
            posix.ftruncate(self.fd, self._end)
            posix.ftruncate(self.fd, self._size)
            raise
        for offset, value in self._links.items():
            self.write(value, offset)
        self.write(self.header[form.BOOT_ID_AT :], form.BOOT_ID_AT)
        self._end = end

    def _grow(self, end: int) -> None:
        self._size = -(-end // STEP) * STEP
        posix.ftruncate(self.fd, self._size)
        self.head[form.ARENA_SIZE] = self._size - form.HEADER_SIZE

    def set_state(self, state: int) -> None:
        self.header[form.STATE_AT] = state
        self.write(self.header[form.STATE_AT : form.FILE_ID_AT], form.STATE_AT)

    def write(self, data: bytes | bytearray, offset: int) -> None:
        """All of *data*.  Raises OSError."""
        if posix.pwrite(self.fd, data, offset) != len(data):
            raise OSError(errno.ENOSPC, "short write")


def remember(memory: "dict[bytes, T]", key: bytes, value: "T") -> None:
    """Add to a dictionary that stays small: what came first goes."""
    if len(key) <= REMEMBERED_LENGTH:
        if len(memory) >= REMEMBERED:
            del memory[next(iter(memory))]
        memory[key] = value

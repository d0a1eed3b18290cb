"""The file format of the systemd journal, as far as a writer of plain files needs it.

Documented at systemd.io/JOURNAL_FILE_FORMAT; that page explains every name here.  A file is a header and, each at a
multiple of eight bytes, objects: data (`NAME=value`, each once), fields (`NAME`), entries (a list of data), arrays of
entries (one chain for the file, one for each data), and two hash tables that find data and fields.

The hash is Jenkins lookup3 without a key.  The other one, SipHash with a key in every file, is unknown before systemd
246, takes 2.6 times as long in Python, and needs lookup3 all the same, for the entries.  What the key is against, long
chains on purpose, `journal_file.CHAIN_MAX` ends.
"""

# No flags: no compression, no key, not compact.  Nor TAIL_ENTRY_BOOT_ID, although we do what it promises: `--verify`
# before systemd 254 refuses a file with a flag it does not know, and newer readers do without it.
SIGNATURE_AND_FLAGS = b"LPKSHHRH" + bytes(8)

# The header: bytes up to WORDS_AT, then words of eight bytes.  It ends with what systemd 254 added; older readers
# need not know its end, and newer ones look at its size.
HEADER_SIZE = 272
STATE_AT, FILE_ID_AT, MACHINE_ID_AT, BOOT_ID_AT, SEQNUM_ID_AT, WORDS_AT = 16, 24, 40, 56, 72, 88
OFFLINE, ONLINE, ARCHIVED = range(3)

# Index of each word, counted from the start of the file.  The last but one is two numbers of four bytes.
(
    HEADER_SIZE_WORD, ARENA_SIZE, DATA_TABLE, DATA_TABLE_SIZE, FIELD_TABLE, FIELD_TABLE_SIZE, TAIL_OBJECT, N_OBJECTS,
    N_ENTRIES, TAIL_SEQNUM, HEAD_SEQNUM, ENTRY_ARRAY, HEAD_REALTIME, TAIL_REALTIME, TAIL_MONOTONIC, N_DATA, N_FIELDS,
    N_TAGS, N_ENTRY_ARRAYS, DATA_DEPTH, FIELD_DEPTH, TAIL_ENTRY_ARRAY, TAIL_ENTRY,
) = range(WORDS_AT // 8, HEADER_SIZE // 8)  # fmt: skip

# Kinds of objects, and the word of the header that counts each (0: none does).
DATA, FIELD, ENTRY, DATA_HASHES, FIELD_HASHES, ENTRIES = range(1, 7)
COUNTED_BY = bytes((0, N_DATA, N_FIELDS, N_ENTRIES, 0, 0, N_ENTRY_ARRAYS))

# Where things are in an object.  Data and fields begin alike.
SIZE, HASH, NEXT_IN_CHAIN = 8, 16, 24
HEAD_DATA, FIELD_NAME = 32, 40
ENTRY_OFFSET, DATA_ARRAY, DATA_ENTRIES, DATA_PAYLOAD = 40, 48, 56, 64
NEXT_ARRAY, ARRAY_ITEMS = 16, 24

# Cells of the hash tables.  With these, a file of one line is two pages.  At the end of 4 MiB, after 11000 lines that
# were all new, a chain is 35 data long and a line takes 100 us instead of 60; with 1104 cells 75, and five pages.
DATA_CELLS, FIELD_CELLS = 336, 16
TABLES_END = HEADER_SIZE + 2 * 16 + 16 * (DATA_CELLS + FIELD_CELLS)


def word(number: int) -> bytes:
    return number.to_bytes(8, "little")


def words(numbers: list[int]) -> bytes:
    return b"".join([number.to_bytes(8, "little") for number in numbers])


def pack(kind: int, body: bytes) -> bytes:
    """An object, filled up to a multiple of eight."""
    return word(kind) + word(16 + len(body)) + body + bytes(-len(body) % 8)


def hash_tables() -> bytes:
    """What follows the header of a new file."""
    return pack(FIELD_HASHES, bytes(16 * FIELD_CELLS)) + pack(DATA_HASHES, bytes(16 * DATA_CELLS))


def new_header(file_id: bytes, machine_id: bytes, boot_id: bytes, seqnum_id: bytes, size: int) -> bytearray:
    """The header of a file of *size* bytes that holds the hash tables and nothing else.  Identities are 16 bytes."""
    start = SIGNATURE_AND_FLAGS + word(ONLINE) + file_id + machine_id + boot_id + seqnum_id
    header = bytearray(start.ljust(HEADER_SIZE, b"\0"))
    words = memoryview(header).cast("Q")
    words[HEADER_SIZE_WORD], words[ARENA_SIZE] = HEADER_SIZE, size - HEADER_SIZE
    words[FIELD_TABLE], words[FIELD_TABLE_SIZE] = HEADER_SIZE + 16, 16 * FIELD_CELLS
    words[DATA_TABLE], words[DATA_TABLE_SIZE] = TABLES_END - 16 * DATA_CELLS, 16 * DATA_CELLS
    words[TAIL_OBJECT], words[N_OBJECTS] = TABLES_END - 16 * DATA_CELLS - 16, 2
    return header


def is_ours(header: bytearray, machine_id: bytes, size: int) -> bool:
    """Whether a file of *size* bytes with this header is one that we wrote, on this machine, and not archived."""
    if len(header) < HEADER_SIZE:
        return False
    words = memoryview(header).cast("Q")
    expected = new_header(bytes(16), machine_id, bytes(16), bytes(16), HEADER_SIZE)
    tables = slice(8 * DATA_TABLE, 8 * TAIL_OBJECT)
    return (
        header[:STATE_AT] == SIGNATURE_AND_FLAGS
        and header[STATE_AT] in (OFFLINE, ONLINE)
        and header[MACHINE_ID_AT:BOOT_ID_AT] == machine_id
        and header[tables] == expected[tables]
        and words[HEADER_SIZE_WORD] == HEADER_SIZE
        and words[TAIL_SEQNUM] < 1 << 63
        and TABLES_END <= words[TAIL_OBJECT] < words[ARENA_SIZE] + HEADER_SIZE <= size
    )


def lookup3(key: bytes) -> int:
    """Jenkins' hashlittle2 of *key* (in the public domain): the first number it gives is the upper half.

    Numbers grow beyond 32 bits in between and are cut where the high bits would come down.
    """
    a = b = c = 0xDEADBEEF + len(key) & 0xFFFFFFFF
    if not key:
        return c << 32 | b
    words = memoryview(key + bytes(-len(key) % 12)).cast("I")  # in the order of the host: x86 and arm64 are little
    last = len(words) - 3
    for at in range(0, last, 3):
        a += words[at]
        b += words[at + 1]
        c = c + words[at + 2] & 0xFFFFFFFF
        a = (a - c ^ (c << 4 | c >> 28)) & 0xFFFFFFFF
        c += b
        b = (b - a ^ (a << 6 | a >> 26)) & 0xFFFFFFFF
        a += c
        c = (c - b ^ (b << 8 | b >> 24)) & 0xFFFFFFFF
        b += a
        a = (a - c ^ (c << 16 | c >> 16)) & 0xFFFFFFFF
        c += b
        b = (b - a ^ (a << 19 | a >> 13)) & 0xFFFFFFFF
        a += c
        c = (c - b ^ (b << 4 | b >> 28)) & 0xFFFFFFFF
        b += a
    a += words[last]
    b = b + words[last + 1] & 0xFFFFFFFF
    c += words[last + 2]
    c = (c ^ b) - (b << 14 | b >> 18) & 0xFFFFFFFF
    a = (a ^ c) - (c << 11 | c >> 21) & 0xFFFFFFFF
    b = (b ^ a) - (a << 25 | a >> 7) & 0xFFFFFFFF
    c = (c ^ b) - (b << 16 | b >> 16) & 0xFFFFFFFF
    a = (a ^ c) - (c << 4 | c >> 28) & 0xFFFFFFFF
    b = (b ^ a) - (a << 14 | a >> 18) & 0xFFFFFFFF
    c = (c ^ b) - (b << 24 | b >> 8) & 0xFFFFFFFF
    return c << 32 | b

"""The binary log's events: bytes in, values out. What frames transactions; rows and table maps have files of their own.

https://dev.mysql.com/doc/dev/mysql-server/latest/namespacemysql_1_1binlog_1_1event.html and
https://mariadb.com/kb/en/replication-protocol/. Integers are little-endian. An event's body is what stands between its
header of 19 bytes and its checksum.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import zstandard
from pymysqlreplication.constants import BINLOG

from replicator.engines.mysql.gtid import DomainGtid, Gtid
from replicator.errors import NotUnderstood

HEADER = struct.Struct("<IBIIIH")

QUERY = BINLOG.QUERY_EVENT
STOP = BINLOG.STOP_EVENT
ROTATE = BINLOG.ROTATE_EVENT
FORMAT_DESCRIPTION = BINLOG.FORMAT_DESCRIPTION_EVENT
XID = BINLOG.XID_EVENT
TABLE_MAP = BINLOG.TABLE_MAP_EVENT
INCIDENT = 26
HEARTBEAT = BINLOG.HEARTBEAT_LOG_EVENT
HEARTBEAT_V2 = 41
ROWS_QUERY = BINLOG.ROWS_QUERY_LOG_EVENT
GTID = BINLOG.GTID_LOG_EVENT
ANONYMOUS_GTID = BINLOG.ANONYMOUS_GTID_LOG_EVENT
PREVIOUS_GTIDS = BINLOG.PREVIOUS_GTIDS_LOG_EVENT
XA_PREPARE = BINLOG.XA_PREPARE_EVENT
TRANSACTION_PAYLOAD = 40
GTID_TAGGED = 42
MARIADB_ANNOTATE_ROWS = 160
MARIADB_BINLOG_CHECKPOINT = 161
MARIADB_GTID = BINLOG.MARIADB_GTID_EVENT
MARIADB_GTID_LIST = BINLOG.MARIADB_GTID_GTID_LIST_EVENT
MARIADB_START_ENCRYPTION = BINLOG.MARIADB_START_ENCRYPTION_EVENT
MARIADB_QUERY_COMPRESSED = 165
COMPRESSED_ROWS = {166: 23, 167: 24, 168: 25, 169: 30, 170: 31, 171: 32}
"""MariaDB's compressed rows events, each with the type that it is without the compression."""
ROWS = frozenset((23, 24, 25, 30, 31, 32))
PARTIAL_ROWS = 39

CHECKSUM_NONE, CHECKSUM_CRC32 = 0, 1
CHECKSUM_BYTES = 4
STANDALONE, GROUP_COMMIT, PREPARED_XA, COMPLETED_XA = 1, 2, 64, 128
MAX_WINDOW = 1 << 27
"""zstd's window: a frame may ask for as much memory."""
TAGGED_FIELDS = {0: "flags", 1: "uuid", 2: "number", 3: "tag"}


class Event(NamedTuple):
    """One event. `body` is without its header and checksum; `end` is where the next one begins, 0 for events that the
    server makes up. `size` counts the bytes on the wire."""

    type: int
    timestamp: int
    server_id: int
    end: int
    flags: int
    body: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Query:
    """A statement in the log, as its client sent it, in the character set of that collation."""

    database: str
    statement: bytes
    collation: int | None


class Xid(NamedTuple):
    """The name of an XA transaction."""

    format: int
    global_id: bytes
    branch: bytes

    def __str__(self) -> str:
        """As the servers write it in a statement, both ids in hexadecimal."""
        return f"X'{self.global_id.hex()}',X'{self.branch.hex()}',{self.format}"


@dataclass(frozen=True, slots=True)
class DomainBegin:
    """MariaDB's GTID event, which begins every group. `xid`: of a group that prepares or completes an XA
    transaction."""

    gtid: DomainGtid
    standalone: bool
    prepares: bool
    xid: Xid | None


class Cursor:
    """Reads a body from its beginning. Raises NotUnderstood for one that is too short."""

    __slots__ = ("_at", "_body", "_what")

    def __init__(self, body: bytes, what: str) -> None:
        self._body, self._what, self._at = body, what, 0

    def take(self, count: int) -> bytes:
        if count < 0 or count > len(self._body) - self._at:
            raise NotUnderstood(f"a {self._what} event of the binary log is damaged: it ends too early")
        self._at += count
        return self._body[self._at - count : self._at]

    def integer(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def length_encoded(self) -> int:
        """https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_dt_integers.html"""
        first = self.integer(1)
        if first < 251:
            return first
        return self.integer({252: 2, 253: 3, 254: 8}.get(first, -1))

    def variable(self) -> int:
        """libs/mysql/serialization: as many bytes follow as the first one has low bits set."""
        first = self.integer(1)
        more = 0
        while more < 8 and first >> more & 1:
            more += 1
        if more == 8:
            return self.integer(8)
        return (first | self.integer(more) << 8) >> (more + 1)

    def rest(self) -> bytes:
        return self.take(len(self._body) - self._at)


def rotate(body: bytes) -> tuple[str, int]:
    """The next file, and where it is read from."""
    cursor = Cursor(body, "rotate")
    position = cursor.integer(8)
    return cursor.rest().decode("utf-8", "surrogateescape"), position


def checksum_algorithm(format_description: bytes) -> int:
    """Of the events after a FORMAT_DESCRIPTION event, whose body is given with its own checksum, which is always
    there."""
    found = format_description[-CHECKSUM_BYTES - 1 : -CHECKSUM_BYTES]
    if found not in (b"\0", b"\1"):
        raise NotUnderstood(f"the binary log has checksums of the unknown kind {found.hex() or 'none'}")
    return found[0]


def gtid(body: bytes) -> Gtid:
    cursor = Cursor(body, "GTID")
    cursor.take(1)
    return Gtid(_uuid(cursor.take(16)), cursor.integer(8))


def tagged_gtid(body: bytes) -> Gtid:
    """A message of libs/mysql/serialization: version, size and last field that may not be ignored; then each field
    behind its number. Those that are read here are the first, and always there."""
    cursor = Cursor(body, "tagged GTID")
    version, _, _ = cursor.variable(), cursor.variable(), cursor.variable()
    if version != 1:
        raise NotUnderstood(f"a tagged GTID event has the unknown format {version}")
    found: dict[str, bytes | int] = {}
    for number, field in TAGGED_FIELDS.items():
        if cursor.variable() != number:
            raise NotUnderstood(f"a tagged GTID event has no {field}")
        if field == "uuid":
            found[field] = bytes(cursor.variable() & 0xFF for _ in range(16))
        elif field == "tag":
            found[field] = cursor.take(cursor.variable())
        else:
            found[field] = cursor.variable()
    source, tag, folded = found["uuid"], found["tag"], found["number"]
    assert isinstance(source, bytes) and isinstance(tag, bytes) and isinstance(folded, int)
    return Gtid(f"{_uuid(source)}:{tag.decode('ascii', 'replace')}" if tag else _uuid(source), _unfolded(folded))


def _unfolded(number: int) -> int:
    """A signed number, whose sign stands in its lowest bit."""
    return ~(number >> 1) if number & 1 else number >> 1


def _uuid(raw: bytes) -> str:
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def mariadb_gtid(body: bytes, server_id: int) -> DomainBegin:
    """https://mariadb.com/kb/en/gtid_event/. The server is that of the event's header."""
    cursor = Cursor(body, "GTID")
    number, domain, flags = cursor.integer(8), cursor.integer(4), cursor.integer(1)
    if flags & GROUP_COMMIT:
        cursor.integer(8)
    xid = None
    if flags & (PREPARED_XA | COMPLETED_XA):
        format_id, global_bytes, branch_bytes = cursor.integer(4), cursor.integer(1), cursor.integer(1)
        xid = Xid(format_id, cursor.take(global_bytes), cursor.take(branch_bytes))
    gtid = DomainGtid(domain, server_id, number)
    return DomainBegin(gtid, bool(flags & STANDALONE), bool(flags & PREPARED_XA), xid)


def xa_prepare(body: bytes) -> tuple[Xid, bool]:
    """The transaction, and whether it is committed by this (one phase)."""
    cursor = Cursor(body, "XA PREPARE")
    one_phase, number = bool(cursor.integer(1)), cursor.integer(4)
    lengths = cursor.integer(4), cursor.integer(4)
    if max(lengths) > 64:
        raise NotUnderstood("an XA PREPARE event of the binary log is damaged: its ids are too long")
    return Xid(number, cursor.take(lengths[0]), cursor.take(lengths[1])), one_phase


_VARIABLE_BYTES = {0: 4, 1: 8, 3: 4}
_VARIABLE_CHARSET = 4


def query(body: bytes) -> Query:
    """https://mariadb.com/kb/en/query_event/: thread, seconds, lengths, error, status variables, database,
    statement."""
    cursor = Cursor(body, "query")
    cursor.take(8)
    length, _, variables = cursor.integer(1), cursor.integer(2), cursor.integer(2)
    collation = _client_collation(cursor.take(variables))
    database = cursor.take(length).decode("utf-8", "surrogateescape")
    cursor.take(1)
    return Query(database, cursor.rest(), collation)


def _client_collation(variables: bytes) -> int | None:
    """The collation of the client that sent the statement: the fifth kind of status variable, behind others of known
    size. None where it is not there, or something else stands before it."""
    cursor = Cursor(variables, "query")
    while True:
        try:
            kind = cursor.integer(1)
            if kind == _VARIABLE_CHARSET:
                return cursor.integer(2)
            if kind in (5, 6):
                cursor.take(cursor.integer(1))
            elif kind in _VARIABLE_BYTES:
                cursor.take(_VARIABLE_BYTES[kind])
            else:
                return None
        except NotUnderstood:
            return None


def compressed_query(body: bytes, limit: int) -> bytes:
    """The body of MariaDB's QUERY_COMPRESSED event as that of a QUERY event."""
    cursor = Cursor(body, "compressed query")
    head = cursor.take(13)
    length, variables = head[8], int.from_bytes(head[11:13], "little")
    head += cursor.take(variables + length + 1)
    return head + inflate(cursor.rest(), limit)


def uncompressed_rows(kind: int, body: bytes, limit: int) -> bytes:
    """The body of one of MariaDB's compressed rows events as that of the event without the compression, of type `kind`:
    the part behind the table's id, its flags, the columns' count and their bitmaps is compressed."""
    cursor = Cursor(body, "compressed rows")
    head = [cursor.take(8)]
    if kind in (30, 31, 32):
        extra = cursor.take(2)
        head += [extra, cursor.take(int.from_bytes(extra, "little") - 2)]
    first = cursor.take(1)
    more = {252: 2, 253: 3, 254: 8}.get(first[0], 0)
    count = first + cursor.take(more)
    columns = int.from_bytes(count[1:], "little") if more else first[0]
    bitmaps = 2 if kind in (24, 31) else 1
    head += [count, cursor.take((columns + 7) // 8 * bitmaps)]
    return b"".join(head) + inflate(cursor.rest(), limit)


def inflate(data: bytes, limit: int) -> bytes:
    """MariaDB's compressed form: a byte 0x80 | algorithm << 4 | n, the size in n bytes, big-endian, and zlib's data.

    `limit`: how many bytes it may become. Raises NotUnderstood.
    """
    cursor = Cursor(data, "compressed")
    first = cursor.integer(1)
    size = int.from_bytes(cursor.take(first & 7), "big")
    if first & 0xF0 != 0x80:
        raise NotUnderstood(f"a compressed event has the unknown algorithm {first >> 4 & 7}")
    if size > limit:
        raise NotUnderstood(f"a compressed event would become {size} bytes, more than the {limit} that are allowed")
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(cursor.rest(), size)
        whole = len(found) == size and not unpacker.decompress(unpacker.unconsumed_tail, 1) and unpacker.eof
    except zlib.error:
        whole = False
    if not whole:
        raise NotUnderstood("a compressed event of the binary log is damaged")
    return found


def payload(body: bytes, limit: int) -> bytes:
    """The events in a TRANSACTION_PAYLOAD event, one behind another, without checksums.

    https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Transaction__payload__event.html:
    fields of type, length and value (1 size of the payload, 2 compression, 3 size without it) up to the type 0.
    """
    cursor = Cursor(body, "transaction payload")
    fields: dict[int, int] = {}
    while (kind := cursor.length_encoded()) != 0:
        value = Cursor(cursor.take(cursor.length_encoded()), "transaction payload")
        fields[kind] = value.length_encoded()
    data = cursor.rest()
    if len(data) != fields.get(1):
        raise NotUnderstood("a transaction payload of the binary log is damaged: its size is wrong")
    compression = fields.get(2)
    if compression == 255:
        return data
    if compression != 0:
        raise NotUnderstood(f"a transaction payload has the unknown compression {compression}")
    size = fields.get(3, 0)
    if size > limit:
        raise NotUnderstood(
            f"a compressed transaction would become {size} bytes, more than the {limit} that are allowed"
        )
    try:
        # Not `decompress`: it takes as much memory as the frame itself asks for, whatever limit it is given.
        with zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(data) as reader:
            found = reader.read(size + 1)
    except zstandard.ZstdError:
        raise NotUnderstood("a transaction payload of the binary log is damaged: it cannot be decompressed") from None
    if len(found) != size:
        raise NotUnderstood("a transaction payload of the binary log is damaged: its size is wrong")
    return found


def events(data: bytes, end: int) -> Iterator[Event]:
    """The events of a payload; `end` is where the payload's own event ends."""
    at = 0
    while at < len(data):
        if len(data) - at < HEADER.size:
            raise NotUnderstood("a transaction payload of the binary log is damaged: it ends too early")
        timestamp, kind, server_id, size, _, flags = HEADER.unpack_from(data, at)
        if not HEADER.size <= size <= len(data) - at:
            raise NotUnderstood("a transaction payload of the binary log is damaged: an event has a wrong size")
        yield Event(kind, timestamp, server_id, end, flags, data[at + HEADER.size : at + size], size)
        at += size

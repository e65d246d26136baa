"""Events of the binary log: recorded ones, compressed ones, and bytes that are none."""

from __future__ import annotations

import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from replicator.engines.mysql import binlog
from replicator.engines.mysql.binlog import Xid
from replicator.engines.mysql.gtid import DomainGtid, Gtid
from replicator.errors import NotUnderstood

UUID = "186834dc-e6eb-11f1-906c-02fc00000001"
RECORDED_GTID = (
    "01186834dce6eb11f1906c02fc00000001020000000000000002000000000000000001000000000000005bea42f2e86006e050620100"
)
RECORDED_TAGGED = (
    "02740000000230d06871039903ad0322c5034102d804f1030000000204"
    "04060c6d795f74616708040a080c7f150343f2e860061095041283120b"
)
EVENT = struct.pack("<IBIIIH", 1700000000, 16, 1, 27, 0, 0) + b"\0" * 8
LIMIT = 1 << 20


def test_recorded_gtids() -> None:
    assert binlog.gtid(bytes.fromhex(RECORDED_GTID)) == Gtid(UUID, 2)
    assert binlog.tagged_gtid(bytes.fromhex(RECORDED_TAGGED)) == Gtid(f"{UUID}:my_tag", 1)
    begun = binlog.mariadb_gtid(bytes.fromhex("0700000000000000000000004c0700000001016162"), 3)
    assert (begun.gtid, begun.standalone, begun.prepares) == (DomainGtid(0, 3, 7), False, True)
    assert begun.xid == Xid(7, b"a", b"b") and str(begun.xid) == "X'61',X'62',7"
    alone = binlog.mariadb_gtid(bytes.fromhex("020000000000000000000000290000000000"), 1)
    assert alone.standalone and not alone.prepares and alone.xid is None


def test_a_gtid_event_of_a_group_commit() -> None:
    body = struct.pack("<QIBQ", 9, 4, 2 | 4, 77)
    assert binlog.mariadb_gtid(body, 1).gtid == DomainGtid(4, 1, 9)


@given(st.integers(0, (1 << 64) - 1))
def test_numbers_of_variable_length(number: int) -> None:
    more = max(0, (number.bit_length() - 1) // 7)
    if more >= 8:
        data = b"\xff" + struct.pack("<Q", number)
    else:
        data = ((number << (more + 1)) | ((1 << more) - 1)).to_bytes(more + 1, "little")
    cursor = binlog.Cursor(data, "test")
    assert cursor.variable() == number and cursor.rest() == b""


def field(kind: int, value: int) -> bytes:
    encoded = lenenc(value)
    return lenenc(kind) + lenenc(len(encoded)) + encoded


def lenenc(value: int) -> bytes:
    if value < 251:
        return bytes((value,))
    return b"\xfc" + struct.pack("<H", value) if value < 1 << 16 else b"\xfd" + value.to_bytes(3, "little")


def payload(data: bytes, compression: int, size: int) -> bytes:
    return field(2, compression) + field(3, size) + field(1, len(data)) + lenenc(0) + data


def test_a_compressed_transaction() -> None:
    plain = EVENT * 100
    packed = zstandard.compress(plain)
    assert binlog.payload(payload(packed, 0, len(plain)), LIMIT) == plain
    assert binlog.payload(payload(plain, 255, len(plain)), LIMIT) == plain
    found = list(binlog.events(plain, 4711))
    assert len(found) == 100
    assert (found[0].type, found[0].body, found[0].end) == (binlog.XID, b"\0" * 8, 4711)


PLAIN = EVENT * 50
PACKED = zstandard.compress(PLAIN)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (payload(PACKED, 7, len(PLAIN)), "unknown compression"),
        (payload(PACKED, 0, LIMIT + 1), "more than"),
        (payload(PACKED, 0, len(PLAIN) - 1), "damaged"),
        (payload(PACKED, 0, len(PLAIN) + 1), "damaged"),
        (payload(PACKED[:-3], 0, len(PLAIN)), "damaged"),
        (payload(PACKED, 0, len(PLAIN))[:-1], "size is wrong"),
        (b"", "too early"),
    ],
)
def test_a_damaged_payload_stops(body: bytes, words: str) -> None:
    with pytest.raises(NotUnderstood, match=words):
        binlog.payload(body, LIMIT)


def test_a_frame_that_asks_for_more_than_it_says_is_not_given_it() -> None:
    """6 kB that become 200 MB, of which their head says nothing: no more is unpacked than the head says."""
    bomb = zstandard.compress(bytes(200 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(NotUnderstood, match="size is wrong"):
            binlog.payload(payload(bomb, 0, len(PLAIN)), LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data", [EVENT[:-1], EVENT + b"\0", EVENT[:9] + b"\xff\xff\xff\xff" + EVENT[13:]])
def test_damaged_events_in_a_payload_stop(data: bytes) -> None:
    with pytest.raises(NotUnderstood, match="damaged"):
        list(binlog.events(data, 1))


def deflated(data: bytes, size: int | None = None, first: int = 0x80) -> bytes:
    shown = len(data) if size is None else size
    return bytes((first | 4,)) + shown.to_bytes(4, "big") + zlib.compress(data)


@given(st.binary(max_size=500))
def test_mariadbs_compression(data: bytes) -> None:
    assert binlog.inflate(deflated(data), LIMIT) == data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (deflated(b"abc", 2), "damaged"),
        (deflated(b"abc", 4), "damaged"),
        (deflated(b"abc", LIMIT + 1), "more than"),
        (deflated(b"abc")[:-5], "damaged"),
        (deflated(b"abc", first=0x90), "unknown algorithm"),
        (b"", "too early"),
    ],
)
def test_damaged_compression_stops(data: bytes, words: str) -> None:
    with pytest.raises(NotUnderstood, match=words):
        binlog.inflate(data, LIMIT)


def test_compressed_rows_are_rows() -> None:
    for kind, bitmaps in ((23, 1), (24, 2), (25, 1)):
        head = b"\7\0\0\0\0\0\1\0" + bytes((10,)) + b"\xff\x03" * bitmaps
        assert binlog.uncompressed_rows(kind, head + deflated(b"rows"), LIMIT) == head + b"rows"
    wide = b"\7\0\0\0\0\0\1\0" + b"\xfc" + struct.pack("<H", 300) + b"\xff" * 38
    assert binlog.uncompressed_rows(23, wide + deflated(b"rows"), LIMIT) == wide + b"rows"
    second = b"\7\0\0\0\0\0\1\0" + b"\4\0xy" + bytes((3,)) + b"\7"
    assert binlog.uncompressed_rows(30, second + deflated(b"rows"), LIMIT) == second + b"rows"


def test_a_statement_and_its_clients_collation() -> None:
    variables = b"\0\0\0\0\0" + b"\1" + b"\0" * 8 + b"\6\3std" + b"\4\x08\0\x08\0\x08\0" + b"\x15\1\2"
    head = struct.pack("<IIBHH", 1, 0, 2, 0, len(variables)) + variables
    found = binlog.query(head + b"db\0CREATE TABLE \xe4 (a int)")
    assert (found.database, found.collation) == ("db", 8)
    assert found.statement == b"CREATE TABLE \xe4 (a int)"
    packed = head + b"db\0" + deflated(b"BEGIN")
    assert binlog.query(binlog.compressed_query(packed, LIMIT)).statement == b"BEGIN"


PARSERS: dict[str, Callable[[bytes], object]] = {
    "gtid": binlog.gtid,
    "tagged_gtid": binlog.tagged_gtid,
    "mariadb_gtid": lambda data: binlog.mariadb_gtid(data, 1),
    "xa_prepare": binlog.xa_prepare,
    "query": binlog.query,
    "compressed_query": lambda data: binlog.compressed_query(data, LIMIT),
    "uncompressed_rows": lambda data: binlog.uncompressed_rows(30, data, LIMIT),
    "inflate": lambda data: binlog.inflate(data, LIMIT),
    "payload": lambda data: binlog.payload(data, LIMIT),
    "rotate": binlog.rotate,
    "checksum_algorithm": binlog.checksum_algorithm,
}
SEEDS = (RECORDED_GTID, RECORDED_TAGGED, payload(PACKED, 0, len(PLAIN)).hex(), deflated(b"abc").hex())


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.binary(max_size=120), seed=st.sampled_from(SEEDS), cut=st.integers(0, 60))
def test_no_bytes_raise_anything_else(name: str, data: bytes, seed: str, cut: int) -> None:
    recorded = bytearray(bytes.fromhex(seed))
    random.Random(cut).shuffle(recorded)
    for body in (data, bytes(recorded), bytes.fromhex(seed)[:cut] + data):
        try:
            PARSERS[name](body)
        except NotUnderstood:
            pass

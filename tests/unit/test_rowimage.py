"""Rows events as MySQL 9.7 and MariaDB 10.11 wrote them, and as no server writes them."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.engines.mysql import numerals, strings, temporal
from replicator.engines.mysql.charsets import charset_of, decoder
from replicator.engines.mysql.decoders import row_decoder
from replicator.engines.mysql.rowimage import PARTIAL_UPDATE, Decode, heading
from replicator.engines.mysql.tablemap import Code, TableMap, WireColumn, table_map
from replicator.errors import NotUnderstood
from replicator.model.datatypes import (
    Bits,
    Bytes,
    DataType,
    Date,
    Decimal,
    Duration,
    Enum,
    Float,
    Integer,
    Json,
    LabelSet,
    Spatial,
    Text,
    Textual,
    Timestamp,
    Uuid,
    Vector,
)
from replicator.model.values import MISSING, Value
from tests.unit.test_tablemap import MARIADB, MYSQL

INT, TEXT = Integer(32), Text()
TYPES: dict[str, DataType] = {"id": INT, "v": TEXT, "e": Enum("e", ("a", "ä")), "s": LabelSet(("x", "y"))}
# INSERT INTO t VALUES (1, 'é', 'ä', 'x,y', NULL, NULL): the unused bits of MySQL's bitmap are ones, a flag is unknown
MYSQL_ROW = bytes.fromhex("7100000000001100020006ff300100000002c3a90203")
MARIADB_ROW = bytes.fromhex("1700000000000100063ff00100000002c3a90203")
WRITE, UPDATE, DELETE = 30, 31, 32


def test_recorded_rows() -> None:
    on_mysql = row_decoder(table_map(MYSQL, mariadb=False), {**TYPES, "g": Spatial("point"), "vv": Vector(3)})
    assert on_mysql.rows(WRITE, MYSQL_ROW) == (None, [(1, "é", "ä", "x,y", None, None)])
    on_mariadb = row_decoder(table_map(MARIADB, mariadb=True), TYPES)
    assert on_mariadb.rows(23, MARIADB_ROW) == (None, [(1, "é", "ä", "x,y")])


def test_columns_left_out() -> None:
    decoder = row_decoder(table_map(MYSQL, mariadb=False), {"s": LabelSet(("x", "y")), "g": Spatial("geometry")})
    assert decoder.rows(DELETE, MYSQL_ROW) == ([("x,y", None)], None)


PAIR = TableMap(
    7, "d", "t", (WireColumn("a", Code.LONG, 0, True), WireColumn("b", Code.VARCHAR, 9, True, False, 45)), None
)
HEAD = struct.pack("<IHHH", 7, 0, 1, 2) + b"\x02"


@pytest.mark.parametrize(
    ("kind", "rest", "before", "after"),
    [
        (WRITE, "ff 00 05000000 0178 fd 0141", None, [(5, "x"), (None, "A")]),
        (WRITE, "01 00 05000000", None, [(5, MISSING)]),
        (WRITE, "02 01", None, [(MISSING, None)]),
        (UPDATE, "01 02 00 05000000 00 0178", [(5, MISSING)], [(MISSING, "x")]),
        (UPDATE, "01 00 00 05000000", [(5, MISSING)], [(MISSING, MISSING)]),
        (DELETE, "03", [], None),
    ],
)
def test_images(kind: int, rest: str, before: object, after: object) -> None:
    decoder = row_decoder(PAIR, {"a": INT, "b": TEXT})
    assert decoder.rows(kind, HEAD + bytes.fromhex(rest)) == (before, after)


@pytest.mark.parametrize(
    ("kind", "rest", "said"),
    [
        (WRITE, "03 00 05000000 0178 00", "longer than its event|not understood"),
        (WRITE, "03 00 05000000 0278", "longer than its event"),
        (WRITE, "03 00 050000", "not understood|longer"),
        (WRITE, "03 00 05000000 01ff", "column b"),
        (WRITE, "00 ", "without a single value"),
        (UPDATE, "00 00", "without a single value"),
        (UPDATE, "03 03 00 05000000 0178", "longer than its event"),
        (WRITE, "", "ends too early"),
        (UPDATE, "03", "ends too early"),
    ],
)
def test_broken_images(kind: int, rest: str, said: str) -> None:
    with pytest.raises(NotUnderstood, match=said):
        row_decoder(PAIR, {"a": INT, "b": TEXT}).rows(kind, HEAD + bytes.fromhex(rest))


def test_events_that_are_not_for_this_table() -> None:
    decoder = row_decoder(PAIR, {"a": INT})
    with pytest.raises(NotUnderstood, match="another table"):
        decoder.rows(WRITE, b"\x08" + HEAD[1:])
    with pytest.raises(NotUnderstood, match="3 columns"):
        decoder.rows(WRITE, HEAD[:-1] + b"\x03\xff")
    with pytest.raises(NotUnderstood, match="JSON"):
        heading(PARTIAL_UPDATE, HEAD)
    with pytest.raises(NotUnderstood, match="event 2"):
        heading(2, HEAD)


def one(decode: Decode, raw: bytes) -> Value:
    values: list[Value] = []
    assert decode(b"??" + raw + b"!", 2, values) == 2 + len(raw)
    [value] = values
    return value


@given(st.integers(-(10**65) + 1, 10**65 - 1), st.integers(1, 65), st.integers(0, 30))
def test_decimals(number: int, precision: int, scale: int) -> None:
    scale = min(scale, precision)
    number = abs(number) % 10**precision * (-1 if number < 0 else 1)
    digits = f"{abs(number):0{precision}d}"
    whole, fraction = digits[: precision - scale], digits[precision - scale :]
    size_of = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
    first = len(whole) % 9
    groups = [whole[:first], *(whole[at : at + 9] for at in range(first, len(whole), 9))]
    groups += [fraction[at : at + 9] for at in range(0, len(fraction), 9)]
    raw = bytearray(b"".join(int(group).to_bytes(size_of[len(group)], "big") for group in groups if group))
    raw[0] ^= 0x80
    if number < 0:
        raw = bytearray(byte ^ 0xFF for byte in raw)
    shown = f"{'-' if number < 0 else ''}{int(whole or 0)}{f'.{fraction}' if scale else ''}"
    assert one(numerals.decimal(precision, scale), bytes(raw)) == shown


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_floats(value: float) -> None:
    raw = struct.pack("<f", value)
    short = one(numerals.single, raw)
    assert isinstance(short, float)
    shown = (float(f"{value:.{digits}g}") for digits in range(1, 10))
    assert short == next(each for each in shown if abs(each) < 3.4028236e38 and struct.pack("<f", each) == raw)
    assert short == numerals.single_of(value)


def test_moments() -> None:
    assert one(temporal.date, b"\0\0\0") == "0000-00-00"
    assert one(temporal.timestamp(0, unsigned=False), b"\0\0\0\0") == "0000-00-00 00:00:00+00"
    assert one(temporal.timestamp(3, unsigned=False), bytes.fromhex("65dfd8070d48")) == "2024-02-29 01:04:07.34+00"
    assert one(temporal.timestamp(0, unsigned=True), b"\xff\xff\xff\xff") == "2106-02-07 06:28:15+00"
    with pytest.raises(ValueError):
        one(temporal.timestamp(0, unsigned=False), b"\xff\xff\xff\xff")
    assert one(temporal.time(0), (0x800000 - 1).to_bytes(3, "big")) == "-00:00:01"
    assert one(temporal.time(1), (0x80000000 - 10).to_bytes(4, "big")) == "-00:00:00.1"
    assert one(temporal.datetime(0), (0x8000000000).to_bytes(5, "big")) == "0000-00-00 00:00:00"


def test_years_start_at_zero_or_1901() -> None:
    assert [one(numerals.year, bytes((byte,))) for byte in (0, 1, 255)] == [0, 1901, 2155]


def test_labels() -> None:
    assert [one(strings.enum(1, ("a", "b")), bytes((number,))) for number in range(3)] == ["", "a", "b"]
    assert one(strings.label_set(1, ("a", "b")), b"\0") == ""
    with pytest.raises(IndexError):
        one(strings.enum(1, ("a", "b")), b"\3")
    with pytest.raises(ValueError):
        one(strings.label_set(1, ("a", "b")), b"\4")


def test_geometries() -> None:
    point = struct.pack("<BIdd", 1, 1, 1, 2)
    assert strings.geometry(bytes(4) + point) == point.hex().upper()
    assert strings.geometry(struct.pack("<I", 4326) + point) == "0101000020E6100000" + point[5:].hex().upper()
    for wrong in (b"", bytes(4) + point[:5], bytes(4) + b"\0" + point[1:], bytes(4) + b"\1\x08" + point[2:]):
        with pytest.raises(ValueError):
            strings.geometry(wrong)


def test_addresses_and_uuids() -> None:
    assert strings.inet4(b"\x0a\x01") == "10.1.0.0"
    assert strings.inet6(b"") == "::"
    assert strings.inet6(bytes(10) + b"\xff\xff\1\2\3\4") == "::ffff:1.2.3.4"
    assert strings.uuid(bytes.fromhex("0242ac130002a0b911ed89abcdef0123")) == "cdef0123-89ab-11ed-a0b9-0242ac130002"
    assert strings.uuid(bytes.fromhex("018f3d2a8f7a7c3eb1d24ad4ce1f9a01")) == "018f3d2a-8f7a-7c3e-b1d2-4ad4ce1f9a01"


def test_collations() -> None:
    assert [charset_of(number) for number in (8, 45, 255, 1032, 2304, 3271)] == [
        "latin1",
        "utf8mb4",
        "utf8mb4",
        "latin1",
        "utf8mb4",
        "utf32",
    ]
    for number in (0, 17, 100, 999, 1024, 4000, 2**40):
        with pytest.raises(NotUnderstood, match=str(number)):
            charset_of(number)


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("latin1", b"\x80\x81", "€\x81"),
        ("big5", b"a\xf9\xd6", "a碁"),
        ("ujis", b"a\xa1\xc0\xf5\xa1", "a\\\ue000"),
        ("eucjpms", b"a\x8f\xf3\xf3\xad\xa1", "aⅰ①"),
        ("gb18030", b"\xa8\xbc", "ḿ"),
        ("swe7", b"[]", "ÄÅ"),
        ("utf16", b"\xd8\x3d\xde\x00", "😀"),
    ],
)
def test_character_sets(charset: str, raw: bytes, text: str) -> None:
    assert decoder(charset)(raw) == text


@pytest.mark.parametrize(
    ("charset", "raw"),
    [
        ("big5", b"\xa1\x5a"),
        ("big5", b"\xf9"),
        ("cp932", b"\x80"),
        ("ucs2", b"\xd8\x3d\xde\x00"),
        ("utf8mb3", "😀".encode()),
        ("utf8mb4", b"\xed\xa0\x80"),
        ("ascii", b"\x80"),
        ("dec8", b"\xff"),
    ],
)
def test_bytes_that_are_no_characters(charset: str, raw: bytes) -> None:
    with pytest.raises(ValueError):
        decoder(charset)(raw)


EVERY: list[tuple[WireColumn, DataType]] = [
    (WireColumn("tiny", Code.TINY, 0, True), Integer(8)),
    (WireColumn("medium", Code.INT24, 0, True, unsigned=True), Integer(24)),
    (WireColumn("big", Code.LONGLONG, 0, True), Integer(64)),
    (WireColumn("decimal", Code.NEWDECIMAL, 12 * 256 + 2, True), Decimal(12, 2)),
    (WireColumn("long", Code.NEWDECIMAL, 65 * 256 + 30, True), Decimal(65, 30)),
    (WireColumn("float", Code.FLOAT, 4, True), Float(32)),
    (WireColumn("double", Code.DOUBLE, 8, True), Float(64)),
    (WireColumn("bit", Code.BIT, 9, True), Bits(9)),
    (WireColumn("year", Code.YEAR, 0, True), Integer(16)),
    (WireColumn("date", Code.DATE, 0, True), Date()),
    (WireColumn("datetime", Code.DATETIME2, 3, True), Timestamp()),
    (WireColumn("timestamp", Code.TIMESTAMP2, 0, True), Timestamp(zoned=True)),
    (WireColumn("time", Code.TIME2, 6, True), Duration()),
    (WireColumn("enum", Code.ENUM, 1, True, labels=("a", "b")), Enum("e", ("a", "b"))),
    (WireColumn("set", Code.SET, 8, True, labels=("a", "b")), LabelSet(("a", "b"))),
    (WireColumn("varchar", Code.VARCHAR, 300, True, collation=45), Text()),
    (WireColumn("big5", Code.STRING, 90, True, collation=1), Text()),
    (WireColumn("binary", Code.STRING, 4, True, collation=63), Bytes()),
    (WireColumn("blob", Code.BLOB, 4, True, collation=63), Bytes()),
    (WireColumn("inet6", Code.STRING, 16, True, collation=63), Textual("inet6")),
    (WireColumn("uuid", Code.STRING, 16, True, collation=63), Uuid()),
    (WireColumn("json", Code.JSON, 4, True), Json(binary=True)),
    (WireColumn("geometry", Code.GEOMETRY, 4, True), Spatial("geometry")),
    (WireColumn("vector", Code.VECTOR, 4, True), Vector(3)),
    (WireColumn("old time", Code.TIME, 0, True), Duration()),
    (WireColumn("old datetime", Code.DATETIME, 0, True), Timestamp()),
    (WireColumn("old timestamp", Code.TIMESTAMP, 0, True), Timestamp(zoned=True)),
]


@given(st.data())
def test_no_bytes_raise_anything_else(data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(EVERY), min_size=1, max_size=12, unique_by=lambda each: each[0].name))
    table = TableMap(7, "d", "t", tuple(wire for wire, _ in chosen), None)
    wanted = data.draw(st.sets(st.sampled_from([wire.name for wire, _ in chosen])))
    decoder = row_decoder(table, {wire.name: kind for wire, kind in chosen if wire.name in wanted})
    kind = data.draw(st.sampled_from([23, 24, 25, WRITE, UPDATE, DELETE]))
    head = struct.pack("<IHH", 7, 0, 1) + (b"\2\0" if kind >= WRITE else b"") + bytes((len(chosen),))
    bitmap = data.draw(st.sampled_from([b"\xff", b"\x01", b"\x55"])) * ((len(chosen) + 7) // 8)
    body = head + bitmap * (2 if kind in (24, UPDATE) else 1) + data.draw(st.binary(max_size=300))
    try:
        rows = decoder.rows(kind, body)
    except NotUnderstood as error:
        assert error.__cause__ is None
    else:
        assert all(len(row) == len(wanted) for row in [*(rows.before or ()), *(rows.after or ())])


@given(st.integers(0, 2**16 - 1), st.sampled_from(EVERY), st.booleans())
def test_no_metadata_raise_anything_else(meta: int, column: tuple[WireColumn, DataType], wanted: bool) -> None:
    table = TableMap(7, "d", "t", (replace(column[0], meta=meta),), None)
    try:
        row_decoder(table, {column[0].name: column[1]} if wanted else {})
    except NotUnderstood:
        pass

"""Row images of real servers: every value is the one that a SELECT gives."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from replicator.engines.mysql.decoders import row_decoder
from replicator.engines.mysql.forms import fits
from replicator.engines.mysql.rowimage import DELETES, UPDATES, WRITES, Rows
from replicator.engines.mysql.tablemap import TableMap, table_map
from replicator.engines.mysql.values import expression, from_text
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
from replicator.model.schema import Column
from replicator.model.values import MISSING, Value
from tests.support import binlog
from tests.support.servers import Server

TYPE_MAP, ROWS = 19, WRITES | UPDATES | DELETES
EVENTS = {19, *ROWS}


class Logged:
    """A database on a server, and what its statements wrote to the log."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.mariadb = server.engine == "mariadb"
        self.name = name
        self.connection = binlog.session(server)
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        self.execute(f"USE {name}")
        self.execute("SET sql_mode = 'ALLOW_INVALID_DATES'")

    def execute(self, *statements: str) -> list[tuple[bytes, ...]]:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def log(self, *statements: str) -> list[binlog.Event]:
        """The table maps and rows that statements wrote."""
        start = binlog.end(self.server)
        self.execute(*statements)
        found = binlog.events(self.server, start, binlog.end(self.server))
        return [event for event in found if event.kind in EVENTS]

    def columns(self, types: dict[str, DataType], table: str = "t") -> list[Column]:
        """The columns as a catalog would pin them."""
        rows = self.execute(
            "SELECT COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME FROM information_schema.COLUMNS"
            f" WHERE TABLE_SCHEMA = '{self.name}' AND TABLE_NAME = '{table}' ORDER BY ORDINAL_POSITION"
        )
        named = [(row[0].decode(), row[1].decode(), (row[2] or b"").decode()) for row in rows]
        return [Column(name, types[name], True, f"{kind}|{charset}", kind) for name, kind, charset in named]

    def selected(self, columns: Sequence[Column], table: str = "t") -> list[tuple[Value, ...]]:
        """The rows as a copy reads them, ordered by their first column."""
        shown = ", ".join(expression(column, f"`{column.name}`") for column in columns)
        convert = [from_text(column) for column in columns]
        rows = self.execute(f"SELECT {shown} FROM {table} ORDER BY `{columns[0].name}`")
        return [
            tuple(None if text is None else of(text) for of, text in zip(convert, row, strict=True)) for row in rows
        ]

    def decoded(self, events: list[binlog.Event], types: dict[str, DataType]) -> tuple[TableMap, list[Rows]]:
        shape = table_map(next(event.body for event in events if event.kind == TYPE_MAP), mariadb=self.mariadb)
        decoder = row_decoder(shape, types)
        return shape, [decoder.rows(event.kind, event.body) for event in events if event.kind in ROWS]


@contextmanager
def logged(server: Server) -> Iterator[Logged]:
    found = Logged(server, f"rowimage_{random.getrandbits(48):012x}")
    try:
        yield found
    finally:
        found.execute(f"DROP DATABASE {found.name}")
        found.connection.close()


@pytest.fixture
def on_mysql(mysql: Server) -> Iterator[Logged]:
    with logged(mysql) as found:
        yield found


@pytest.fixture
def on_mariadb(mariadb: Server) -> Iterator[Logged]:
    with logged(mariadb) as found:
        yield found


@pytest.fixture(params=["mysql", "mariadb"])
def source(request: pytest.FixtureRequest) -> Iterator[Logged]:
    with logged(request.getfixturevalue(request.param)) as found:
        yield found


def compare(source: Logged, declared: str, kind: DataType, literals: Sequence[str]) -> list[Value]:
    """Writes the values, and NULL, changes and deletes them; the log must have what SELECT gives. Returns the values."""
    source.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {declared} NULL)")
    types = {"id": Integer(32), "v": kind}
    columns = source.columns(types)
    given = [*literals, "NULL"]
    events = source.log(
        *(f"INSERT INTO t VALUES ({number}, {literal})" for number, literal in enumerate(given)),
    )
    shape, rows = source.decoded(events, types)
    assert all(fits(wire, column) for wire, column in zip(shape.columns, columns, strict=True))
    written = [row for event in rows for row in event.after or ()]
    selected = source.selected(columns)
    assert written == selected
    assert all(type(ours[1]) is type(theirs[1]) for ours, theirs in zip(written, selected, strict=True))
    _, [updated] = source.decoded(source.log("UPDATE t SET id = id + 1000 ORDER BY id DESC"), types)
    assert updated.before == written[::-1]
    assert updated.after == [(number + 1000, value) for number, value in reversed(written)]  # type: ignore[operator]
    deleted = [row for event in source.decoded(source.log("DELETE FROM t"), types)[1] for row in event.before or ()]
    assert sorted(deleted, key=lambda row: row[0]) == updated.after[::-1]  # type: ignore[arg-type, return-value]
    return [value for _, value in written[:-1]]


def whole(bits: int, signed: bool) -> list[str]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return [str(number) for number in (low, low + 1, 0, 1, 127, high - 1, high)]


def integer_cases() -> Iterator[tuple[str, DataType, list[str]]]:
    for name, bits in (("tinyint", 8), ("smallint", 16), ("mediumint", 24), ("int", 32), ("bigint", 64)):
        yield name, Integer(bits), whole(bits, True)
        yield f"{name} unsigned", Integer(bits, signed=False), whole(bits, False)
        yield f"{name}(9) unsigned zerofill", Integer(bits, signed=False), whole(bits, False)
    yield "tinyint(1)", Integer(8), whole(8, True)
    yield "year", Integer(16), ["0", "1901", "2155", "2024"]


def decimal_cases() -> Iterator[tuple[str, DataType, list[str]]]:
    for precision, scale in (
        (1, 0),
        (12, 2),
        (9, 9),
        (9, 0),
        (10, 10),
        (18, 9),
        (19, 1),
        (27, 9),
        (28, 9),
        (65, 30),
        (65, 0),
        (30, 30),
        (38, 10),
    ):
        nines = "9" * (precision - scale) + ("." + "9" * scale if scale else "")
        small = f"{10**-scale:.{scale}f}" if scale else "1"
        values = [nines, f"-{nines}", "0", small, f"-{small}"]
        spread = random.Random(precision)
        for _ in range(20):
            digits = str(spread.randrange(10 ** spread.randrange(1, precision + 1))).rjust(precision, "0")
            values.append(
                f"{spread.choice(['', '-'])}{digits[: precision - scale] or '0'}.{digits[precision - scale :]}"
            )
        yield f"decimal({precision},{scale})", Decimal(precision, scale), values
    yield "decimal(12,2) unsigned zerofill", Decimal(12, 2), ["1.1", "0", "1234567890.12", "10", "100.5"]
    yield "decimal(3,3) zerofill", Decimal(3, 3), ["0.1", "0", "0.999"]
    yield "decimal(5,0) zerofill", Decimal(5, 0), ["0", "10", "12345"]


def float_cases() -> Iterator[tuple[str, DataType, list[str]]]:
    spread = random.Random(4)
    singles = ["0", "-0e0", "0.1", "1e-45", "-1.17549e-38", "3.40282e38", "16777216", "16777217", "0.3", "123456.789"]
    singles += [repr(struct.unpack("<f", spread.randbytes(3) + bytes([spread.randrange(0x7F)]))[0]) for _ in range(300)]
    doubles = [
        "0",
        "-0e0",
        "0.1",
        "5e-324",
        "-1.7976931348623157e308",
        "9007199254740993e0",
        "1e15",
        "123456789.123456789e0",
    ]
    doubles += [repr(spread.uniform(-1, 1) * 10.0 ** spread.randrange(-300, 300)) for _ in range(300)]
    yield "float", Float(32), singles
    yield "float unsigned", Float(32), ["0", "0.1", "3.40282e38"]
    yield "float(7,4)", Float(32), ["0.1", "-12.34567", "999.9999", "1.00005"]
    yield "double", Float(64), doubles
    yield "double(20,3)", Float(64), ["0.1", "-12.34567", "1234567890123.4567", "99999999999999999"]


def bit_cases() -> Iterator[tuple[str, DataType, list[str]]]:
    for count in (1, 7, 8, 9, 31, 64):
        values = [0, 1, 2**count - 1, 2 ** (count - 1), 5 % 2**count]
        yield f"bit({count})", Bits(count, number=True), [f"b'{value:b}'" for value in values]


def fractions(moment: str, digits: int) -> list[str]:
    return [f"'{moment}{tail}'" for tail in ("", ".1", ".9", ".05", ".123456"[: digits + 1], ".999999"[: digits + 1])]


def date_cases() -> Iterator[tuple[str, DataType, list[str]]]:
    yield (
        "date",
        Date(),
        [
            "'0000-00-00'",
            "'2015-00-21'",
            "'2015-02-00'",
            "'2015-02-31'",
            "'1000-01-01'",
            "'9999-12-31'",
            "'0001-01-01'",
            "'2024-02-29'",
        ],
    )
    for digits in range(7):
        yield (
            f"datetime({digits})",
            Timestamp(precision=digits),
            [
                "'0000-00-00'",
                "'2015-00-21 10:11:12'",
                "'9999-12-31 23:59:59'",
                "'0001-01-01'",
                *fractions("2024-02-29 13:14:15", digits),
            ],
        )
        yield (
            f"timestamp({digits})",
            Timestamp(zoned=True, precision=digits),
            [
                "'0000-00-00'",
                "'1970-01-01 00:00:01'",
                "'2038-01-19 03:14:07'",
                *fractions("2024-02-29 13:14:15", digits),
            ],
        )
        yield (
            f"time({digits})",
            Duration(digits),
            [
                "'0'",
                "'-838:59:59'",
                "'838:59:59'",
                "'-00:00:01'",
                "'123:00:59'",
                "'9:08:07'",
                *fractions("13:14:15", digits),
                *fractions("-13:14:15", digits),
                *fractions("-00:00:00", digits),
                *fractions("-01:00:00", digits),
            ],
        )


def label_cases() -> Iterator[tuple[str, DataType, list[str]]]:
    for charset in ("utf8mb4", "latin1", "utf16", "binary"):
        labels = (
            ("a", "B", "c d", "e", "it''s", "", "f") if charset == "binary" else ("a", "B", "ä", "é", "it''s", "", "f")
        )
        quoted = ", ".join(f"'{label}'" for label in labels)
        plain = tuple(label.replace("''", "'") for label in labels)
        yield f"enum({quoted}) character set {charset}", Enum("e", plain), ["0", "1", "2", "3", "4", "5", "6", "7"]
    many = tuple(f"label {number}" for number in range(700))
    yield f"enum({', '.join(map(repr, many))})", Enum("e", many), ["0", "1", "255", "256", "700"]
    for count in (1, 8, 9, 17, 25, 33, 64):
        members = tuple(f"m{number}é" for number in range(count))
        quoted = ", ".join(f"'{member}'" for member in members)
        values = [str(number) for number in (0, 1, 2**count - 1, 2 ** (count - 1), 2**count // 3)]
        yield f"set({quoted}) character set latin1", LabelSet(members), values


TEXTS = ["''", "'a'", "'it''s'", "'a\\\\b'", "'tab\\tnul\\0 end'", "REPEAT('x', 60)"]
UNICODE = [*TEXTS, "'é中😀'", "REPEAT('中', 60)", "CONVERT(X'F48FBFBF' USING utf8mb4)", "'\\u200d️'"]


def text_cases() -> Iterator[tuple[str, DataType, list[str]]]:
    for name in ("char(60)", "varchar(60)", "varchar(300)", "char(255)", "tinytext", "text", "mediumtext", "longtext"):
        yield name, Text(60), UNICODE
        yield f"{name} character set latin1", Text(60), [*TEXTS, "'é€ÿ'", "CONVERT(X'818D8F909D' USING latin1)"]
        yield f"{name} character set utf16", Text(60), UNICODE if "tiny" not in name else TEXTS[:5]
    yield "char(5)", Text(5, fixed=True), ["'a   '", "'   '", "'  a'"]
    yield "varchar(5)", Text(5), ["'a   '", "'   '", "'  a'"]
    yield "longtext", Text(), ["REPEAT('é', 400000)"]
    yield "varchar(16000)", Text(), ["REPEAT('é', 16000)", "REPEAT('😀', 16000)"]
    for name in (
        "binary(4)",
        "varbinary(4)",
        "varbinary(400)",
        "tinyblob",
        "blob",
        "mediumblob",
        "longblob",
        "binary(255)",
    ):
        yield name, Bytes(), ["X''", "X'00'", "X'FF00'", "X'00FF0000'", "X'41424344'", "X'20'", "X'2020'"]
    yield "longblob", Bytes(), ["REPEAT(X'00FF', 400000)"]


def geometry_cases() -> Iterator[tuple[str, DataType, list[str]]]:
    shapes = {
        "point": "POINT(1 -2.5)",
        "linestring": "LINESTRING(0 0, 1 1, 2 3)",
        "polygon": "POLYGON((0 0, 0 3, 3 3, 3 0, 0 0), (1 1, 1 2, 2 2, 2 1, 1 1))",
        "multipoint": "MULTIPOINT(0 0, 1 1)",
        "multilinestring": "MULTILINESTRING((0 0, 1 1), (2 2, 3 3))",
        "multipolygon": "MULTIPOLYGON(((0 0, 0 3, 3 3, 3 0, 0 0)))",
        "geometrycollection": "GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1 1))",
    }
    for name, shape in shapes.items():
        made = [f"ST_GeomFromText('{shape}'{srid})" for srid in ("", ", 0", ", 4326", ", 3857")]
        yield name, Spatial(name), made
        yield "geometry", Spatial("geometry"), made


CASES = [
    *integer_cases(),
    *decimal_cases(),
    *float_cases(),
    *bit_cases(),
    *date_cases(),
    *label_cases(),
    *text_cases(),
    *geometry_cases(),
]


@pytest.mark.parametrize(("declared", "kind", "literals"), CASES, ids=[case[0][:40] for case in CASES])
def test_values(source: Logged, declared: str, kind: DataType, literals: list[str]) -> None:
    compare(source, declared, kind, literals)

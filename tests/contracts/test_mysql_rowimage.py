"""Row images of real servers: every value is the one that a SELECT gives."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

from replicator.engines.mysql.charsets import charset_of, decoder
from replicator.engines.mysql.decoders import row_decoder
from replicator.engines.mysql.forms import fits
from replicator.engines.mysql.rowimage import DELETES, PARTIAL_UPDATE, UPDATES, WRITES, Rows
from replicator.engines.mysql.rowimage import heading as rows_heading
from replicator.engines.mysql.tablemap import FULL, Code, TableMap, heading, table_map
from replicator.engines.mysql.values import expression, from_text
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

    def close(self) -> None:
        self.execute(f"DROP DATABASE {self.name}")
        self.connection.close()

    @contextmanager
    def setting(self, name: str, value: str) -> Iterator[None]:
        """A global variable, for a while."""
        [(before,)] = self.execute(f"SELECT @@GLOBAL.{name}")
        self.execute(f"SET GLOBAL {name} = {value}")
        try:
            yield
        finally:
            old = before.decode()
            self.execute(f"SET GLOBAL {name} = {old if old.isdigit() else repr(old)}")

    def execute(self, *statements: str) -> list[tuple[bytes, ...]]:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def log(self, *statements: str) -> list[binlog.Event]:
        """The table maps and rows that statements wrote."""
        start = binlog.end(self.connection)
        self.execute(*statements)
        return self.since(start)

    def since(self, start: binlog.Place) -> list[binlog.Event]:
        found = binlog.events(self.server, start, binlog.end(self.connection))
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
        rows = []
        for event in events:
            if event.kind == TYPE_MAP:
                shape = table_map(event.body, mariadb=self.mariadb)
                decoder = row_decoder(shape, types)
            else:
                rows.append(decoder.rows(event.kind, event.body))
        return shape, rows


@pytest.fixture(scope="module")
def databases() -> Iterator[dict[str, Logged]]:
    found: dict[str, Logged] = {}
    yield found
    for each in found.values():
        each.close()


def emptied(databases: dict[str, Logged], server: Server) -> Logged:
    """The module's database on a server, without a table."""
    if server.engine not in databases:
        databases[server.engine] = Logged(server, f"rowimage_{random.getrandbits(48):012x}")
    found = databases[server.engine]
    found.execute("DROP TABLE IF EXISTS t")
    return found


@pytest.fixture
def on_mysql(mysql: Server, databases: dict[str, Logged]) -> Logged:
    return emptied(databases, mysql)


@pytest.fixture
def on_mariadb(mariadb: Server, databases: dict[str, Logged]) -> Logged:
    return emptied(databases, mariadb)


@pytest.fixture(params=["mysql", "mariadb"])
def source(request: pytest.FixtureRequest, databases: dict[str, Logged]) -> Logged:
    return emptied(databases, request.getfixturevalue(request.param))


def compare(source: Logged, declared: str, kind: DataType, literals: Sequence[str]) -> list[Value]:
    """Writes values and NULL, changes and deletes them: the log must have what SELECT gives. Returns the values."""
    source.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {declared} NULL)")
    types = {"id": Integer(32), "v": kind}
    columns = source.columns(types)
    given = [*literals, "NULL"]
    values = ", ".join(f"({number}, {literal})" for number, literal in enumerate(given))
    start = binlog.end(source.connection)
    source.execute(f"INSERT INTO t VALUES {values}")
    selected = source.selected(columns)
    source.execute("UPDATE t SET id = id + 10000 ORDER BY id DESC", "DELETE FROM t ORDER BY id")
    events = source.since(start)
    shape, rows = source.decoded(events, types)
    assert all(fits(wire, column) for wire, column in zip(shape.columns, columns, strict=True))
    inserted = [row for event in rows if event.before is None for row in event.after or ()]
    assert repr(inserted) == repr(selected)  # which tells 0.0 from -0.0, and 1 from 1.0
    moved = [(number + 10000, value) for number, value in inserted]  # type: ignore[operator]
    updates = [event for event in rows if event.before is not None and event.after is not None]
    assert [row for event in updates for row in event.before or ()] == inserted[::-1]
    assert [row for event in updates for row in event.after or ()] == moved[::-1]
    assert [row for event in rows if event.after is None for row in event.before or ()] == moved
    return [value for _, value in inserted[:-1]]


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


DOCUMENTS = [
    "'{}'",
    "'[]'",
    "'null'",
    "'-0.0'",
    "'[-32769, 70000, -1, 65535, 4294967295, 3e9, -2147483648, 18446744073709551615, -9223372036854775808]'",
    "'[18446744073709551616, 1e15, 1e-15, 1e-16, 0.00001, 2654487574959952.5, 1.7976931348623157e308, 5e-324]'",
    r"""'"a\\u0001\\n\\t\\\\ \\" / \\u007f é 😀 \\u2028"'""",
    "CAST(1.10 AS JSON)",
    "CAST(CAST(0 AS DECIMAL(65,30)) AS JSON)",
    "JSON_ARRAY(DATE'2024-01-02', TIMESTAMP'2024-01-02 03:04:05.6', CAST('-838:59:59' AS TIME), TIME'12:13:14.5')",
    "JSON_ARRAY(CAST('0000-00-00' AS DATE), CURRENT_TIMESTAMP(3), YEAR('2024-01-01'), 0.1e0, -0.05, TRUE, NULL)",
    "JSON_ARRAY(CAST(X'00FF41' AS BINARY), B'1010', ST_GeomFromText('POINT(1 2)'))",
    "JSON_OBJECT('k', CAST(REPEAT('ab', 100) AS BINARY))",
    "JSON_OBJECT('b', 1, 'aa', 2, 'a', 3, 'é中😀', 4, '', 5, REPEAT('k', 300), 6)",
    "CONCAT('[', REPEAT('1,', 30000), '70000, -70000, -5, 2147483648, 2.5, \"x\", true]')",
    """CONCAT('{"a":"', REPEAT('xyz', 30000), '", "b": [1,-1,70000,-70000,2.5,null,{"q":[]}]}')""",
    "CONCAT(REPEAT('[', 100), REPEAT(']', 100))",
    """CONCAT(REPEAT('{"a":[', 49), '1', REPEAT(']}', 49))""",
]


def random_document(spread: random.Random, depth: int = 0) -> Any:
    kind = spread.randrange(8 if depth < 5 else 5)
    if kind == 0:
        return spread.randrange(-(2**63), 2**64) >> spread.randrange(60)
    if kind == 1:
        return spread.uniform(-1, 1) * 10.0 ** spread.randrange(-30, 30)
    if kind == 2:
        return float(spread.randrange(10**14, 10**18)) / spread.choice([1, 2, 8])
    if kind == 3:
        return "".join(spread.choice('aé中😀\x7f\x80"\\\n') for _ in range(spread.randrange(200)))
    if kind == 4:
        return spread.choice([True, False, None, ""])
    many = range(spread.randrange(8))
    if kind == 5:
        return {"".join(spread.choices("abé中", k=at)): random_document(spread, depth + 1) for at in many}
    return [random_document(spread, depth + 1) for _ in many]


def test_json_of_mysql(on_mysql: Logged) -> None:
    spread = random.Random(5)
    documents = [on_mysql.connection.escape(json.dumps(random_document(spread))) for _ in range(1000)]
    compare(on_mysql, "json", Json(binary=True), [*DOCUMENTS, *documents])


def test_json_of_mariadb_is_text(on_mariadb: Logged) -> None:
    values = compare(on_mariadb, "json", Json(), ['\'{ "b":1,  "a": [1.10] }\''])
    assert values == ['{ "b":1,  "a": [1.10] }']


def test_json_is_followed_where_it_was_changed_in_place(on_mysql: Logged) -> None:
    types: dict[str, DataType] = {"id": Integer(32), "v": Json(binary=True)}
    on_mysql.execute("CREATE TABLE t (id int PRIMARY KEY, v json)")
    on_mysql.execute("""INSERT INTO t VALUES (1, '{"a": "a long text", "b": [1, "x", 70000], "c": {"d": null}}')""")
    for path, value in (("$.a", "'short'"), ("$.b[1]", "'y'"), ("$.b[2]", "2"), ("$.c.d", "NULL"), ("$.a", "9")):
        events = on_mysql.log(f"UPDATE t SET v = JSON_SET(v, '{path}', {value})")
        if not events:
            continue
        _, [rows] = on_mysql.decoded(events, types)
        assert rows.after == on_mysql.selected(on_mysql.columns(types))


def test_vectors_of_mysql(on_mysql: Logged) -> None:
    values = compare(on_mysql, "vector(3)", Vector(3), ["STRING_TO_VECTOR('[1,2.5,-3]')", "STRING_TO_VECTOR('[1]')"])
    assert values == [struct.pack("<3f", 1, 2.5, -3), struct.pack("<f", 1)]


def test_network_addresses_of_mariadb(on_mariadb: Logged) -> None:
    compare(on_mariadb, "inet4", Textual("inet4"), ["'0.0.0.0'", "'10.1.0.0'", "'255.255.255.255'", "'1.0.0.1'"])
    on_mariadb.execute("DROP TABLE t")
    spread = random.Random(6)
    words = [[spread.choice([0, 0, 0, 0xFFFF, 1, 0xABCD]) for _ in range(8)] for _ in range(1000)]
    some = ["::", "::1", "1::", "::ffff:1.2.3.4", "::1.2.3.4", "::ffff:0:1.2.3.4", "2001:db8::1", "1:2:3:4:5:6:7::"]
    some += [":".join(f"{word:x}" for word in each) for each in words]
    compare(on_mariadb, "inet6", Textual("inet6"), [f"'{address}'" for address in some])


def test_uuids_of_mariadb(on_mariadb: Logged) -> None:
    spread = random.Random(7)
    some = [f"{spread.getrandbits(128):032x}" for _ in range(1000)] + ["0" * 32, "f" * 32]
    for version in range(16):
        for variant in range(16):
            some += [f"{0:012x}{version:x}{tail:03x}{variant:x}{tail:03x}{tail:012x}" for tail in (0, 0x80, 0xFFF)]
    values = compare(on_mariadb, "uuid", Uuid(), [f"'{value}'" for value in some])
    kept = [
        (value.replace("-", ""), given) for value, given in zip(values, some, strict=True) if isinstance(value, str)
    ]
    assert len(kept) > 1000  # of some versions the server takes none
    assert all(value == given for value, given in kept)


@pytest.mark.parametrize("image", ["MINIMAL", "NOBLOB"])
def test_what_an_image_lacks_is_missing(source: Logged, image: str) -> None:
    types: dict[str, DataType] = {"id": Integer(32), "a": Integer(32), "b": Text(), "c": Text(9)}
    source.execute("CREATE TABLE t (id int PRIMARY KEY, a int DEFAULT 5, b text, c varchar(9))")
    source.execute(f"SET SESSION binlog_row_image = {image}")
    try:
        events = source.log(
            "INSERT INTO t (id, b) VALUES (1, 'one')",
            "UPDATE t SET c = NULL, a = a + 1",
            "UPDATE t SET b = 'two'",
            "DELETE FROM t",
        )
    finally:
        source.execute("SET SESSION binlog_row_image = FULL")
    _, rows = source.decoded(events, types)
    short = image == "MINIMAL"
    gone = MISSING
    inserted, changed, blob, deleted = rows
    if short:
        assert inserted.after == [(1, gone, "one", gone)]
        assert changed == ([(1, gone, gone, gone)], [(gone, 6, gone, None)])
        assert blob == ([(1, gone, gone, gone)], [(gone, gone, "two", gone)])
        assert deleted.before == [(1, gone, gone, gone)]
    else:
        assert inserted.after == [(1, 5, "one", None)]
        assert changed == ([(1, 5, gone, None)], [(1, 6, gone, None)])
        assert blob == ([(1, 6, gone, None)], [(1, 6, "two", None)])
        assert deleted.before == [(1, 6, gone, None)]


def test_an_insert_of_defaults_alone(source: Logged) -> None:
    """Its row has no values under MINIMAL on MariaDB, or all that have defaults: never is it lost silently."""
    source.execute("CREATE TABLE t (a int DEFAULT 5, b varchar(5))", "SET SESSION binlog_row_image = MINIMAL")
    events = source.log("INSERT INTO t VALUES ()", "SET SESSION binlog_row_image = FULL")
    try:
        _, [rows] = source.decoded(events, {"a": Integer(32), "b": Text(5)})
    except NotUnderstood as error:
        assert "FULL" in error.remedy
    else:
        assert rows.after in ([(5, None)], [(5, MISSING)])


def test_columns_that_are_left_out(source: Logged) -> None:
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a varchar(9), s int AS (id + 1) STORED, v int AS (id + 2) VIRTUAL,"
        " h int INVISIBLE DEFAULT 7, d decimal(20,5), e enum('x'), j json, g geometry, b bit(9), z varchar(9))"
    )
    events = source.log(
        "INSERT INTO t (id, a, d, e, j, g, b, z) VALUES (1, 'a', 1.5, 'x', '[1]', POINT(1, 2), 5, 'z'),"
        " (2, NULL, NULL, NULL, NULL, NULL, NULL, 'y')"
    )
    types: dict[str, DataType] = {"id": Integer(32), "h": Integer(32), "z": Text(9)}
    shape, [rows] = source.decoded(events, types)
    assert rows.after == [(1, 7, "z"), (2, 7, "y")]
    assert shape.key == ("id",)
    if not source.mariadb:
        assert [column.name for column in shape.columns if not column.visible] == ["h"]
        _, [rows] = source.decoded(events, {"s": Integer(32), "v": Integer(32), "a": Text(9)})
        assert rows.after == [("a", 2, 3), (None, 3, 4)]


def test_hidden_columns_of_functional_indexes_are_in_no_row(on_mysql: Logged) -> None:
    on_mysql.execute(
        "CREATE TABLE t (a json, b varchar(20), INDEX x ((CAST(a->'$.x' AS UNSIGNED ARRAY))), INDEX y ((LOWER(b))))"
    )
    types: dict[str, DataType] = {"a": Json(binary=True), "b": Text()}
    _, [rows] = on_mysql.decoded(on_mysql.log("""INSERT INTO t VALUES ('{"x": [1, 2]}', 'Q')"""), types)
    assert rows.after == [('{"x": [1, 2]}', "Q")]


def test_a_thousand_columns(source: Logged) -> None:
    kinds: list[tuple[str, DataType]] = [("int", Integer(32)), ("varchar(3) CHARACTER SET latin1", Text())]
    kinds.append(("decimal(9,3)", Decimal(9, 3)))
    types = {f"c{number}": kinds[number % 3][1] for number in range(1000)}
    source.execute("CREATE TABLE t (" + ", ".join(f"c{n} {kinds[n % 3][0]}" for n in range(1000)) + ")")
    some = [str(n) if n % 7 else "NULL" for n in range(1000)]
    events = source.log(f"INSERT INTO t VALUES ({', '.join(some)})", "INSERT INTO t (c999) VALUES (5)")
    shape, rows = source.decoded(events, types)
    columns = source.columns(types)
    assert all(fits(wire, column) for wire, column in zip(shape.columns, columns, strict=True))
    written = [row for event in rows for row in event.after or ()]
    assert sorted(written, key=repr) == sorted(source.selected(columns), key=repr)
    assert shape.key is None


@pytest.mark.parametrize("checksum", ["NONE", "CRC32"])
def test_with_and_without_checksums(source: Logged, checksum: str) -> None:
    source.execute("CREATE TABLE t (id int PRIMARY KEY, e enum('a', 'b'))")
    with source.setting("binlog_checksum", checksum):
        shape, [rows] = source.decoded(
            source.log("INSERT INTO t VALUES (1, 'b')"), {"id": Integer(32), "e": Enum("e", ())}
        )
    assert rows.after == [(1, "b")]
    assert shape.columns[1].labels == ("a", "b")


@pytest.mark.parametrize("metadata", ["MINIMAL", "NO_LOG"])
def test_metadata_that_are_not_full(source: Logged, metadata: str) -> None:
    if metadata == "NO_LOG" and not source.mariadb:
        pytest.skip("MySQL has no such setting")
    source.execute("CREATE TABLE t (id int PRIMARY KEY, e enum('a', 'b'))")
    with source.setting("binlog_row_metadata", metadata):
        events = source.log("INSERT INTO t VALUES (1, 'b')")
    assert heading(events[0].body)[1:] == (source.name, "t")
    with pytest.raises(NotUnderstood) as caught:
        table_map(events[0].body, mariadb=source.mariadb)
    assert caught.value.remedy == FULL


def test_parts_of_json_are_refused(on_mysql: Logged) -> None:
    on_mysql.execute("CREATE TABLE t (id int PRIMARY KEY, v json)", 'INSERT INTO t VALUES (1, \'{"a": "one"}\')')
    on_mysql.execute("SET SESSION binlog_row_value_options = PARTIAL_JSON")
    start = binlog.end(on_mysql.connection)
    on_mysql.execute("UPDATE t SET v = JSON_SET(v, '$.a', 'two')", "SET SESSION binlog_row_value_options = ''")
    found = binlog.events(on_mysql.server, start, binlog.end(on_mysql.connection))
    [event] = [event for event in found if event.kind == PARTIAL_UPDATE]
    with pytest.raises(NotUnderstood, match="parts of JSON"):
        rows_heading(event.kind, event.body)


def test_the_old_forms_of_moments_in_mariadb(on_mariadb: Logged) -> None:
    types: dict[str, DataType] = {"d": Timestamp(), "s": Timestamp(zoned=True), "t": Duration()}
    with on_mariadb.setting("mysql56_temporal_format", "0"):
        on_mariadb.execute("CREATE TABLE t (d datetime, s timestamp NULL, t time)")
    columns = on_mariadb.columns(types)
    events = on_mariadb.log(
        "INSERT INTO t VALUES ('2024-02-29 01:02:03', '2024-02-29 01:02:03', '-838:59:59')",
        "INSERT INTO t VALUES ('0000-00-00', '0000-00-00', '00:00:01'), ('9999-12-31 23:59:59', NULL, '838:59:59')",
    )
    shape, rows = on_mariadb.decoded(events, types)
    assert [column.code for column in shape.columns] == [Code.DATETIME, Code.TIMESTAMP, Code.TIME]
    assert all(fits(wire, column) for wire, column in zip(shape.columns, columns, strict=True))
    written = [row for event in rows for row in event.after or ()]
    assert sorted(written, key=repr) == sorted(on_mariadb.selected(columns), key=repr)
    with pytest.raises(NotUnderstood, match="old form"):
        row_decoder(shape, {"d": Timestamp(precision=3)})


def test_compressed_columns_of_mariadb(on_mariadb: Logged) -> None:
    on_mariadb.execute("CREATE TABLE t (id int, v varchar(100) COMPRESSED, b text COMPRESSED, z int)")
    events = on_mariadb.log(f"INSERT INTO t VALUES (1, '{'v' * 100}', REPEAT('b', 10000), 2)")
    _, [rows] = on_mariadb.decoded(events, {"id": Integer(32), "z": Integer(32)})
    assert rows.after == [(1, 2)]
    with pytest.raises(NotUnderstood, match="column v"):
        on_mariadb.decoded(events, {"v": Text()})


def test_every_collation_is_known(source: Logged) -> None:
    query = "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID IS NOT NULL"
    if source.mariadb:
        query = "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY"
    found = source.execute(query)
    assert len(found) > 200
    for number, name in found:
        assert charset_of(int(number)) == {"utf8": "utf8mb3"}.get(name.decode(), name.decode())


ONES = [bytes((one,)) for one in range(256)]
TWOS = [bytes((one, two)) for one in range(128, 256) for two in range(256)]
THREES = [bytes((0x8F, one, two)) for one in range(128, 256) for two in range(128, 256)]
PAIRS = [bytes((one, two)) for one in range(256) for two in range(256)]
WIDE = {
    **{charset: [*ONES, *TWOS] for charset in ("big5", "sjis", "euckr", "gb2312", "gbk", "cp932", "gb18030")},
    **{charset: [*ONES, *TWOS, *THREES] for charset in ("ujis", "eucjpms")},
    **dict.fromkeys(("ucs2", "utf16", "utf16le"), PAIRS),
}


def codes(charset: str) -> list[bytes]:
    spread = random.Random(8)
    some = list(WIDE.get(charset, ONES))
    if charset == "gb18030":
        for _ in range(20_000):
            ends = spread.randrange(0x30, 0x3A), spread.randrange(0x30, 0x3A)
            some.append(bytes((spread.randrange(0x81, 0xFF), ends[0], spread.randrange(0x81, 0xFF), ends[1])))
    if charset.startswith("utf"):
        name = {"utf16": "utf-16-be", "utf16le": "utf-16-le", "utf32": "utf-32-be"}.get(charset, "utf-8")
        numbers = [spread.randrange(0x11_0000) for _ in range(20_000)]
        some += [chr(number).encode(name) for number in numbers if not 0xD800 <= number < 0xE000]
    return some


def test_character_sets(source: Logged) -> None:
    """Each code is the character to which the server converts it, or an error where it converts to none."""
    for (name,) in source.execute("SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS"):
        charset = name.decode()
        if charset == "binary":
            continue
        source.execute("DROP TABLE IF EXISTS t", "SET SESSION sql_log_bin = 0", "CREATE TABLE t (b varbinary(4))")
        given = codes(charset)
        for at in range(0, len(given), 5000):
            values = ",".join(f"(X'{code.hex()}')" for code in given[at : at + 5000])
            source.execute(f"INSERT INTO t VALUES {values}")
        text = f"CAST(b AS CHAR CHARACTER SET {charset})"
        asked = source.execute(f"SELECT b, CAST({text} AS BINARY), CAST(CONVERT({text} USING utf32) AS BINARY) FROM t")
        source.execute("SET SESSION sql_log_bin = 1")
        decode = decoder(charset)
        for code, kept, converted in asked:
            assert read(decode, code) == character(code, kept, converted), (charset, code.hex())


CHARSETS = """
    big5 dec8 cp850 hp8 koi8r latin2 swe7 ascii ujis sjis hebrew tis620 euckr koi8u gb2312 greek
    cp1250 gbk latin5 armscii8 utf8mb3 ucs2 cp866 keybcs2 macce macroman cp852 latin7 cp1251 utf16
    utf16le cp1256 cp1257 utf32 geostd8 cp932 eucjpms gb18030
"""


@pytest.mark.parametrize("charset", CHARSETS.split())
def test_text_in_every_character_set(source: Logged, charset: str) -> None:
    if source.mariadb and charset == "gb18030":
        pytest.skip("MariaDB has it not")
    decode, spread = decoder(charset), random.Random(9)
    good = [code for code in codes(charset) if read(decode, code) is not None and code.strip(b"\0 ")]
    some = [b"".join(spread.choices(good, k=spread.randrange(1, 12))) for _ in range(40)]
    texts = [decode(code).rstrip(" ") for code in some]
    values = compare(source, f"char(40) character set {charset}", Text(40), [f"_{charset} X'{c.hex()}'" for c in some])
    assert values == texts
    labels = sorted({text[:3].lower() for text in texts if text[:3].isalpha()})[:1] or ["x"]
    source.execute("DROP TABLE t")
    quoted = ", ".join(map(source.connection.escape, labels))
    declared = f"enum({quoted}) character set {charset}"
    assert compare(source, declared, Enum("e", tuple(labels)), ["1", "0"]) == [labels[0], ""]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_library_reads_the_same(source: Logged) -> None:
    """mysql-replication, where its values have a form of their own that loses nothing."""
    source.execute(
        "CREATE TABLE t (id bigint PRIMARY KEY, n int unsigned, v varchar(300), d decimal(12,2), t datetime(3))"
    )
    start = binlog.end(source.connection)
    source.execute(
        "INSERT INTO t VALUES (-1, 4294967295, 'é😀', -12.30, '2024-02-29 01:02:03.5'), (2, NULL, NULL, NULL, NULL)",
        "UPDATE t SET v = 'x', id = id + 10 ORDER BY id DESC",
        "DELETE FROM t WHERE id = 12",
    )
    types: dict[str, DataType] = {
        "id": Integer(64),
        "n": Integer(32, False),
        "v": Text(),
        "d": Decimal(12, 2),
        "t": Timestamp(precision=3),
    }
    _, ours = source.decoded(source.since(start), types)
    server = source.server
    stream = BinLogStreamReader(
        connection_settings={
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "password": server.password,
        },
        server_id=4_100_000,
        log_file=start.file,
        log_pos=start.position,
        resume_stream=True,
        blocking=False,
        only_events=[WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent],
        enable_logging=False,
    )
    try:
        theirs = [row for _, event in zip(ours, stream, strict=False) for row in event.rows]
    finally:
        stream.close()
    before = [dict(zip(types, row, strict=True)) for rows in ours for row in rows.before or ()]
    after = [dict(zip(types, row, strict=True)) for rows in ours for row in rows.after or ()]
    assert [shown(row.get("before_values") or row["values"]) for row in theirs if "before_values" in row] == before[:2]
    assert [shown(row.get("after_values") or row["values"]) for row in theirs][:4] == after
    assert shown(theirs[-1]["values"]) == before[-1]


def shown(values: dict[str, Any]) -> dict[str, Value]:
    """The library's Decimal and datetime as canonical text."""
    text = {name: str(value) for name, value in values.items() if name in ("d", "t") and value is not None}
    if "t" in text:
        text["t"] = text["t"].rstrip("0")
    return {**values, **text}


def read(decode: Callable[[bytes], str], code: bytes) -> str | None:
    try:
        return decode(code)
    except ValueError:
        return None


def character(code: bytes, kept: bytes | None, converted: bytes | None) -> str | None:
    """What the server made of a code, None for nothing, a question mark or U+FFFD in the place of another character."""
    if kept != code or not converted:
        return None
    try:
        text = converted.decode("utf-32-be")
    except UnicodeDecodeError:  # half of a pair, which MariaDB takes
        return None
    if "?" in text and b"?" not in code:
        return None
    return None if "\ufffd" in text and code not in GENUINE else text


GENUINE = {b"\xff\xfd", b"\xfd\xff", "\ufffd".encode(), b"\0\0\xff\xfd", "\ufffd".encode("gb18030")}

"""Labels, text, bytes, geometries, documents, addresses: every value is the one that a SELECT gives."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from replicator.model.datatypes import (
    Bytes,
    DataType,
    Enum,
    Integer,
    Json,
    LabelSet,
    Spatial,
    Text,
    Textual,
    Uuid,
    Vector,
)
from tests.contracts.mysql_log.logged import Logged, compare


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


CASES = [*label_cases(), *text_cases(), *geometry_cases()]


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


def test_s061_vectors_of_mysql(on_mysql: Logged) -> None:
    values = compare(on_mysql, "vector(3)", Vector(3), ["STRING_TO_VECTOR('[1,2.5,-3]')", "STRING_TO_VECTOR('[1]')"])
    assert values == [struct.pack("<3f", 1, 2.5, -3), struct.pack("<f", 1)]


def test_s061_network_addresses_of_mariadb(on_mariadb: Logged) -> None:
    compare(on_mariadb, "inet4", Textual("inet4"), ["'0.0.0.0'", "'10.1.0.0'", "'255.255.255.255'", "'1.0.0.1'"])
    on_mariadb.execute("DROP TABLE t")
    spread = random.Random(6)
    words = [[spread.choice([0, 0, 0, 0xFFFF, 1, 0xABCD]) for _ in range(8)] for _ in range(1000)]
    some = ["::", "::1", "1::", "::ffff:1.2.3.4", "::1.2.3.4", "::ffff:0:1.2.3.4", "2001:db8::1", "1:2:3:4:5:6:7::"]
    some += [":".join(f"{word:x}" for word in each) for each in words]
    compare(on_mariadb, "inet6", Textual("inet6"), [f"'{address}'" for address in some])


def test_s061_uuids_of_mariadb(on_mariadb: Logged) -> None:
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

"""The oracle knows each type's canonical form, and finds every kind of difference that is planted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from tests.support import oracle
from tests.support.databases import PostgresDatabase

# PostgreSQL type, its literal, what SQLite is to hold (an SQL literal there).
FORMS = [
    ("smallint", "-32768", "-32768"),
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("oid", "4294967295", "4294967295"),
    ("boolean", "true", "1"),
    ("boolean", "NULL", "NULL"),
    ("numeric", "'1.10'", "'1.10'"),
    ("numeric", "'NaN'", "'NaN'"),
    ("real", "0.5", "0.5"),
    ("double precision", "0.1", "0.1"),
    ("double precision", "'5e-324'", "5e-324"),
    ("double precision", "'1.7976931348623157e308'", "1.7976931348623157e308"),
    ("double precision", "'-0'", "0.0"),
    ("double precision", "'-Infinity'", "-9e999"),
    ("money", "'-1234567.89'", "'-1234567.89'"),
    ("char(4)", "'a'", "'a   '"),
    ('"char"', "'x'", "'x'"),
    ("varchar(9)", "''", "''"),
    ("text", "E'tab\\tline\\nback\\\\N null'", "'tab'||char(9)||'line'||char(10)||'back\\N null'"),
    ("text", "E'\\r\\b\\f\\x0b ä€😀'", "char(13,8,12,11)||' ä€😀'"),
    ("text", "'\\N'", "'\\N'"),
    ("bytea", "'\\x0001ff'", "x'0001ff'"),
    ("bytea", "''", "x''"),
    ("date", "'0044-03-15 BC'", "'0044-03-15 BC'"),
    ("timestamp", "'2024-02-29 18:44:15.000001'", "'2024-02-29 18:44:15.000001'"),
    ("timestamptz", "'2024-02-29 18:44:15.5+05:30'", "'2024-02-29 13:14:15.5Z'"),
    ("timestamptz", "'0044-03-15 12:00:00+00 BC'", "'0044-03-15 12:00:00Z BC'"),
    ("timestamptz", "'infinity'", "'infinity'"),
    ("time", "'24:00'", "'24:00:00'"),
    ("timetz", "'12:00+00'", "'12:00:00+00'"),
    ("interval", "'1 year -2 days 03:04:05.6'", "'P1Y-2DT3H4M5.6S'"),
    ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
    ("json", '\'{"b": 1,  "a":2}\'', '\'{"b": 1,  "a":2}\''),
    ("jsonb", '\'{"b": 1,  "a":2}\'', '\'{"a": 2, "b": 1}\''),
    ("inet", "'10.0.0.1'", "'10.0.0.1'"),
    ("cidr", "'10.0.0.0/8'", "'10.0.0.0/8'"),
    ("bit(3)", "B'101'", "'101'"),
    ("xml", '\'<?xml version="1.0" encoding="UTF-8"?><a/>\'', "'<a/>'"),
    ("tsvector", "'b a'", "'''a'' ''b'''"),
    ("point", "'(1,2.5)'", "'(1,2.5)'"),
    ("int4range", "'[1,5]'", "'[1,6)'"),
    ("tstzrange", "'[2024-01-01 00:00+00,)'", "'[\"2024-01-01 00:00:00+00\",)'"),
    ("mood", "'so so'", "'so so'"),
    ("positive", "7", "7"),
    ("pair", "ROW(1, 'a b')", "'(1,\"a b\")'"),
    ("pair", "ROW(NULL, NULL)", "'(,)'"),
    ("pair", "NULL", "NULL"),
    ("int[]", "'{}'", "'[]'"),
    ("int[]", "'{1,NULL,-3}'", "'[1,null,-3]'"),
    ("int[]", "'{{1,2,3},{4,5,6}}'", "'[[1,2,3],[4,5,6]]'"),
    ("int[]", "'{{{1},{2}},{{3},{4}},{{5},{6}}}'", "'[[[1],[2]],[[3],[4]],[[5],[6]]]'"),
    ("boolean[]", "'{t,f}'", "'[true,false]'"),
    ("numeric[]", "'{1.10,NaN,-Infinity}'", '\'[1.10,"NaN","-Infinity"]\''),
    ("real[]", "'{0.1,1e20,Infinity}'", "'[0.1,1e+20,\"Infinity\"]'"),
    ("text[]", "ARRAY['', 'a\"b', 'NULL', NULL]", '\'["","a\\"b","NULL",null]\''),
    ("text[]", "ARRAY[E'\\\\ \\n\\x01ä']", "'[\"\\\\ \\n\\u0001ä\"]'"),
    ("char(2)[]", "'{a}'", "'[\"a \"]'"),
    ("timestamptz[]", "'{2024-01-01 00:00+00}'", "'[\"2024-01-01 00:00:00Z\"]'"),
    ("bytea[]", "ARRAY['\\x00ff'::bytea]", "'[\"\\x00ff\"]'".replace("\\x", "\\\\x")),
    ("jsonb[]", "ARRAY['{\"a\": 1}'::jsonb, 'null', NULL]", "'[{\"a\": 1},null,null]'"),
    ("money[]", "'{1.50}'", "'[\"1.50\"]'"),
    ("mood[]", "'{sad}'", "'[\"sad\"]'"),
    ("positive[]", "'{3,4}'", "'[3,4]'"),
    ("pair[]", "ARRAY[ROW(1, 'x')::pair, NULL]", "'[\"(1,x)\",null]'"),
    ("box[]", "'{(1,1),(0,0);(2,2),(1,1)}'", '\'["(1,1),(0,0)","(2,2),(1,1)"]\''),
]
TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'so so', 'glad');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
"""


def fill(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


def has_xml(database: PostgresDatabase) -> bool:
    """A server may be built without it."""
    try:
        database.query("SELECT '<a/>'::xml")
    except psycopg2.errors.FeatureNotSupported:
        return False
    return True


def test_canonical_form_of_every_type(database: PostgresDatabase, tmp_path: Path) -> None:
    database.execute(TYPES)
    xml = has_xml(database)
    forms = {f"c{at}": form for at, form in enumerate(FORMS) if form[0] != "xml" or xml}
    source = ", ".join(f"{name} {kind}" for name, (kind, _, _) in forms.items())
    database.execute(f"CREATE TABLE forms ({source})")
    database.execute(f"INSERT INTO forms VALUES ({', '.join(value for _, value, _ in forms.values())})")
    values = ", ".join(f"{held} AS {name}" for name, (_, _, held) in forms.items())
    copy = fill(tmp_path / "copy.db", f"CREATE TABLE forms AS SELECT {values}")
    oracle.assert_equal(database.url, copy, ["public.forms"])


@pytest.fixture
def source(database: PostgresDatabase) -> PostgresDatabase:
    database.execute("CREATE TABLE orders (id int PRIMARY KEY, note text, size float8, raw bytea)")
    database.execute(ORDERS.replace("x'", "'\\x"))
    database.execute("CREATE TABLE tally (op_id bigint)")
    database.execute("INSERT INTO tally VALUES (7), (7), (8)")
    return database


ORDERS = "INSERT INTO orders VALUES (1, 'one', 0.1, x'01'), (2, '', 2, x'02'), (3, NULL, 3, NULL);"
COPY = f"""
CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT, size REAL, raw BLOB) STRICT;
{ORDERS}
CREATE TABLE tally (op_id INTEGER) STRICT;
INSERT INTO tally VALUES (7), (7), (8);
"""


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    yield fill(tmp_path / "copy.db", COPY)


def test_equal_copies_pass(source: PostgresDatabase, copy: Path) -> None:
    assert oracle.tables(source.url) == ["public.orders", "public.tally"]
    oracle.assert_equal(source.url, copy)
    oracle.assert_equal(source.url, copy, {"public.orders": "orders"})
    oracle.assert_storage(source.url, copy)


PLANTED = {
    "a changed value": ("UPDATE orders SET note = 'One' WHERE id = 1", "One"),
    "a missing row": ("DELETE FROM orders WHERE id = 2", "1 missing or different"),
    "an extra row": ("INSERT INTO orders VALUES (4, 'x', 1, x'')", "1 extra or different"),
    "a lost duplicate": ("DELETE FROM tally WHERE rowid = 1", "3 rows in PostgreSQL, 2 in SQLite"),
    "a duplicate too many": ("INSERT INTO tally VALUES (8)", "3 rows in PostgreSQL, 4 in SQLite"),
    "the wrong duplicate": ("UPDATE tally SET op_id = 8 WHERE rowid = 1", "- 7"),
    "an empty text for NULL": ("UPDATE orders SET note = '' WHERE id = 3", "\\N"),
    "NULL for an empty text": ("UPDATE orders SET note = NULL WHERE id = 2", "\\N"),
    "the text \\N for NULL": ("UPDATE orders SET note = '\\N' WHERE id = 3", "\\\\N"),
    "a float one bit off": ("UPDATE orders SET size = 0.10000000000000002 WHERE id = 1", "000000002"),
    "empty bytes for NULL": ("UPDATE orders SET raw = x'' WHERE id = 3", "\\\\x"),
    "another byte": ("UPDATE orders SET raw = x'0100' WHERE id = 1", "\\\\x0100"),
    "a column too many": ("ALTER TABLE orders ADD COLUMN more TEXT", "['more']"),
    "a column too few": ("ALTER TABLE orders DROP COLUMN raw", "['raw']"),
    "no table": ("DROP TABLE tally", "no table 'tally'"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_difference_is_found(source: PostgresDatabase, copy: Path, kind: str) -> None:
    statement, text = PLANTED[kind]
    fill(copy, statement)
    with pytest.raises(AssertionError) as caught:
        oracle.assert_equal(source.url, copy)
    assert text in str(caught.value)


def test_wrong_storage_classes_are_found(source: PostgresDatabase, tmp_path: Path) -> None:
    loose = "CREATE TABLE orders (id, note, size, raw);" + ORDERS
    copy = fill(tmp_path / "loose.db", loose)
    wanted = {"public.orders": "orders"}
    assert oracle.storage_classes(copy, "orders")["note"] == {"text": 2, "null": 1}
    with pytest.raises(AssertionError, match=r"orders\.size: 2 values are stored as integer, not as real"):
        oracle.assert_storage(source.url, copy, wanted)
    fill(copy, "UPDATE orders SET size = CAST(size AS REAL), id = CAST(id AS TEXT) WHERE id = 2")
    with pytest.raises(AssertionError, match=r"orders\.id: 1 values are stored as text, not as integer"):
        oracle.assert_equal(source.url, copy, wanted)


def test_a_diff_is_short_and_names_what_it_leaves_out(source: PostgresDatabase, copy: Path) -> None:
    source.execute("INSERT INTO orders SELECT n, repeat('x', 20000) || n FROM generate_series(10, 59) n")
    with pytest.raises(AssertionError) as caught:
        oracle.assert_equal(source.url, copy)
    text = str(caught.value)
    assert "... and 30 more" in text
    assert len(text) < 4000


def test_dumps_are_ordered_by_the_given_columns(source: PostgresDatabase, copy: Path) -> None:
    expected = ["\t2", "\\N\t3", "one\t1"]
    assert oracle.dump_postgres(source.url, "public.orders", ["note", "id"], ["note"]) == expected
    assert oracle.dump_sqlite(copy, "orders", ["note", "id"], ["note"]) == expected


def test_generated_columns_may_be_left_out_or_there(database: PostgresDatabase, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2) STORED)")
    database.execute("INSERT INTO t VALUES (1)")
    oracle.assert_equal(database.url, fill(tmp_path / "left.db", "CREATE TABLE t AS SELECT 1 AS a"))
    oracle.assert_equal(database.url, fill(tmp_path / "there.db", "CREATE TABLE t AS SELECT 1 AS a, 2 AS b"))


def test_names_of_any_kind(database: PostgresDatabase, tmp_path: Path) -> None:
    database.execute("""CREATE SCHEMA "a b"; CREATE TABLE "a b"."it's ""x"" %s :y" ("c'""%s :z\t" int)""")
    database.execute("""INSERT INTO "a b"."it's ""x"" %s :y" VALUES (1)""")
    (table,) = oracle.tables(database.url, "a b")
    name = oracle.landing(table)
    assert name == 'a b__it\'s "x" %s :y'
    script = """CREATE TABLE "a b__it's ""x"" %s :y" AS SELECT 1 AS "c'""%s :z\t" """
    oracle.assert_equal(database.url, fill(tmp_path / "copy.db", script), [table])


def test_settings_of_the_database_change_nothing(source: PostgresDatabase, copy: Path) -> None:
    for setting in ("timezone = 'Asia/Kolkata'", "datestyle = 'German'", "extra_float_digits = -5"):
        source.execute(f"ALTER DATABASE {source.name} SET {setting}")
    source.execute("ALTER TABLE tally ADD COLUMN at timestamptz DEFAULT '2024-02-29 12:00+00'")
    fill(copy, "ALTER TABLE tally ADD COLUMN at TEXT DEFAULT '2024-02-29 12:00:00Z'")
    oracle.assert_equal(source.url, copy)

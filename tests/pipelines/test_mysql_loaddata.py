"""LOAD DATA LOCAL and plain inserts: the same rows, the same errors, whichever of them the server takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.into_mysql import PostgresIntoMysql


@pytest.fixture(params=["ON", "OFF"])
def loading(request: pytest.FixtureRequest, into: PostgresIntoMysql) -> Iterator[PostgresIntoMysql]:
    ((before,),) = into.into.query("SELECT @@global.local_infile")
    into.into.execute(f"SET GLOBAL local_infile = {request.param}")
    yield into
    into.into.execute(f"SET GLOBAL local_infile = {before}")


def test_every_byte_and_character_arrives(loading: PostgresIntoMysql) -> None:
    pair = loading
    pair.database.execute(
        "CREATE TABLE bytes (id int PRIMARY KEY, b bytea, t text);"
        "INSERT INTO bytes SELECT i, decode(lpad(to_hex(i), 2, '0'), 'hex'), chr(i + 1) || 'x' || chr(i + 1)"
        "  FROM generate_series(0, 255) i;"
        r"INSERT INTO bytes VALUES (1000, NULL, NULL), (1001, '', ''), (1002, '\x5c4e', '\N'), (1003, NULL, '\\N'),"
        r" (1004, '\x090a', E'\\\t\\\n'), (1005, '\x00', 'NULL'), (1006, '\x1a', E'\u001aend'), (1007, '', '\');"
        "CREATE TABLE one (t text); ALTER TABLE one REPLICA IDENTITY FULL;"
        "INSERT INTO one SELECT '' FROM generate_series(1, 60); INSERT INTO one VALUES (NULL), ('x'), ('')"
    )
    pair.once()
    pair.assert_equal()


def test_s076_a_doubled_key_among_many_rows_stops(loading: PostgresIntoMysql) -> None:
    pair = loading
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE)")
    pair.once()
    pair.into.execute("INSERT INTO t VALUES (1070, 7)")
    pair.database.execute("INSERT INTO t SELECT i, i + 10000 FROM generate_series(1001, 1100) i")
    assert "1070" in pair.once(code=5)
    assert pair.rows("SELECT * FROM t") == [(1070, 7)]
    pair.into.execute("DELETE FROM t")
    pair.once()
    pair.assert_equal()


def test_a_row_larger_than_a_packet_stops_by_its_key(loading: PostgresIntoMysql) -> None:
    pair = loading
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY, v bytea); INSERT INTO t VALUES (1, 'x')")
    pair.once()
    ((most,),) = pair.into.query("SELECT @@global.max_allowed_packet")
    pair.database.execute(f"INSERT INTO t SELECT 7, convert_to(repeat('x', {most // 2}), 'UTF8')")
    output = pair.once(code=5)
    assert "public.t (key id=7)" in output and "max_allowed_packet" in output

"""PostgreSQL tables that somebody else made: more, fewer, other and narrower columns; and values of an SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.databases import PostgresDatabase
from tests.support.faults import run_replicator
from tests.support.postgres_pair import PostgresPair
from tests.support.servers import Server

SOURCE = (
    "CREATE TABLE t (id int PRIMARY KEY, v varchar(10), n numeric(8, 2), s timestamp(3));"
    "INSERT INTO t VALUES (1, 'one', 1.5, '2024-01-01 00:00:00.123')"
)


def landing(pair: PostgresPair, table: str) -> None:
    """A target table of the superuser's, with the rights that are needed and no more."""
    pair.database.execute(SOURCE)
    pair.copy.execute(table)
    pair.copy.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON t TO "{pair.copy.name}_into"')


def change(pair: PostgresPair) -> None:
    pair.database.execute(
        "INSERT INTO t SELECT i, 'v' || i, i, now()::timestamp(3) FROM generate_series(2, 50) i;"
        "UPDATE t SET v = 'w', n = n + 1 WHERE id % 2 = 0; UPDATE t SET id = id + 1000 WHERE id IN (3, 4);"
        "DELETE FROM t WHERE id IN (5, 6)"
    )


MORE: dict[str, str] = {
    "nullable": "more text",
    "default": "more text NOT NULL DEFAULT 'x'",
    "generated": "more text NOT NULL GENERATED ALWAYS AS (v || '!') STORED",
    "identity": "more int GENERATED ALWAYS AS IDENTITY",
}


@pytest.mark.parametrize("more", MORE.values(), ids=MORE)
def test_s073_more_columns_at_the_target(pg_pair: PostgresPair, more: str) -> None:
    pair = pg_pair
    landing(pair, f"CREATE TABLE t (id int PRIMARY KEY, {more}, n numeric(8,2), v varchar(10), s timestamp(3))")
    pair.once()
    change(pair)
    pair.once()
    pair.assert_equal()
    if "!" in more:
        assert pair.rows("SELECT count(*) FROM t WHERE more IS DISTINCT FROM v || '!'") == [(0,)]


def test_s073_a_column_that_must_be_given(pg_pair: PostgresPair) -> None:
    landing(pg_pair, "CREATE TABLE t (id int PRIMARY KEY, v varchar(10), n numeric, s timestamp, more text NOT NULL)")
    output = pg_pair.once(code=3)
    assert "column more is NOT NULL without a default" in output
    assert pg_pair.rows("SELECT * FROM t") == [] and pg_pair.slots() == []


WIDER = "id bigint PRIMARY KEY, v text, n numeric, s timestamp"


def test_s074_wider_columns_hold_everything(pg_pair: PostgresPair) -> None:
    landing(pg_pair, f"CREATE TABLE t ({WIDER})")
    pg_pair.once()
    change(pg_pair)
    pg_pair.once()
    pg_pair.assert_equal()


NARROWER: dict[str, tuple[str, str]] = {
    "integer": ("id smallint PRIMARY KEY, v text, n numeric, s timestamp", "column id is smallint"),
    "text": ("id int PRIMARY KEY, v varchar(9), n numeric, s timestamp", "column v is character varying(9)"),
    "padded": ("id int PRIMARY KEY, v char(10), n numeric, s timestamp", "column v is character(10)"),
    "digits": ("id int PRIMARY KEY, v text, n numeric(7,2), s timestamp", "column n is numeric(7,2)"),
    "scale": ("id int PRIMARY KEY, v text, n numeric(8,1), s timestamp", "column n is numeric(8,1)"),
    "floating": ("id int PRIMARY KEY, v text, n float8, s timestamp", "column n is double precision"),
    "fraction": ("id int PRIMARY KEY, v text, n numeric, s timestamp(2)", "column s is timestamp(2)"),
    "zone": ("id int PRIMARY KEY, v text, n numeric, s timestamptz", "column s is timestamp with time zone"),
    "missing": ("id int PRIMARY KEY, v text, n numeric", "column s is missing"),
    "not null": ("id int PRIMARY KEY, v text NOT NULL, n numeric, s timestamp", "column v is NOT NULL"),
    "computed": ("id int PRIMARY KEY, v text, n numeric GENERATED ALWAYS AS (1) STORED, s timestamp", "is generated"),
    "no key": ("id int, v text, n numeric, s timestamp", "no primary key or unique index on (id)"),
    "deferrable": ("id int PRIMARY KEY DEFERRABLE, v text, n numeric, s timestamp", "only a deferrable one"),
}


@pytest.mark.parametrize(("columns", "what"), NARROWER.values(), ids=NARROWER)
def test_s074_what_cannot_hold_the_rows_is_refused(pg_pair: PostgresPair, columns: str, what: str) -> None:
    landing(pg_pair, f"CREATE TABLE t ({columns})")
    output = pg_pair.once(code=3)
    assert what in " ".join(output.split()) and "remedy: " in output
    assert pg_pair.rows("SELECT id FROM t") == [] and pg_pair.slots() == []


OTHERS: dict[str, tuple[str, str]] = {
    "view": (f"CREATE TABLE u ({WIDER}); CREATE VIEW t AS SELECT * FROM u", "it is a view"),
    "partitioned": (f"CREATE TABLE t ({WIDER}) PARTITION BY RANGE (id)", "it is a partitioned table"),
    "unlogged": (f"CREATE UNLOGGED TABLE t ({WIDER})", "SET LOGGED"),
    "rule": (f"CREATE TABLE t ({WIDER}); CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING", "it has rules"),
    "parent": (f"CREATE TABLE t ({WIDER}); CREATE TABLE child () INHERITS (t)", "other tables inherit from it"),
    "policy": (f"CREATE TABLE t ({WIDER}); ALTER TABLE t ENABLE ROW LEVEL SECURITY", "row security hides rows"),
}


@pytest.mark.parametrize(("table", "what"), OTHERS.values(), ids=OTHERS)
def test_a_table_of_another_kind_is_refused(pg_pair: PostgresPair, table: str, what: str) -> None:
    landing(pg_pair, table)
    output = pg_pair.once(code=3)
    assert what in output and "remedy: " in output


def test_a_collation_that_takes_texts_for_the_same(postgres15: Server) -> None:
    one, two = PostgresDatabase(postgres15), PostgresDatabase(postgres15)
    with one as database, two as other, PostgresPair(database, other) as pair:
        loose = "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
        columns = "id int PRIMARY KEY, v text COLLATE loose UNIQUE, n numeric, s timestamp"
        landing(pair, f"{loose} CREATE TABLE t ({columns})")
        assert "nondeterministic collation" in pair.once(code=3)


def test_without_rights_on_the_table_the_grant_is_said(pg_pair: PostgresPair) -> None:
    pg_pair.database.execute(SOURCE)
    pg_pair.copy.execute(f"CREATE TABLE t ({WIDER})")
    assert "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE" in pg_pair.run("check", code=3)


@pytest.mark.parametrize("at", ["id", "n"])
def test_identity_columns_that_are_always_generated(pg_pair: PostgresPair, at: str) -> None:
    """COPY and INSERT give them their values; no UPDATE can, so a row whose value changes is made anew."""
    pair = pg_pair
    always = "GENERATED ALWAYS AS IDENTITY"
    kinds = {"id": f"id int {always} PRIMARY KEY, n int", "n": f"id int PRIMARY KEY, n int {always}"}
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, v text)")
    pair.database.execute("INSERT INTO t SELECT i, i, repeat('x', 3000) FROM generate_series(1, 100) i")
    pair.copy.execute(f"CREATE TABLE t ({kinds[at]}, v text)")
    pair.copy.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON t TO "{pair.copy.name}_into"')
    running = pair.following()
    pair.database.execute("INSERT INTO t VALUES (1000, 1000, 'single'); UPDATE t SET v = 'y' WHERE id % 2 = 0")
    pair.catch_up(running)
    pair.database.execute("UPDATE t SET n = -n WHERE id % 3 = 0; UPDATE t SET id = id + 500 WHERE id < 20")
    pair.catch_up(running)
    pair.assert_equal()


def test_a_citext_key_is_found_by_its_index(pg_pair: PostgresPair) -> None:
    pair = pg_pair
    if pair.database.query("SELECT count(*) FROM pg_available_extensions WHERE name = 'citext'") == [(0,)]:
        pytest.skip("this server has no citext")
    for database in (pair.database, pair.copy):
        database.execute("CREATE EXTENSION citext")
    pair.database.execute("CREATE TABLE t (k citext PRIMARY KEY, v int); INSERT INTO t VALUES ('Ab', 1), ('c', 2)")
    running = pair.following()
    pair.database.execute("UPDATE t SET v = 3 WHERE k = 'ab'; UPDATE t SET k = 'aB' WHERE k = 'ab'")
    pair.database.execute("UPDATE t SET v = v + 1; DELETE FROM t WHERE k = 'C'")
    pair.catch_up(running)
    pair.assert_equal()
    assert pair.rows("SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum = 1")


# From SQLite, whose columns hold values of any type

GOOD = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b REAL, c BLOB, d DECIMAL(10,2), e DATETIME, f BOOLEAN, g BIGINT,"
    " h JSON, i DATE, j)",
    "INSERT INTO t VALUES (1, 'tab\t\\ ''q'' é', 1.5, x'00ff', 1.1, '2024-02-29 12:00:00.5', 1, -9223372036854775808,"
    " '{\"a\": 1, \"a\": 2}', '2024-02-29', 'any'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
)


def backfill(path: Path, copy: PostgresDatabase, *args: str) -> tuple[int, str]:
    with run_replicator(["backfill", f"sqlite:///{path}", copy.url, *args]) as running:
        code = running.wait(60)
        return code, running.stdout() + running.stderr()


def file_of(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    return path


@pytest.fixture
def copy(postgres: Server) -> Iterator[PostgresDatabase]:
    with PostgresDatabase(postgres) as made:
        yield made


def test_sqlite_into_postgres(copy: PostgresDatabase, tmp_path: Path) -> None:
    code, output = backfill(file_of(tmp_path / "s.db", *GOOD), copy)
    assert code == 0, output
    row = copy.query("SELECT a, b, c::text, d::text, e::text, f, g, h::text FROM t WHERE id = 1")
    assert row == [
        ("tab\t\\ 'q' é", 1.5, "\\x00ff", "1.10", "2024-02-29 12:00:00.5", True, -(2**63), '{"a": 1, "a": 2}')
    ]
    assert copy.query("SELECT i::text, j FROM t WHERE id = 1") == [("2024-02-29", "any")]
    nothing = copy.query("SELECT count(*) FROM t WHERE num_nonnulls(a, b, c, d, e, f, g, h, i, j) = 0")
    assert nothing == [(1,)]


UNHELD = {
    "text in an integer": ("n INTEGER", "'secret'"),
    "a fraction in an integer": ("n INTEGER", "1.5"),
    "a blob in a text": ("n TEXT", "x'00'"),
    "NUL in a text": ("n TEXT", "'secret' || char(0)"),
    "more digits than declared": ("n DECIMAL(5,2)", "1.234"),
    "larger than declared": ("n DECIMAL(5,2)", "1000"),
    "text in a real": ("n REAL", "'secret'"),
    "no date": ("n DATETIME", "'secret'"),
    "a day that is none": ("n DATE", "'2023-02-29'"),
    "nanoseconds": ("n DATETIME", "'2024-01-01 00:00:00.1234567'"),
    "neither true nor false": ("n BOOLEAN", "2"),
    "capitals in a UUID": ("n UUID", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"),
}


@pytest.mark.parametrize(("column", "value"), UNHELD.values(), ids=UNHELD)
def test_s108_a_value_that_is_not_what_its_column_says_stops(
    postgres18: Server, tmp_path: Path, column: str, value: str
) -> None:
    path = file_of(
        tmp_path / "s.db",
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, {column})",
        f"INSERT INTO t VALUES (1, NULL), (4711, {value})",
    )
    with PostgresDatabase(postgres18) as copy:
        code, output = backfill(path, copy)
        assert code == 5, output
        assert "main.t.n (id=4711): " in output and "remedy: " in output and "secret" not in output
        if "x'" not in value:
            config = tmp_path / "policy.toml"
            config.write_text('[columns."main.t.n"]\nas = "text"\n')
            code, output = backfill(path, copy, "--config", str(config), "--restart")
            assert (code == 0) == ("char(0)" not in value), output


def test_policies_of_nul(postgres18: Server, tmp_path: Path) -> None:
    path = file_of(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT)",
        "INSERT INTO t VALUES (1, 'x' || char(0) || 'y', 'x' || char(0))",
    )
    config = tmp_path / "policy.toml"
    config.write_text('[columns."main.t.a"]\nnul = "strip"\n[columns."main.t.b"]\nnul = "bytea"\n')
    with PostgresDatabase(postgres18) as copy:
        code, output = backfill(path, copy, "--config", str(config))
        assert code == 0, output
        assert copy.query("SELECT a, b::text FROM t") == [("xy", "\\x7800")]

"""Tables without a key, followed by their whole rows: exactly one of equal rows changes; with a digest, by an index."""

from __future__ import annotations

import json
import random
import signal

import pytest

from replicator.engines.sqlite.statements import DIALECT
from replicator.model.schema import Name
from tests.pipelines.test_review_postgres import config, refused
from tests.support.faker import prepare, random_literal
from tests.support.pair import Pair

DIGEST = '[table_options."public.k"]\ndigest_column = true\n'
ONE = "ctid = (SELECT ctid FROM {} WHERE {} LIMIT 1)"
KINDS = (
    *("integer", "bigint", "numeric", "text", "bytea", "double precision", "real", "json", "jsonb", "uuid", "inet"),
    *(
        "timestamptz",
        "date",
        "boolean",
        "interval",
        "mood",
        "text[]",
        "char(5)",
        "xml",
        "point",
        "int4range",
        "bit(12)",
    ),
)


def options(pair: Pair, digest: bool, more: str = "", *tables: str) -> tuple[str, ...]:
    names = tables or ("k",)
    text = "".join(DIGEST.replace("public.k", f"public.{name}") for name in names) if digest else ""
    return config(pair, text + more)


def equal(pair: Pair, digest: bool, table: str = "k") -> None:
    """As the oracle says; the digest's own column is left out by a view of the same rows."""
    if not digest:
        pair.assert_equal([f"public.{table}"])
        return
    ours = pair.rows(f"SELECT * FROM {table}")
    assert all(isinstance(row[-1], bytes) and len(row[-1]) == 16 for row in ours)
    by_digest = {(row[:-1], row[-1]) for row in ours}
    assert len({row for row, _ in by_digest}) == len(by_digest), "equal rows have one digest"
    from tests.support import oracle

    columns = [n for (n,) in pair.rows(f"SELECT name FROM pragma_table_info('{table}')")][:-1]
    source = oracle.dump_postgres(pair.database.url, f"public.{table}", columns) if columns else []
    target = oracle.dump_sqlite(pair.path, table, columns) if columns else []
    assert sorted(source) == sorted(target)
    ((count,),) = pair.database.query(f"SELECT count(*) FROM {table}")
    assert len(ours) == count


@pytest.mark.parametrize("digest", [False, True], ids=["whole", "digest"])
def test_s093_one_of_three_equal_rows_of_every_type(pair18: Pair, rng: random.Random, digest: bool) -> None:
    pair = pair18
    known = prepare(pair.database)
    kinds = [kind for kind in KINDS if kind in known]
    columns = ", ".join(f"c{at} {kind}" for at, kind in enumerate(kinds))
    pair.database.execute(f"CREATE TABLE k (n int, {columns}); ALTER TABLE k REPLICA IDENTITY FULL")
    for n in range(12):
        row = ", ".join("NULL" if rng.random() < 0.2 else random_literal(rng, kind) for kind in kinds)
        pair.database.execute(f"INSERT INTO k SELECT {n}, {row} FROM generate_series(1, 3)")
    pair.database.execute("INSERT INTO k SELECT FROM generate_series(1, 3)")
    args = options(pair, digest)
    running = pair.following(*args)
    equal(pair, digest)
    for n in range(12):
        pair.database.execute(f"UPDATE k SET n = n + 100 WHERE {ONE.format('k', f'n = {n}')}")
        pair.database.execute(f"DELETE FROM k WHERE {ONE.format('k', f'n = {n}')}")
    pair.database.execute(f"DELETE FROM k WHERE {ONE.format('k', 'n IS NULL')}")
    pair.catch_up(running)
    equal(pair, digest)
    at = rng.randrange(len(kinds))
    for at in rng.sample(range(len(kinds)), 6):
        text = random_literal(rng, kinds[at])
        pair.database.execute(f"UPDATE k SET c{at} = {text} WHERE {ONE.format('k', f'n = {rng.randrange(12)}')}")
        pair.database.execute(f"UPDATE k SET c{at} = NULL WHERE n % 3 = 0")
    pair.database.execute("UPDATE k SET n = n WHERE n < 5; INSERT INTO k SELECT * FROM k")
    pair.catch_up(running)
    equal(pair, digest)
    running.signal(signal.SIGTERM)
    assert running.wait(30) == 0
    pair.database.execute(f"UPDATE k SET n = 7 WHERE {ONE.format('k', 'n IS NULL')}; DELETE FROM k WHERE n = 101")
    pair.once(*args)
    equal(pair, digest)


@pytest.mark.parametrize("digest", [False, True], ids=["whole", "digest"])
def test_s093_random_changes(pair18: Pair, rng: random.Random, digest: bool) -> None:
    """Few values, so that many rows are equal; in transactions, with savepoints, kills and TRUNCATE."""
    pair = pair18
    pair.database.execute(
        "CREATE TABLE k (a int, b text, c float8); ALTER TABLE k REPLICA IDENTITY FULL;"
        "INSERT INTO k SELECT i % 3, CASE i % 4 WHEN 0 THEN NULL ELSE 'b' || i % 2 END, i % 2 FROM "
        "generate_series(1, 60) i"
    )
    args = options(pair, digest)
    running = pair.following(*args)

    def values() -> str:
        return ", ".join(
            (rng.choice(["0", "1", "NULL"]), rng.choice(["'b'", "''", "NULL"]), rng.choice(["0", "0.1", "NULL"]))
        )

    def condition() -> str:
        chosen = rng.choice(["a = 1", "a IS NULL", "b = ''", "c = 0.1", "true", "c IS NULL AND b IS NULL"])
        return ONE.format("k", chosen) if rng.random() < 0.7 else f"{chosen} AND ctid < '(0,20)'"

    def change() -> str:
        kind = rng.random()
        if kind < 0.4:
            return f"INSERT INTO k VALUES ({values()}), ({values()})"
        if kind < 0.7:
            return f"UPDATE k SET (a, b, c) = ROW({values()}) WHERE {condition()}"
        if kind < 0.97:
            return f"DELETE FROM k WHERE {condition()}"
        return "TRUNCATE k"

    for at in range(120):
        work = "; ".join(change() for _ in range(rng.randint(1, 8)))
        undone = f"SAVEPOINT s; {change()}; {change()}; ROLLBACK TO s;" if rng.random() < 0.3 else ""
        pair.database.execute(f"BEGIN; {undone} {work}; {'ROLLBACK' if rng.random() < 0.1 else 'COMMIT'}")
        if at in (40, 80):
            running.kill()
            running = pair.following(*args)
    pair.catch_up(running)
    equal(pair, digest)


def test_s093_the_digest_is_used(pair18: Pair) -> None:
    """Its index finds the row: for an update and a delete as the product writes them, and by the clock."""
    pair = pair18
    pair.database.execute(
        "CREATE TABLE k (a int, b text, long text); ALTER TABLE k REPLICA IDENTITY FULL;"
        "ALTER TABLE k ALTER long SET STORAGE EXTERNAL;"
        "INSERT INTO k SELECT i / 2, 'b', 'short' FROM generate_series(1, 40000) i;"
        "INSERT INTO k SELECT -1, 'toast', repeat('0123456789', 10000) FROM generate_series(1, 3)"
    )
    args = options(pair, True)
    running = pair.following(*args)
    matched = ("a", "b", "long", "_replicator_digest")
    target = Name("main", "k")
    for statement in (DIALECT.delete_one(target, matched), DIALECT.update_one(target, ["a"], matched)):
        markers = statement.count("?")
        plan = " / ".join(row[3] for row in pair.rows("EXPLAIN QUERY PLAN " + statement, *[None] * markers))
        assert "USING INDEX _replicator_k(_replicator_digest)" in plan and "SCAN" not in plan, plan
    pair.database.execute("UPDATE k SET a = a + 1 WHERE a % 2 = 0; DELETE FROM k WHERE a % 5 = 0")
    pair.database.execute(f"UPDATE k SET b = 'other' WHERE {ONE.format('k', 'a = -1')}")
    pair.database.execute(f"DELETE FROM k WHERE {ONE.format('k', 'b = $$toast$$')}")
    pair.database.execute("UPDATE k SET a = -2 WHERE b IN ('other', 'toast')")
    pair.catch_up(running, 30)
    equal(pair, True)
    pair.database.execute(
        "BEGIN; TRUNCATE k; INSERT INTO k VALUES (1, NULL, NULL), (1, NULL, NULL); DELETE FROM k WHERE"
        " ctid = '(0,1)'; COMMIT"
    )
    pair.catch_up(running)
    equal(pair, True)


@pytest.mark.rotating
def test_s093_where_a_digest_cannot_be(pair18: Pair) -> None:
    pair = pair18
    pair.database.execute(
        'CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE k (a int, "_Replicator_digest" int);'
        'ALTER TABLE k REPLICA IDENTITY FULL; CREATE TABLE r (rowid int, _rowid_ int, "OID" int);'
        "ALTER TABLE r REPLICA IDENTITY FULL; CREATE TABLE r2 (rowid int, _rowid_ int); ALTER TABLE r2 REPLICA "
        "IDENTITY FULL;"
        "INSERT INTO r2 VALUES (1, 1), (1, 1)"
    )
    refused(
        pair, "public.t has a key by which its rows are found", args=("--table", "t", *options(pair, True, "", "t"))
    )
    refused(pair, "kept for bookkeeping", args=("--table", "k", *options(pair, True)))
    refused(pair, "its rows have no number", args=("--table", "r"))
    pair.once("--table", "r2")
    pair.database.execute("DELETE FROM r2 WHERE ctid = '(0,1)'; UPDATE r2 SET rowid = 5")
    pair.once("--table", "r2")
    pair.assert_equal(["public.r2"])
    saved = pair.saved()
    output = pair.once("--table", "r2", *options(pair, True, "", "r2"), code=3)
    assert "public.r2" in output and "[table_options]" in output and pair.saved() == saved


def test_s108_nan_in_a_table_without_a_key(pair18: Pair) -> None:
    """Both policies: a row is found again by what was stored for it."""
    pair = pair18
    for name in ("k", "n"):
        pair.database.execute(
            f"CREATE TABLE {name} (a float8, b float4); ALTER TABLE {name} REPLICA IDENTITY FULL;"
            f"INSERT INTO {name} VALUES ('NaN', '-0'), ('NaN', '-0'), ('NaN', 0), (1, '-0'), (NULL, 0)"
        )
    policies = "".join(
        f'[columns."public.{name}.a"]\nnan = "null"\n[columns."public.{name}.b"]\nnegative_zero = "zero"\n'
        for name in "kn"
    )
    args = options(pair, True, policies)
    running = pair.following(*args)
    for name in ("k", "n"):
        pair.database.execute(f"DELETE FROM {name} WHERE {ONE.format(name, 'a = $$NaN$$')}")
        pair.database.execute(f"UPDATE {name} SET a = 2 WHERE {ONE.format(name, 'a = $$NaN$$')}")
        pair.database.execute(f"UPDATE {name} SET b = 7 WHERE a = 1; INSERT INTO {name} VALUES ('NaN', 0)")
    pair.catch_up(running)
    for name in ("k", "n"):
        ours = pair.database.query(
            f"SELECT nullif(a, 'NaN'), CASE WHEN b = 0 THEN 0 ELSE b END FROM {name} ORDER BY 1, 2"
        )
        assert pair.rows(f"SELECT a, b FROM {name} ORDER BY a IS NULL, a, b") == ours


@pytest.mark.parametrize("digest", [False, True], ids=["whole", "digest"])
def test_s063_tables_of_no_columns(pair: Pair, digest: bool) -> None:
    """None at all, and none that the log carries."""
    names = ("k", "onlygen", "dropped")
    pair.database.execute(
        "CREATE TABLE k (); CREATE TABLE onlygen (id int DEFAULT 0); ALTER TABLE onlygen DROP id;"
        "ALTER TABLE onlygen ADD g int GENERATED ALWAYS AS (42) STORED; CREATE TABLE dropped (a int); ALTER "
        "TABLE dropped"
        " DROP a"
    )
    version = pair.database.query("SELECT current_setting('server_version_num')::int / 10000")[0][0]
    if version >= 18:  # where such a column forbids FULL
        pair.database.execute("ALTER TABLE onlygen DROP g")
    for name in names:
        pair.database.execute(f"ALTER TABLE {name} REPLICA IDENTITY FULL;")
        pair.database.execute(f"INSERT INTO {name} DEFAULT VALUES; INSERT INTO {name} DEFAULT VALUES")
    running = pair.following(*options(pair, digest, "", *names))

    def counts() -> list[int]:
        pair.catch_up(running)
        found = [pair.rows(f"SELECT count(*) FROM {name}")[0][0] for name in names]
        assert found == [pair.database.query(f"SELECT count(*) FROM {name}")[0][0] for name in names]
        return found

    assert counts() == [2, 2, 2]
    for name in names:
        pair.database.execute(f"INSERT INTO {name} DEFAULT VALUES; DELETE FROM {name} WHERE ctid = '(0,1)'")
        pair.database.execute(f"INSERT INTO {name} DEFAULT VALUES; DELETE FROM {name} WHERE ctid = '(0,3)'")
    if version < 18:
        pair.database.execute("UPDATE onlygen SET g = DEFAULT")
    assert counts() == [2, 2, 2]
    pair.database.execute("BEGIN; TRUNCATE " + ", ".join(names) + "; INSERT INTO k DEFAULT VALUES; COMMIT")
    assert counts() == [1, 0, 0]


def test_s063_sixteen_hundred_columns_without_a_key(pair18: Pair) -> None:
    pair = pair18
    columns = ", ".join(f"c{i} int DEFAULT {i}" for i in range(1600))
    pair.database.execute(
        f"CREATE TABLE k ({columns}); ALTER TABLE k REPLICA IDENTITY FULL; INSERT INTO k VALUES (1), (1)"
    )
    running = pair.following(*options(pair, True))
    pair.database.execute(
        f"INSERT INTO k VALUES (1); UPDATE k SET c1599 = NULL WHERE {ONE.format('k', 'c0 = 1')};"
        f"DELETE FROM k WHERE {ONE.format('k', 'c1599 IS NOT NULL')}"
    )
    pair.catch_up(running)
    found = pair.rows("SELECT c0, c1598, c1599 FROM k ORDER BY c1599")
    assert found == [(1, 1598, None), (1, 1598, 1599)], json.dumps(found)

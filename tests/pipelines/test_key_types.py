"""Keys of every type: a copy by pages loses no row and doubles none, and every row is found again by its key."""

from __future__ import annotations

import random

import psycopg2.errors
import pytest

from tests.support.faults import run_replicator
from tests.support.pair import Pair

ROWS = 10_000
MOST = 700  # rows of a type with few values

SETUP = """
CREATE TYPE mood AS ENUM ('zebra', 'apple', 'it''s', 'b,c', '😀');
CREATE DOMAIN feeling AS mood; CREATE DOMAIN deep AS feeling;
CREATE DOMAIN ci_name AS text COLLATE ci;
CREATE DOMAIN cents AS numeric(12, 2);
CREATE TYPE "Odd""%s" AS ENUM ('b', 'a');
"""
ICU = """
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION upper_first (provider = icu, locale = 'de-u-kf-upper');
"""
NO_ICU = 'CREATE COLLATION ci FROM "C"; CREATE COLLATION upper_first FROM "POSIX";'
# The key's columns, and an expression of the row's number `i` for each; the number of rows.
KEYS: dict[str, tuple[str, str, int]] = {
    "uuid": ("k uuid", "md5(i::text)::uuid", ROWS),
    "nondeterministic": (
        "k text COLLATE ci",
        "chr(97 + i % 26) || CASE WHEN i % 2 = 0 THEN upper(md5(i::text)) ELSE md5(i::text) END",
        ROWS,
    ),
    "domain_collated": ("k ci_name", "CASE WHEN i % 2 = 0 THEN upper(md5(i::text)) ELSE md5(i::text) END", ROWS),
    "collated": (
        "k text COLLATE upper_first",
        "CASE i % 3 WHEN 0 THEN 'ß' WHEN 1 THEN 'Ä' ELSE 'a' END || i / 2 || CASE WHEN i % 2 = 0 THEN 'x' ELSE "
        "'X' END || i % 3",
        ROWS,
    ),
    "same_prefix": ("k text", "repeat('prefix ', 60) || i", ROWS),
    "unicode": ("k text", "chr(128512 + i % 50) || E'\\t\\n\\\\' || chr(1 + i % 200) || i", ROWS),
    "quotes": (
        "k text",
        "CASE i % 6 WHEN 0 THEN '''' WHEN 1 THEN '\\' WHEN 2 THEN '%s' WHEN 3 THEN '\\N' WHEN 4 THEN '\"' ELSE "
        "'' END || i",
        ROWS,
    ),
    "bytea": ("k bytea", "decode(lpad(to_hex(i), 8, '0'), 'hex') || '\\x00'", ROWS),
    "numeric": ("k numeric", "(i - 5000) / CASE i % 3 WHEN 0 THEN 1 WHEN 1 THEN 10.0 ELSE 1000.000 END", ROWS),
    "numeric_scales": (
        "k numeric",
        "CASE i % 4 WHEN 0 THEN i WHEN 1 THEN i + 0.0 WHEN 2 THEN i + 0.50 ELSE -i * 1e20 END",
        ROWS,
    ),
    "domain_numeric": ("k cents", "i / 100.0", ROWS),
    "negative": ("k bigint", "(i - 5000) * 1844674407370955", ROWS),
    "gaps": ("k int", "i * i - 50000000", ROWS),
    "float": (
        "k float8",
        "CASE i WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' WHEN 3 THEN 5e-324 ELSE (i - 5000) / 3.0::float8 "
        "* power(10, i % 200 - 100) END",
        ROWS,
    ),
    "real": ("k real", "(i - 5000)::real / 7", ROWS),
    "timestamptz": (
        "k timestamptz",
        "CASE i WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' WHEN 3 THEN '0044-03-15 BC' ELSE timestamptz "
        "'2024-03-31 00:00:00.000001+00' + i * interval '777 seconds' END",
        ROWS,
    ),
    "timestamp": (
        "k timestamp",
        "CASE i WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' ELSE timestamp '1999-12-31' + i * interval '1 us' END",
        ROWS,
    ),
    "date": (
        "k date",
        "CASE i WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' ELSE date '0001-01-01 BC' + i * 37 END",
        ROWS,
    ),
    "interval": ("k interval", "i * interval '1 hour 1 us' - interval '300 days'", ROWS),
    "enum": ("k mood, n int", "(enum_range(NULL::mood))[1 + i % 5], i / 5", ROWS),
    "domain_enum": ("k deep, n int", "(enum_range(NULL::mood))[1 + i % 5], i / 5", ROWS),
    "odd_enum": ('k "Odd""%s", n int', '(enum_range(NULL::"Odd""%s"))[1 + i % 2], i / 2', MOST),
    "array": (
        "k int[]",
        "CASE WHEN i % 9 = 0 THEN ARRAY[i, NULL, 1] WHEN i = 1 THEN '{}' ELSE ARRAY[i % 7, i] END",
        ROWS,
    ),
    "text_array": ("k text[]", "ARRAY['a,\"b\\', chr(97 + i % 26), i::text]", ROWS),
    "range": ("k int4range", "CASE i WHEN 1 THEN 'empty' WHEN 2 THEN '(,)' ELSE int4range(i % 100, i + 100) END", ROWS),
    "tsrange": ("k tstzrange", "tstzrange(timestamptz '2024-01-01+00' + i * interval '1 minute', NULL)", ROWS),
    "bit": ("k bit(20)", "i::bit(20)", ROWS),
    "varbit": ("k varbit", "substring(i::bit(20) FROM 1 + i % 3) || i::bit(16)", ROWS),
    "char": ("k char(9)", "'x' || i", ROWS),
    "inet": ("k inet", "inet '10.0.0.0' + i", ROWS),
    "boolean": ("k boolean, n int", "i % 2 = 0, i", MOST),
    "jsonb": ("k jsonb", "jsonb_build_object('a', i % 10, 'b', i)", ROWS),
    "composite": (
        "k text COLLATE ci, n numeric, u uuid, b boolean",
        "chr(97 + i % 3), i % 10 / 2.0, md5((i / 60)::text)::uuid, i / 30 % 2 = 0",
        ROWS,
    ),
    "citext_pair": ("k citext, n int", "chr(CASE WHEN i % 2 = 0 THEN 65 ELSE 97 END + i % 26) || i % 99, i", ROWS),
    "int_citext": (
        "n int, k citext",
        "i % 5, CASE WHEN i % 2 = 0 THEN upper(md5(i::text)) ELSE md5(i::text) END",
        ROWS,
    ),
    "domain_citext": ("k tag", "CASE WHEN i % 2 = 0 THEN upper(md5(i::text)) ELSE md5(i::text) END", ROWS),
    "citext": ("k citext", "CASE WHEN i % 2 = 0 THEN upper(md5(i::text)) ELSE md5(i::text) END", ROWS),
}


COMPARED = ("nondeterministic", "numeric_scales", "enum", "unicode", "quotes", "composite", "float")


def make(pair: Pair) -> dict[str, tuple[str, str, int]]:
    keys = {f"k_{name}": key for name, key in KEYS.items()}
    if pair.database.query("SELECT 1 FROM pg_available_extensions WHERE name = 'citext'"):
        pair.database.execute(
            'CREATE SCHEMA "Ext %s"; CREATE EXTENSION citext SCHEMA "Ext %s"; CREATE DOMAIN tag AS "Ext %s".citext;'
        )
        keys = {n: (c.replace("citext", '"Ext %s".citext'), values, rows) for n, (c, values, rows) in keys.items()}
    else:
        keys = {name: key for name, key in keys.items() if "citext" not in name}
    try:
        pair.database.execute(ICU)
    except psycopg2.errors.FeatureNotSupported:  # the embedded server
        pair.database.execute(NO_ICU)
    pair.database.execute(SETUP)
    for name, (columns, values, rows) in keys.items():
        named = ", ".join(part.split()[0] for part in columns.split(", "))
        pair.database.execute(f"CREATE TABLE {name} ({columns}, x int, PRIMARY KEY ({named}))")
        pair.database.execute(
            f"INSERT INTO {name} SELECT {values}, i FROM generate_series(1, {rows}) i ON CONFLICT DO NOTHING"
        )
        ((count,),) = pair.database.query(f"SELECT count(*) FROM {name}")
        assert count > rows * 0.6, (name, count)
    # By a unique index of other directions, with the primary key elsewhere.
    pair.database.execute(
        "CREATE TABLE by_index (id int PRIMARY KEY, a int NOT NULL, b text COLLATE ci NOT NULL, x int);"
        "CREATE UNIQUE INDEX by_index_ab ON by_index (a DESC, b ASC NULLS FIRST);"
        "ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_ab;"
        f"INSERT INTO by_index SELECT i, i % 3 - 1, md5(i::text), i FROM generate_series(1, {ROWS}) i"
    )
    return keys


def counts(pair: Pair, names: list[str]) -> None:
    """Quickly, for each table: as many rows, and the same sum of their numbers."""
    wrong = []
    for name in names:
        ours = pair.rows(f"SELECT count(*), sum(x), sum(x * x) FROM {name}")
        theirs = [
            tuple(map(int, row))
            for row in pair.database.query(f"SELECT count(*), sum(x), sum(x::bigint * x) FROM {name}")
        ]
        if ours != theirs:
            wrong.append((name, ours, theirs))
    assert not wrong


@pytest.mark.rotating
def test_s119_every_row_once(pair: Pair, rng: random.Random) -> None:
    """By `sync` and by `backfill`; then found again by the key: updated, moved, deleted."""
    keys = make(pair)
    names = [*keys, "by_index"]
    running = pair.following()
    counts(pair, names)
    with Pair(pair.database, pair.path.with_name("backfill.db"), pair.url) as other:
        with run_replicator(["backfill", other.url, other.target]) as copying:
            assert copying.wait(120) == 0, copying.stderr()
        counts(other, names)
    for name in names:
        third = rng.randrange(3)
        pair.database.execute(
            f"UPDATE {name} SET x = -x WHERE x % 7 = {third}; DELETE FROM {name} WHERE x % 11 = {third};"
            f"INSERT INTO {name} SELECT * FROM {name} WHERE false"
        )
    pair.database.execute(
        "UPDATE k_nondeterministic SET k = CASE WHEN x % 2 = 0 THEN lower(k) ELSE upper(k) END WHERE abs(x) < 500;"
        "UPDATE k_numeric_scales SET k = k + 0.000 WHERE abs(x) < 500; UPDATE by_index SET b = upper(b) WHERE "
        "abs(x) < 500;"
        "UPDATE k_enum SET k = 'apple', n = 100000 + abs(x) WHERE abs(x) < 500; UPDATE k_gaps SET k = k - 1;"
        "UPDATE k_same_prefix SET k = k || ' ' || x"
    )
    pair.catch_up(running)
    counts(pair, names)
    pair.assert_equal(["public.by_index", *(f"public.k_{name}" for name in COMPARED)])

"""Names of every sort, through every command: exact at the target or refused, and nothing of them is ever executed."""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from urllib.parse import quote as escaped

import pytest

from tests.pipelines.test_review_postgres import refused
from tests.support.databases import PostgresDatabase
from tests.support.faults import run_replicator
from tests.support.pair import Pair
from tests.support.servers import Server

NAMES = (
    *('a"b', "a'b", "a`b", "a;b", "a\nb", "a\tb", "a\rb", "%s", "%(x)s", "100%", "%%", " a b ", "select", "table"),
    *(
        "Mixed",
        "1st",
        "🐘 emoji",
        "ünï",
        "a.b",
        "public.x",
        ".",
        "..",
        "a\\b",
        "\\N",
        "{column}",
        ":name",
        "?",
        "?1",
        "$1",
    ),
    *(
        'a"; DROP TABLE x; --',
        "'; DROP TABLE x; --",
        "[a]",
        "--",
        "/*",
        "x" * 63,
        "é" * 31,
        "*",
        "a*",
        "=",
        "a=b",
        "-x",
        "~",
    ),
    *("rowid", "ﬁ", "\u200b", "\u202eabc", "#", "@", "NULL", "0"),
)
ENUM = 'enum "%s" of it'


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def make(pair: Pair, names: Sequence[str] = NAMES) -> None:
    """Each name is that of a table, of its key, of a column of the others, of a unique index and of an enum's label."""
    labels = ", ".join(map(literal, names))
    pair.database.execute(f"CREATE TABLE x (id int PRIMARY KEY); CREATE TYPE {quoted(ENUM)} AS ENUM ({labels})")
    pair.database.execute("INSERT INTO x VALUES (1)")
    for at, name in enumerate(names):
        other = names[at - 1]
        columns = ", ".join(f"{quoted(each)} text" for each in names[at % 4 :: 4] if each not in (name, other))
        pair.database.execute(
            f"CREATE TABLE {quoted(name)} ({quoted(name)} {quoted(ENUM)} PRIMARY KEY, {quoted(other)} text, {columns});"
            f"CREATE UNIQUE INDEX {quoted('i' + name[:30])} ON {quoted(name)} ({quoted(other)}, {quoted(name)});"
            f"INSERT INTO {quoted(name)} ({quoted(name)}, {quoted(other)}) VALUES ({literal(name)}, {literal(other)})"
        )


def change(pair: Pair, names: Sequence[str] = NAMES) -> None:
    """An update of a row and of a key in each table, and of every third a TRUNCATE."""
    for at, name in enumerate(names):
        pair.database.execute(
            f"UPDATE {quoted(name)} SET {quoted(names[at - 1])} = 'changed';"
            f"UPDATE {quoted(name)} SET {quoted(name)} = {literal(names[at - 2])}"
        )
        if at % 3 == 0:
            pair.database.execute(f"BEGIN; DELETE FROM {quoted(name)}; TRUNCATE {quoted(name)}; COMMIT")


def run(pair: Pair, command: str, *args: str, code: int = 0) -> str:
    ends = [pair.target] if command == "status" else [pair.url, pair.target]
    with run_replicator([command, *ends, *args]) as running:
        ended = running.wait(120)
        assert ended == code, running.stdout()[-3000:] + running.stderr()[-3000:]
        return running.stdout()


@pytest.mark.rotating
def test_s064_through_every_command(pair18: Pair) -> None:
    pair = pair18
    make(pair)
    every = {"public.x": "x", **{f"public.{name}": name for name in NAMES}}
    pair.hand_over()
    assert run(pair, "check")
    pair.once()
    change(pair)
    pair.once()
    pair.assert_equal(every)
    (stream,) = json.loads(run(pair, "status", "--json"))["streams"]
    assert {f"public.{name}" for name in NAMES} < {table["source"] for table in stream["tables"]}
    assert run(pair, "status")
    for name in NAMES:
        pair.database.execute(
            f"INSERT INTO {quoted(name)} ({quoted(name)}) VALUES ({literal(NAMES[5])}) ON CONFLICT DO NOTHING"
        )
    run(pair, "recopy", *(f"public.{name}" for name in NAMES if "*" not in name))
    pair.once()
    pair.assert_equal(every)
    run(pair, "drop", "--tables", "--yes")
    left = {name for (name,) in pair.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert not left.intersection(NAMES) and "x" not in left
    assert pair.slots() == [] and pair.publications() == []
    with Pair(pair.database, pair.path.with_name("backfill.db"), pair.url) as other:
        run(other, "backfill")
        for name in NAMES:
            assert len(other.rows(f"SELECT * FROM {quoted(name)}")) == len(pair.database.query(f"TABLE {quoted(name)}"))


def landed(pair: Pair) -> set[str]:
    """The tables at the target, each of which has the one row."""
    made = {name for (name,) in pair.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
    made = {name for name in made if not name.startswith("_replicator_")}
    for name in made:
        assert pair.rows(f"SELECT * FROM {quoted(name)}") == [(1,)], name
    return made


def test_s064_chosen_left_out_and_mapped(pair18: Pair) -> None:
    """Each name in --table, --exclude and --map; a `*` in a pattern is any text, and the name itself too."""
    pair = pair18
    for name in NAMES:
        pair.database.execute(
            f"CREATE TABLE {quoted(name)} (id int PRIMARY KEY); INSERT INTO {quoted(name)} VALUES (1)"
        )
    pair.hand_over()
    plain = [name for name in NAMES if "*" not in name]
    half, rest = plain[::2], plain[1::2]
    chosen = [part for name in half for part in ("--table", f"public.{name}")]
    mapped = [part for at, name in enumerate(half) for part in ("--map", f"public.{name}=to {at} {rest[0]}")]
    pair.once(*chosen, *mapped)
    assert landed(pair) == {f"to {at} {rest[0]}" for at in range(len(half))}
    with Pair(pair.database, pair.path.with_name("rest.db"), pair.url) as other:
        left_out = [part for name in half for part in ("--exclude", f"public.{name}")]
        run(other, "backfill", *left_out)
        assert landed(other) == {*rest, *(name for name in NAMES if "*" in name)}
    with Pair(pair.database, pair.path.with_name("onto.db"), pair.url) as other:
        chosen = [name for name in plain if "=" not in name]
        table = [part for name in chosen for part in ("--table", f"public.{name}")]
        targets = [part for name in chosen for part in ("--map", f"public.{name}=new {name}")]
        run(other, "backfill", *table, *targets)
        assert landed(other) == {f"new {name}" for name in chosen}


def test_s064_schemas(pair18: Pair) -> None:
    """A schema's name is a part of the table's; two that come to one name are refused, naming both."""
    pair = pair18
    schemas = [name for name in NAMES if not {".", "*"} & {*name} and name.upper() == name]
    schemas += [
        name
        for name in ('a"b', "a\nb", "%s", "%(x)s", "a;b", 'a"; DROP TABLE x; --', "select", "Mixed")
        if name not in schemas
    ]
    for name in schemas:
        pair.database.execute(
            f"CREATE SCHEMA {quoted(name)}; CREATE TABLE {quoted(name)}.{quoted(name)} (id int PRIMARY KEY);"
            f"INSERT INTO {quoted(name)}.{quoted(name)} VALUES (1)"
        )
    args = [part for name in schemas for part in ("--table", f"{name}.*")]
    pair.once(*args)
    for name in schemas:
        pair.database.execute(f"UPDATE {quoted(name)}.{quoted(name)} SET id = 2")
    pair.once(*args)
    pair.assert_equal({f"{name}.{name}": f"{name}__{name}" for name in schemas})


def test_s064_names_of_which_a_dot_makes_one(pair18: Pair) -> None:
    """Table `a.t` of schema public, and `t` of schema `public.a`: written alike, and never taken for one another."""
    pair = pair18
    pair.database.execute(
        'CREATE TABLE "a.t" (id int PRIMARY KEY); INSERT INTO "a.t" VALUES (1); CREATE SCHEMA "public.a";'
        'CREATE TABLE "public.a".t (id int PRIMARY KEY); INSERT INTO "public.a".t VALUES (2)'
    )
    pair.once()
    assert pair.rows('SELECT id FROM "a.t"') == [(1,)]
    with Pair(pair.database, pair.path.with_name("both.db"), pair.url) as other:
        run(other, "backfill", "--table", "public.a.t")
        assert other.rows('SELECT id FROM "a.t"') == [(1,)] and other.rows('SELECT id FROM "public.a__t"') == [(2,)]


@pytest.mark.parametrize("name", ['a"; DROP--', "%s ünï 🐘", "%(x)s;'", "Mixed Case"])
def test_s064_databases(postgres18: Server, name: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue("tmp_path") / "copy %s 'x\" ü.db"
    with PostgresDatabase(postgres18) as made:
        made.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        with PostgresDatabase(postgres18, name) as odd:
            odd.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
            url = made.url.rpartition("/")[0] + "/" + escaped(name, safe="")
            with run_replicator(["sync", "--once", url, f"sqlite:///{escaped(str(path))}"]) as running:
                assert running.wait(60) == 0, running.stderr()
            found = next(iter(path.parent.glob("*.db")))
            with closing(sqlite3.connect(found)) as connection:
                assert connection.execute("SELECT count(*) FROM t").fetchall() == [(2,)]


def test_s064_what_is_printed_is_run_as_it_is(pair18: Pair) -> None:
    """The remedies of a stream that is not the default one, for a table that a shell would take apart."""
    pair, table = pair18, """it's "$HOME" `x`; """
    pair.database.execute(f"CREATE TABLE {quoted(table)} (id int PRIMARY KEY); INSERT INTO {quoted(table)} VALUES (1)")
    two = ("--name", "two")
    pair.once(*two)
    pair.database.execute(f"ALTER TABLE {quoted(table)} ADD v int; UPDATE {quoted(table)} SET v = 1")
    printed = pair.once(*two, code=5).split("copy the table anew: replicator ")[1]
    with run_replicator(shlex.split(printed.replace("SOURCE TARGET", f"{pair.url} {pair.target}"))) as running:
        assert running.wait(60) == 0, running.stderr()
    assert pair.rows(f"SELECT * FROM {quoted(table)}") == [(1, 1)]
    pair.database.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    assert "replicator recopy SOURCE TARGET --name two --all" in pair.run("check", *two, code=3)


def test_s065_names_that_collide(pair18: Pair) -> None:
    """Both are named, and nothing is made."""
    pair = pair18
    pair.database.execute(
        'CREATE TABLE "Case" (id int PRIMARY KEY); CREATE TABLE "cASE" (id int PRIMARY KEY);'
        'CREATE TABLE "É" (id int PRIMARY KEY); CREATE TABLE "é" (id int PRIMARY KEY);'
        "CREATE SCHEMA a; CREATE SCHEMA a__b; CREATE TABLE a.b__c (id int PRIMARY KEY);"
        "CREATE TABLE a__b.c (id int PRIMARY KEY);"
        'CREATE TABLE cols (id int PRIMARY KEY, "Ab" int, "aB" int, "É" int, "é" int);'
        "CREATE TABLE a__x (id int PRIMARY KEY);"
        "CREATE TABLE a.x (id int PRIMARY KEY)"
    )
    refused(pair, "public.Case", "public.cASE", "would both land in", args=("--exclude", "cols"))
    refused(pair, "a.b__c", "a__b.c", "would both land in 'a__b__c'", args=("--table", "a.b*", "--table", "a__b.*"))
    refused(pair, "a.x", "public.a__x", "would both land in 'a__x'", args=("--table", "a.x", "--table", "a__x"))
    refused(pair, "a.x", "public.Case", "both land", args=("--table", "a.x", "--table", "Case", "--map", "a.x=cAsE"))
    refused(pair, "public.cols", "'Ab'", "'aB'", args=("--table", "cols"))
    pair.assert_nothing_made()
    pair.database.execute('ALTER TABLE "É" ADD "À" int, ADD "à" int; INSERT INTO "É" VALUES (1, 2, 3)')
    pair.once("--table", "É", "--table", "é")  # SQLite folds ASCII alone
    pair.assert_equal({"public.É": "É", "public.é": "é"})
    output = pair.once("--table", "É", "--table", "é", "--table", "a.x", "--map", "a.x=É", code=3)
    assert "a.x" in output and "public.É" in output and "both land" in output

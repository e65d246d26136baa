"""Names at a MySQL or MariaDB target: exact or refused, whatever is in them; and servers that fold them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from replicator.engines.mysql.names import barred, fold
from tests.pipelines.test_names import NAMES, change, make, quoted
from tests.support.databases import PostgresDatabase
from tests.support.into_mysql import PostgresIntoMysql
from tests.support.mysql_database import MysqlDatabase
from tests.support.servers import OwnServer, Server, private_mysql

HELD = tuple(name for name in NAMES if not barred(name))
BARRED = tuple(name for name in NAMES if barred(name))


def refused(pair: PostgresIntoMysql, *texts: str, args: tuple[str, ...] = ()) -> None:
    output = pair.once(*args, code=3)
    for text in (*texts, "remedy: "):
        assert text in output, output


@pytest.mark.rotating
def test_s064_through_every_command(into: PostgresIntoMysql) -> None:
    pair = into
    make(pair, HELD)
    every = {"public.x": "x", **{f"public.{name}": name for name in HELD}}
    assert pair.run("check")
    pair.once()
    change(pair, HELD)
    pair.once()
    pair.assert_equal(every)
    pair.run("recopy", *(f"public.{name}" for name in HELD if "*" not in name))
    pair.once()
    pair.assert_equal(every)
    pair.run("drop", "--tables", "--yes")
    assert pair.into.query("SHOW TABLES") == []


def test_s064_names_that_these_servers_do_not_have(into: PostgresIntoMysql) -> None:
    """Of a table and of a column: refused, by name and reason."""
    pair = into
    assert len(BARRED) == 2
    for at, name in enumerate(BARRED):
        pair.database.execute(
            f"CREATE TABLE {quoted(name)} (id int PRIMARY KEY);"
            f"CREATE TABLE t{at} (id int PRIMARY KEY, {quoted(name)} int)"
        )
    for at, name in enumerate(BARRED):
        refused(pair, f"public.{name} would land in {name!r}: ", args=("--table", name))
        refused(pair, f"public.t{at}: the column name {name!r} cannot be: ", args=("--table", f"t{at}"))
    long = "s" * 40
    pair.database.execute(f"CREATE SCHEMA {long}; CREATE TABLE {long}.{long} (id int PRIMARY KEY)")
    refused(pair, f"{long}.{long}", "at most 64 characters", args=("--table", f"{long}.*"))
    pair.assert_nothing_made()
    pair.once("--table", f"{long}.*", "--map", f"{long}.{long}=short")
    pair.assert_equal({f"{long}.{long}": "short"})


@pytest.mark.parametrize("twins", ["Ab aB", "É é"])
def test_s065_columns_that_are_one_name_there(into: PostgresIntoMysql, twins: str) -> None:
    pair = into
    one, other = twins.split()
    pair.database.execute(f"CREATE TABLE t (id int PRIMARY KEY, {quoted(one)} int, {quoted(other)} int)")
    refused(pair, f"columns {one!r} and {other!r} are the same name to the target")
    pair.assert_nothing_made()


def test_columns_that_differ_by_an_accent_alone(into: PostgresIntoMysql) -> None:
    pair = into
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY, e int, é int, è int); INSERT INTO t VALUES (1, 2, 3, 4)")
    pair.once()
    pair.assert_equal()


def test_names_are_folded_at_least_as_the_servers_do(into: PostgresIntoMysql) -> None:
    """Of every letter that a name may have: what is one name to the server is one to us."""
    letters = [chr(code) for code in range(1, 0x10000) if not 0xD800 <= code < 0xE000]
    there: dict[str, str] = {}
    for at in range(0, len(letters), 1000):
        piece = letters[at : at + 1000]
        rows = " UNION ALL ".join(["SELECT %s AS c"] * len(piece))
        lower = "LOWER(CONVERT(c USING utf8mb3) COLLATE utf8mb3_general_ci)"
        there.update(into.into.query(f"SELECT c, {lower} FROM ({rows}) AS t", *piece))
    assert len(there) == len(letters)
    folded: dict[str, set[str]] = {}
    for letter, lower in there.items():
        folded.setdefault(lower, set()).add(fold(letter))
    assert {lower: ours for lower, ours in folded.items() if len(ours) > 1} == {}
    assert sum(letter != lower for letter, lower in there.items()) > 600


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("mysql", marks=pytest.mark.rotating(group=2)),
        pytest.param("mariadb", marks=pytest.mark.rotating(group=0)),
    ],
)
def folding(request: pytest.FixtureRequest) -> Iterator[OwnServer]:
    """A server that takes `T` and `t` for one table, as those of Windows do, and some of managed services."""
    with private_mysql(request.param, {"lower-case-table-names": "1"}) as server:
        yield server


def test_s065_a_server_that_folds_names(folding: OwnServer, postgres18: Server) -> None:
    with (
        PostgresDatabase(postgres18) as database,
        MysqlDatabase(folding.server) as copy,
        PostgresIntoMysql(database, copy) as pair,
    ):
        pair.database.execute(
            'CREATE TABLE "Case" (id int PRIMARY KEY); CREATE TABLE "cASE" (id int PRIMARY KEY);'
            'INSERT INTO "Case" VALUES (1)'
        )
        refused(pair, "public.Case", "public.cASE", "would both land in")
        pair.assert_nothing_made()
        pair.once("--table", "Case")
        pair.database.execute('INSERT INTO "Case" VALUES (2)')
        pair.once("--table", "Case")
        pair.run("recopy", "public.Case")
        pair.assert_equal({"public.Case": "case"})
        assert pair.into.query("SHOW TABLES LIKE 'case'") == [("case",)]
        pair.into.execute("CREATE TABLE there (id int PRIMARY KEY)", "INSERT INTO there VALUES (1)")
        pair.database.execute('CREATE TABLE "THERE" (id int PRIMARY KEY)')
        refused(pair, "public.THERE", "not empty", args=("--table", "Case", "--table", "THERE"))


# What a server asks of its tables


def test_a_server_that_wants_primary_keys(postgres18: Server) -> None:
    settings = {"sql-require-primary-key": "ON"}
    with (
        private_mysql("mysql", settings) as own,
        PostgresDatabase(postgres18) as database,
        MysqlDatabase(own.server) as copy,
        PostgresIntoMysql(database, copy) as pair,
    ):
        pair.database.execute(
            "CREATE TABLE keyed (id int PRIMARY KEY); INSERT INTO keyed VALUES (1);"
            "CREATE TABLE plain (v int); ALTER TABLE plain REPLICA IDENTITY FULL"
        )
        refused(pair, "sql_require_primary_key is ON at the target", "public.plain", "--exclude 'public.plain'")
        pair.assert_nothing_made()
        pair.once("--exclude", "public.plain")
        pair.assert_equal(["public.keyed"])


def test_a_unique_index_that_no_index_there_holds(into: PostgresIntoMysql) -> None:
    """It is named and left out; the shorter one beside it is made."""
    pair = into
    pair.database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, long text UNIQUE, short varchar(20) UNIQUE);"
        "INSERT INTO t VALUES (1, repeat('a', 5000) || 'b', 'x'), (2, repeat('a', 5000) || 'c', 'y')"
    )
    assert "the unique index on (long) is not made" in pair.run("check")
    assert "the unique index on (long) is not made" in pair.once()
    pair.assert_equal()
    unique = pair.into.query(
        "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_NAME = 't' "
        "AND TABLE_SCHEMA = DATABASE() AND NOT NON_UNIQUE ORDER BY 1"
    )
    assert unique == [("id",), ("short",)]
    pair.database.execute("BEGIN; UPDATE t SET short = 'z' WHERE id = 1; UPDATE t SET short = 'x' WHERE id = 2; COMMIT")
    pair.once()
    pair.assert_equal()

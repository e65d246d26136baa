"""What a log can have in it besides plain transactions: each ends at the target as it did at the source."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.support.mysql_database import MysqlDatabase, forgiving
from tests.support.mysql_pair import MysqlPair
from tests.support.servers import private_mysql

SCHEMA = (
    "CREATE TABLE marker (id int PRIMARY KEY)",
    "CREATE TABLE t (id int PRIMARY KEY, v varchar(20))",
    "CREATE TABLE loose (v int)",
    "CREATE TABLE aside (v int) ENGINE = MyISAM",
    "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
)
EXCLUDED = ("--exclude", "aside", "--exclude", "made*")
FOLLOWED = ("t", "loose", "marker")


@pytest.fixture
def pair(mysql_to_file: MysqlPair) -> MysqlPair:
    mysql_to_file.source.execute(*SCHEMA)
    mysql_to_file.once(*EXCLUDED)
    return mysql_to_file


def applied(pair: MysqlPair) -> None:
    pair.once(*EXCLUDED)
    pair.assert_equal(FOLLOWED)


def test_s037_tagged_gtids_and_domains(pair: MysqlPair) -> None:
    """A set with tags is read, sent and saved; a domain that begins behind the mark is read from its beginning."""
    if pair.source.server.engine == "mysql":
        names = [f"gtid_next = 'AUTOMATIC:{tag}'" for tag in ("a", "zz_9", "b" * 32, "a")]
        back = "gtid_next = 'AUTOMATIC'"
    else:
        names = [f"gtid_domain_id = {number}" for number in (3, 0, 4294967295, 3)]
        back = "gtid_domain_id = 0"
    for number, name in enumerate(names):
        pair.source.execute(
            f"SET SESSION {name}",
            f"INSERT INTO t VALUES ({number + 10}, 'x')",
            "UPDATE loose SET v = v + 1",
            f"SET SESSION {back}",
            f"INSERT INTO loose VALUES ({number})",
        )
        if number % 2:
            applied(pair)
    assert ("zz_9:" if pair.source.server.engine == "mysql" else "4294967295-1-") in (pair.position() or "")


@pytest.mark.rotating
def test_s059_engines_are_mixed_and_savepoints_taken_back(pair: MysqlPair) -> None:
    """The log keeps rows that were rolled back where a table without transactions was in between (MariaDB; MySQL
    refuses such a transaction itself)."""
    source = pair.source
    for last in ("COMMIT", "ROLLBACK"):
        source.execute("BEGIN", "INSERT INTO t VALUES (20, 'stays')", "SAVEPOINT `s``'1`")
        source.execute("INSERT INTO t VALUES (21, 'goes')", "DELETE FROM t WHERE id = 1")
        forgiving(source, "INSERT INTO aside VALUES (1)")
        source.execute("ROLLBACK TO `s``'1`", "INSERT INTO loose VALUES (1)")
        forgiving(source, "INSERT INTO aside VALUES (2)")
        source.execute(last, "DELETE FROM t WHERE id = 20", "INSERT INTO aside VALUES (3)", "UPDATE aside SET v = 4")
        applied(pair)


@pytest.mark.rotating
def test_tables_made_of_others(pair: MysqlPair) -> None:
    pair.source.execute(
        "CREATE TABLE made AS SELECT * FROM t",
        "INSERT INTO loose SELECT id FROM made",
        "CREATE TABLE made2 LIKE t",
        "CREATE TEMPORARY TABLE t AS SELECT 1 AS id",
        "INSERT INTO t VALUES (77)",
        "DROP TEMPORARY TABLE t",
        "DROP TABLE made, made2",
        "INSERT INTO t VALUES (5, 'e')",
    )
    applied(pair)


@pytest.mark.rotating
def test_xa_in_one_phase_of_nothing_and_taken_back(pair: MysqlPair) -> None:
    tag, source = pair.source.name, pair.source
    for number, (change, end) in enumerate(
        (
            ("INSERT INTO t VALUES (30, 'one phase')", ("XA COMMIT {} ONE PHASE",)),
            ("INSERT INTO t VALUES (31, 'one phase')", ("XA ROLLBACK {}",)),
            ("SELECT 1", ("XA COMMIT {} ONE PHASE",)),
            ("SELECT 1", ("XA PREPARE {}", "XA COMMIT {}")),
            ("INSERT INTO t VALUES (32, 'two phases')", ("XA PREPARE {}", "XA ROLLBACK {}")),
            ("INSERT INTO t VALUES (33, 'two phases')", ("XA PREPARE {}", "XA COMMIT {}")),
        )
    ):
        xid = f"'{tag}{number}', 'branch', 7"
        source.execute(f"XA START {xid}", change, f"XA END {xid}", *(each.format(xid) for each in end))
        if number == 4:
            applied(pair)
    applied(pair)
    assert {id for (id,) in pair.rows("SELECT id FROM t")} >= {30, 33}


@pytest.mark.rotating
def test_checksums_are_turned_off_and_on_below_a_running_stream(pair: MysqlPair) -> None:
    source = pair.source
    with pair.following(*EXCLUDED) as running:
        try:
            for number, algorithm in enumerate(("NONE", "CRC32", "NONE")):
                source.execute(
                    f"SET GLOBAL binlog_checksum = {algorithm}", f"INSERT INTO t VALUES ({40 + number}, 'c')"
                )
                pair.catch_up(running)
                pair.assert_equal(FOLLOWED)
        finally:
            source.execute("SET GLOBAL binlog_checksum = CRC32")
        source.execute("FLUSH BINARY LOGS", "INSERT INTO loose VALUES (9)")
        pair.catch_up(running)
        pair.assert_equal(FOLLOWED)


@pytest.mark.rotating
@pytest.mark.parametrize("engine", ["mysql", "mariadb"])
def test_a_server_dies_with_a_prepared_transaction(engine: str, tmp_path: Path) -> None:
    """Its rows wait at the target over the crash, as they do at the server."""
    with ExitStack() as stack:
        own = stack.enter_context(private_mysql(engine))
        database = stack.enter_context(MysqlDatabase(own.server))
        pair = stack.enter_context(MysqlPair(database, tmp_path / "copy.db"))
        database.execute(*SCHEMA)
        pair.once(*EXCLUDED)
        for name in ("kept", "gone"):
            with closing(database.connect()) as connection, connection.cursor() as cursor:
                for statement in ("START '{}'", "END '{}'", "PREPARE '{}'"):
                    cursor.execute(f"XA {statement.format(name)}")
                    if "START" in statement:
                        cursor.execute(f"INSERT INTO loose VALUES ({len(name)})")
                        cursor.execute(f"INSERT INTO t VALUES ({ord(name[0])}, '{name}')")
        pair.once(*EXCLUDED)
        own.kill()
        own.start()
        database.reconnect()
        pair.once(*EXCLUDED)
        assert pair.rows("SELECT count(*) FROM loose") == [(0,)]
        database.execute("XA COMMIT 'kept'", "XA ROLLBACK 'gone'", "INSERT INTO loose VALUES (1)")
        applied(pair)
        assert pair.rows("SELECT v FROM t WHERE id > 2") == [("kept",)]

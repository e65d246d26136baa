"""MySQL and MariaDB into SQLite and PostgreSQL: the copy, the log behind it, and the commands around it."""

from __future__ import annotations

import json
import re
import signal

import pytest

from tests.support.mysql_database import SOURCE_GRANTS, WITHOUT_LOCK, forgiving
from tests.support.mysql_pair import MysqlPair
from tests.support.wait import until

TABLES = (
    "CREATE TABLE marker (id int PRIMARY KEY)",
    "CREATE TABLE items (id int PRIMARY KEY AUTO_INCREMENT, name varchar(40) UNIQUE, price decimal(10,2), "
    "at timestamp(3) NULL)",
    "CREATE TABLE loose (a int, b text)",
    "CREATE TABLE pairs (a int, b varchar(10) CHARACTER SET latin1, c int, PRIMARY KEY (a, b))",
)


def fill(pair: MysqlPair) -> None:
    pair.source.execute(
        *TABLES,
        "INSERT INTO items (name, price, at) VALUES ('a', 1.10, '2024-02-29 13:14:15.120'), ('b', -0.05, NULL)",
        "INSERT INTO loose VALUES (1, 'x'), (1, 'x'), (NULL, NULL)",
        "INSERT INTO pairs VALUES (1, 'ä', 1), (1, 'b', 2), (2, '', NULL)",
    )


CHANGES = (
    "UPDATE items SET price = price + 1",
    "INSERT INTO items (name) VALUES ('c'), ('d')",
    "DELETE FROM items WHERE name = 'a'",
    "UPDATE items SET id = id + 100 WHERE name = 'c'",
    "DELETE FROM loose WHERE a = 1 LIMIT 1",
    "UPDATE loose SET b = 'y' WHERE a IS NULL",
    "REPLACE INTO pairs VALUES (1, 'b', 3), (3, 'new', 4)",
    "INSERT INTO pairs VALUES (2, '', 9) ON DUPLICATE KEY UPDATE c = 9",
    "UPDATE pairs SET b = 'moved', a = 7 WHERE b = 'ä'",
)


def test_copied_and_followed(mysql_pair: MysqlPair) -> None:
    fill(mysql_pair)
    assert "4 tables to be followed" in mysql_pair.run("check")
    assert "everything is applied" in mysql_pair.once()
    mysql_pair.assert_equal()
    mysql_pair.source.execute(*CHANGES)
    with pytest.raises(AssertionError, match="missing"):
        mysql_pair.assert_equal()  # it can tell
    mysql_pair.once()
    mysql_pair.assert_equal()
    with mysql_pair.following() as running:
        mysql_pair.source.execute("BEGIN", "DELETE FROM items LIMIT 1", "INSERT INTO loose VALUES (5, '5')", "COMMIT")
        mysql_pair.source.execute("BEGIN", "DELETE FROM items", "ROLLBACK")
        mysql_pair.source.execute("TRUNCATE TABLE pairs", "INSERT INTO pairs VALUES (1, 'z', 1)")
        mysql_pair.catch_up(running)
        mysql_pair.assert_equal()
        running.signal(signal.SIGTERM)
        assert running.wait(30) == 0


def test_the_commands_around_it(mysql_pair: MysqlPair) -> None:
    fill(mysql_pair)
    mysql_pair.once()
    said, _ = json.JSONDecoder().raw_decode(mysql_pair.run("status", "--json"))
    (stream,) = said["streams"]
    assert len(stream["tables"]) == 4
    mysql_pair.source.execute(
        "ALTER TABLE items ADD COLUMN more int DEFAULT 7", "INSERT INTO items (name) VALUES ('e')"
    )
    output = mysql_pair.once(code=5)
    assert re.search(r"items.*ALTER TABLE.*(transaction|at )", output) and "recopy" in output
    saved = mysql_pair.position()
    mysql_pair.once(code=5)
    assert mysql_pair.position() == saved
    mysql_pair.run("recopy", f"{mysql_pair.source.name}.items")
    mysql_pair.once()
    mysql_pair.assert_equal()
    mysql_pair.run("drop", "--yes")
    mysql_pair.once("--truncate")
    mysql_pair.assert_equal()


@pytest.mark.rotating
def test_backfill(mysql_pair: MysqlPair) -> None:
    fill(mysql_pair)
    assert "copied 4 tables" in mysql_pair.run("backfill")
    mysql_pair.assert_equal()


def test_xa_in_two_phases_over_restarts(mysql_pair: MysqlPair) -> None:
    fill(mysql_pair)
    mysql_pair.once()

    def prepare(name: str, *statements: str) -> None:
        connection = mysql_pair.source.connect()
        with connection.cursor() as cursor:
            for statement in (f"XA START '{name}'", *statements, f"XA END '{name}'", f"XA PREPARE '{name}'"):
                cursor.execute(statement)
        connection.close()

    tag = mysql_pair.source.name
    prepare(f"{tag}1", "INSERT INTO items (name) VALUES ('xa one')", "INSERT INTO loose VALUES (9, 'xa')")
    mysql_pair.once()
    mysql_pair.source.execute("INSERT INTO items (name) VALUES ('beside')")
    prepare(f"{tag}2", "INSERT INTO items (name) VALUES ('never')")
    mysql_pair.once()
    assert mysql_pair.rows("SELECT count(*) FROM items WHERE name LIKE 'xa%'") == [(0,)]
    mysql_pair.source.execute(f"XA COMMIT '{tag}1'", f"XA ROLLBACK '{tag}2'")
    mysql_pair.once()
    mysql_pair.assert_equal()
    prepared = mysql_pair.streams.replace("streams", "prepared")
    assert mysql_pair.rows(f"SELECT count(*) FROM {prepared}") == [(0,)]


def test_what_is_prepared_at_the_copy_is_refused(mysql_pair: MysqlPair) -> None:
    fill(mysql_pair)
    tag = mysql_pair.source.name
    connection = mysql_pair.source.connect()
    with connection.cursor() as cursor:
        for verb in ("START", "END", "PREPARE"):
            cursor.execute(f"XA {verb} '{tag}'")
            if verb == "START":
                cursor.execute("INSERT INTO loose VALUES (9, 'xa')")
    connection.close()
    try:
        output = mysql_pair.run("check", code=3) if mysql_pair.sees_prepared else mysql_pair.once(code=0)
        assert tag in output or not mysql_pair.sees_prepared
    finally:
        mysql_pair.source.execute(f"XA COMMIT '{tag}'")
    if mysql_pair.sees_prepared:
        mysql_pair.once()
        mysql_pair.assert_equal()
    else:
        assert "never seen" in mysql_pair.once(code=4)


@pytest.mark.rotating
def test_prepared_transactions_that_nobody_shows_are_said_to_be_unseen(mysql_to_file: MysqlPair) -> None:
    pair = mysql_to_file
    fill(pair)
    unseen = pair.source.server.engine == "mysql"
    assert ("GRANT XA_RECOVER_ADMIN ON *.*" in pair.run("check")) is unseen
    if unseen:
        pair.url = pair.source.user((*SOURCE_GRANTS, "XA_RECOVER_ADMIN ON *.*"))
        assert "XA_RECOVER_ADMIN" not in pair.run("check")
        name = pair.source.name
        pair.source.execute(f"XA START '{name}'", "INSERT INTO loose VALUES (9, 'xa')")
        pair.source.execute(f"XA END '{name}'", f"XA PREPARE '{name}'")
        try:
            assert name in pair.run("check", code=3) and name in pair.once(code=3)
        finally:
            pair.source.execute(f"XA ROLLBACK '{name}'")


@pytest.mark.rotating
def test_without_a_lock_the_copy_overlaps_the_log(mysql_pair: MysqlPair) -> None:
    fill(mysql_pair)
    mysql_pair.url = mysql_pair.source.user(WITHOUT_LOCK)
    if mysql_pair.source.server.engine == "mysql":
        assert "LOCK TABLES" in mysql_pair.once(code=3)
        mysql_pair.source.execute("DROP TABLE loose")
    mysql_pair.once()
    mysql_pair.source.execute("UPDATE items SET name = CONCAT(name, '!')", "DELETE FROM pairs WHERE a = 2")
    mysql_pair.once()
    mysql_pair.assert_equal()
    if mysql_pair.target.startswith("sqlite"):
        assert any(
            "items" in sql for (sql,) in mysql_pair.rows("SELECT sql FROM sqlite_master WHERE sql LIKE '%UNIQUE%'")
        )


HARMLESS = (
    "CREATE INDEX i ON items (price)",
    "ALTER TABLE items ADD INDEX j (at)",
    "DROP INDEX i ON items",
    "CREATE TABLE IF NOT EXISTS items (id int)",
    "CREATE TABLE elsewhere (id int PRIMARY KEY)",
    "ALTER TABLE elsewhere ADD x int",
    "DROP TABLE elsewhere",
    "CREATE VIEW v AS SELECT id FROM items",
    "DROP VIEW v",
    "CREATE TRIGGER g BEFORE INSERT ON loose FOR EACH ROW SET NEW.b = CONCAT(NEW.b, '+')",
    "CREATE TEMPORARY TABLE tmp (id int)",
    "DROP TEMPORARY TABLE tmp",
    "ANALYZE TABLE items",
    "FLUSH PRIVILEGES",
)


@pytest.mark.rotating
def test_schema_changes_that_touch_no_row_go_by(mysql_pair: MysqlPair) -> None:
    fill(mysql_pair)
    mysql_pair.once()
    for statement in HARMLESS:
        mysql_pair.source.execute(statement)
    mysql_pair.source.execute("INSERT INTO loose VALUES (3, 'z')", "INSERT INTO items (name) VALUES ('late')")
    mysql_pair.once("--exclude", "elsewhere")
    mysql_pair.assert_equal()


@pytest.mark.rotating
def test_a_statement_in_place_of_rows_stops(mysql_pair: MysqlPair) -> None:
    fill(mysql_pair)
    mysql_pair.once()
    saved = mysql_pair.position()
    if not forgiving(mysql_pair.source, "SET SESSION binlog_format = 'STATEMENT'"):
        pytest.fail("this server has no statements in its log: let the test know")
    mysql_pair.source.execute("DELETE FROM items WHERE name = 'a'")
    assert "in place of the rows" in mysql_pair.once(code=5)
    assert mysql_pair.position() == saved


@pytest.mark.rotating
def test_s019_a_dump_that_is_cut_goes_on(mysql_pair: MysqlPair) -> None:
    fill(mysql_pair)
    with mysql_pair.following() as running:
        for number in range(3):
            mysql_pair.catch_up(running)

            def killed() -> bool:
                found = mysql_pair.source.query(
                    "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%%' AND USER = %s",
                    mysql_pair.user,
                )
                for (pid,) in found:
                    forgiving(mysql_pair.source, f"KILL {pid}")
                return bool(found)

            until(killed, 20, "a dump to kill")
            mysql_pair.source.execute(f"INSERT INTO items (name) VALUES ('after {number}')")
        mysql_pair.catch_up(running)
        mysql_pair.assert_equal()

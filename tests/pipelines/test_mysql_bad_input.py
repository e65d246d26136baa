"""What MySQL and MariaDB sources are refused for, and what stops them; each with what mends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.mysql_database import MysqlDatabase
from tests.support.mysql_pair import MysqlPair
from tests.support.servers import private_mysql
from tests.support.wait import until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v varchar(20), j json)"


@pytest.fixture(params=["mysql", "mariadb"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MysqlPair]:
    """Each flavor into SQLite, with a table of two rows."""
    with MysqlDatabase(request.getfixturevalue(request.param)) as database:
        database.execute(TABLE, "INSERT INTO t VALUES (1, 'a', '{}'), (2, 'b', NULL)")
        with MysqlPair(database, tmp_path / "copy.db") as made:
            yield made


@contextmanager
def set_to(pair: MysqlPair, name: str, value: str) -> Iterator[None]:
    """A global variable of the shared server, for a while."""
    ((before,),) = pair.source.query(f"SELECT @@global.{name}")
    pair.source.execute(f"SET GLOBAL {name} = {value}")
    try:
        yield
    finally:
        shown = before if isinstance(before, int | float) else f"'{before}'"
        pair.source.execute(f"SET GLOBAL {name} = {shown}")


SETTINGS = {
    "binlog_row_metadata": ("'MINIMAL'", "SET GLOBAL binlog_row_metadata = FULL", "both"),
    "binlog_format": ("'STATEMENT'", "SET GLOBAL binlog_format = ROW", "both"),
    "binlog_expire_logs_seconds": ("3600", "SET GLOBAL binlog_expire_logs_seconds", "both"),
    "binlog_row_value_options": ("'PARTIAL_JSON'", "SET GLOBAL binlog_row_value_options = ''", "mysql"),
}


@pytest.mark.rotating
@pytest.mark.parametrize("name", SETTINGS)
def test_s043_a_log_that_says_too_little_is_refused(pair: MysqlPair, name: str) -> None:
    value, remedy, where = SETTINGS[name]
    if where not in ("both", pair.source.server.engine):
        assert pair.source.query("SHOW GLOBAL VARIABLES LIKE %s", name) == []
        return
    with set_to(pair, name, value):
        for output in (pair.run("check", code=3), pair.once(code=3)):
            assert name.split("_seconds")[0].split("binlog_expire")[0] in output and remedy in output
        assert not pair.path.exists()
    pair.once()
    pair.assert_equal()


def test_s050_missing_rights_are_named_with_their_grants(pair: MysqlPair) -> None:
    pair.url = pair.source.user(("SELECT ON {database}.*",))
    output = pair.run("check", code=3)
    assert "REPLICATION SLAVE" in output and "GRANT" in output
    pair.once(code=3)
    assert "copied 1 table" in pair.run("backfill")
    pair.assert_equal()


def test_s059_s061_s079_tables_that_cannot_be_followed_are_refused_with_a_way_out(pair: MysqlPair) -> None:
    pair.source.execute("CREATE TABLE aside (id int PRIMARY KEY) ENGINE = MyISAM")
    output = pair.run("check", code=3)
    assert "MyISAM" in output and "ENGINE = InnoDB" in output and "--exclude" in output
    pair.source.execute(
        "CREATE TABLE child (id int PRIMARY KEY, t int, "
        "CONSTRAINT gone FOREIGN KEY (t) REFERENCES t (id) ON DELETE CASCADE)"
    )
    logged = pair.source.server.engine == "mysql"  # since 9.6 the log has what a foreign key changes
    output = pair.run("check", "--exclude", "aside", code=0 if logged else 3)
    assert ("gone" in output and "CASCADE" in output) is not logged
    if logged:
        pair.source.execute("INSERT INTO child VALUES (1, 1), (2, 2)")
        pair.once("--exclude", "aside")
        pair.source.execute("DELETE FROM t WHERE id = 1")
        pair.once("--exclude", "aside")
        pair.assert_equal(["t", "child"])
    else:
        pair.source.execute("CREATE TABLE packed (id int PRIMARY KEY, v varchar(200) COMPRESSED)")
        assert "packed.v" in pair.run("check", "--exclude", "aside", "--exclude", "child", code=3)


@pytest.mark.rotating
def test_s058_s060_views_generated_columns_and_system_schemas_are_left_out_and_named(pair: MysqlPair) -> None:
    pair.source.execute(
        "CREATE VIEW v AS SELECT id FROM t",
        "CREATE TABLE g (a int PRIMARY KEY, b int AS (a * 2) STORED, c int AS (a + 1) VIRTUAL, d char(5) DEFAULT 'x')",
    )
    output = pair.run("check")
    assert "a view" in output and "b, c" in output
    pair.once()
    pair.source.execute("INSERT INTO g (a) VALUES (1), (2)", "UPDATE g SET d = 'y' WHERE a = 1")
    pair.once()
    pair.assert_equal(["t", "g"])


def test_zero_dates_stop_where_they_do_not_fit(mysql_pair: MysqlPair) -> None:
    mysql_pair.source.execute(
        "SET SESSION sql_mode = ''",
        "CREATE TABLE z (id int PRIMARY KEY, d date, at timestamp NULL)",
        "INSERT INTO z VALUES (1, '0000-00-00', '2024-01-01'), (2, '2024-00-00', '0000-00-00 00:00:00')",
    )
    if mysql_pair.copy is None:
        mysql_pair.once()
        if mysql_pair.target.startswith("sqlite"):
            assert mysql_pair.rows("SELECT d, at FROM z ORDER BY id")[1] == ("2024-00-00", "0000-00-00 00:00:00Z")
        mysql_pair.assert_equal()
        return
    output = mysql_pair.once(code=5)
    assert "z.d" in output and "id=1" in output and "zero_date" in output
    assert "2024-00-00" not in output


@pytest.mark.rotating
def test_s044_the_remedy_for_what_a_session_hid_is_one(pair: MysqlPair) -> None:
    """A statement in place of rows, and a part of a JSON value: copied anew, the stream gets past it."""
    pair.source.execute("CREATE TABLE aside (id int PRIMARY KEY, j json)", "INSERT INTO aside VALUES (1, '[\"one\"]')")
    pair.once("--exclude", "aside")
    saved = pair.position()
    pair.source.execute("SET SESSION binlog_format = 'STATEMENT'", "DELETE FROM t WHERE id = 1")
    pair.source.execute("SET SESSION binlog_format = 'ROW'", "INSERT INTO t VALUES (3, 'c', '{\"a\": \"one\"}')")
    output = pair.once("--exclude", "aside", code=5)
    assert "in place of the rows" in output and "recopy SOURCE TARGET --all" in output and pair.position() == saved
    pair.run("recopy", "--all")
    pair.once("--exclude", "aside")
    pair.assert_equal(["t"])
    if pair.source.server.engine == "mariadb":
        return
    pair.source.execute("SET SESSION binlog_row_value_options = 'PARTIAL_JSON'")
    pair.source.execute("UPDATE aside SET j = JSON_SET(j, '$[0]', 'two')")
    pair.once("--exclude", "aside")
    pair.source.execute("UPDATE t SET j = JSON_SET(j, '$.a', 'two') WHERE id = 3")
    output = pair.once("--exclude", "aside", code=5)
    assert "part of a JSON value" in output and f"recopy SOURCE TARGET '{pair.source.name}.t'" in output
    pair.run("recopy", f"{pair.source.name}.t")
    pair.once("--exclude", "aside")
    pair.assert_equal(["t"])


@contextmanager
def own_pair(engine: str, tmp_path: Path, **settings: str) -> Iterator[MysqlPair]:
    """A pair on a server of its own, for what the others would suffer from."""
    with (
        private_mysql(engine, settings) as own,
        MysqlDatabase(own.server) as database,
        MysqlPair(database, tmp_path / "copy.db") as made,
    ):
        database.execute(TABLE, "INSERT INTO t VALUES (1, 'a', '{}'), (2, 'b', NULL)")
        yield made


def purged(pair: MysqlPair, newest: str) -> bool:
    pair.source.execute(f"PURGE BINARY LOGS TO '{newest}'")
    return [str(row[0]) for row in pair.source.query("SHOW BINARY LOGS")] == [newest]


@pytest.mark.rotating
@pytest.mark.parametrize("engine", ["mysql", "mariadb"])
def test_s031_s032_s034_a_log_that_is_gone_is_a_lost_position(engine: str, tmp_path: Path) -> None:
    reset = "RESET BINARY LOGS AND GTIDS" if engine == "mysql" else "RESET MASTER"
    with own_pair(engine, tmp_path) as pair:
        pair.once()
        saved = pair.position()
        pair.source.execute("INSERT INTO t VALUES (3, 'c', NULL)", "FLUSH BINARY LOGS")
        ((newest, *_),) = pair.source.query("SHOW BINARY LOGS")[-1:]
        until(lambda: purged(pair, newest), 20, "the older logs to be gone: nobody may be reading them")
        output = pair.once(code=4)
        assert "recopy" in output and pair.position() == saved
        pair.run("recopy", "--all")
        pair.once()
        pair.assert_equal()
        pair.source.execute(reset, *(f"INSERT INTO t VALUES ({n}, 'x', NULL)" for n in range(10, 40)))
        output = pair.once(code=4)
        assert "recopy" in output
        pair.run("recopy", "--all")
        pair.once()
        pair.assert_equal()


@pytest.mark.rotating
def test_without_gtids_by_file_and_offset(tmp_path: Path) -> None:
    settings = {"gtid-mode": "OFF", "enforce-gtid-consistency": "OFF"}
    with own_pair("mysql", tmp_path, **settings) as pair:
        pair.once()
        assert ":" not in (pair.position() or "").partition("@")[0]
        for number in range(3, 8):
            pair.source.execute(f"INSERT INTO t VALUES ({number}, 'x', NULL)", "FLUSH BINARY LOGS")
            pair.once()
            pair.assert_equal()
        with pair.following() as running:
            pair.source.execute("CREATE TABLE marker (id int PRIMARY KEY)", "FLUSH BINARY LOGS")
            pair.source.execute("BEGIN", "UPDATE t SET v = 'y'", "DELETE FROM t WHERE id = 1", "COMMIT")
            running.kill()
        pair.once()
        pair.assert_equal(["t", "marker"])


@pytest.mark.rotating
def test_a_server_that_takes_names_without_their_case(tmp_path: Path) -> None:
    with own_pair("mariadb", tmp_path, **{"lower-case-table-names": "1"}) as pair:
        pair.once()
        pair.source.execute("INSERT INTO T VALUES (3, 'c', NULL)")
        pair.once()
        pair.assert_equal()
        pair.source.execute("TRUNCATE TABLE T")
        pair.once()
        pair.assert_equal()
        assert pair.rows("SELECT * FROM t") == []


@pytest.mark.rotating
def test_s043_without_a_log_nothing_is_followed(tmp_path: Path) -> None:
    with own_pair("mariadb", tmp_path, **{"skip-log-bin": "1"}) as pair:
        if pair.source.query("SELECT @@log_bin") == [(1,)]:
            pytest.fail("this server still writes a log")
        assert "log_bin" in pair.run("check", code=3)
        assert "copied 1 table" in pair.run("backfill")
        pair.assert_equal()


@pytest.mark.rotating
def test_s043a_compressed_logs_are_read(tmp_path: Path) -> None:
    """MariaDB's way: each large event; MySQL's is in the random changes."""
    with own_pair("mariadb", tmp_path, **{"log-bin-compress": "ON", "log-bin-compress-min-len": "10"}) as pair:
        pair.once()
        pair.source.execute(
            *(f"INSERT INTO t VALUES ({n}, REPEAT('z', 20), '{{\"long\": \"{'y' * 400}\"}}')" for n in range(3, 40)),
            "UPDATE t SET v = REPEAT('w', 20)",
            "DELETE FROM t WHERE id > 30",
        )
        pair.once()
        pair.assert_equal()


@pytest.mark.rotating
def test_a_log_without_checksums_is_read(tmp_path: Path) -> None:
    with own_pair("mysql", tmp_path, **{"binlog-checksum": "NONE"}) as pair:
        pair.once()
        pair.source.execute("UPDATE t SET v = 'c'", "INSERT INTO t VALUES (7, 'd', '[1]')")
        pair.once()
        pair.assert_equal()

"""An insert whose image lacks a column has the default that was pinned; where none is certain the stream stops."""

from __future__ import annotations

import pytest

from tests.support.mysql_pair import MysqlPair

CONSTANTS = (
    "int DEFAULT -7",
    "int(8) ZEROFILL DEFAULT 5",
    "bigint unsigned DEFAULT 9223372036854775807",
    "decimal(10,2) DEFAULT 1.5",
    "float DEFAULT 0.1",
    "double DEFAULT 1e100",
    "year DEFAULT 2024",
    "bit(8) DEFAULT b'101'",
    "bit(64) DEFAULT b'101'",
    "bit(9) DEFAULT b'0'",
    "datetime(3) DEFAULT '2020-01-01 00:00:00.5'",
    "date DEFAULT '2020-01-01'",
    "time DEFAULT '-01:02:03'",
    "enum('a', 'b,c', 'é') CHARACTER SET latin1 DEFAULT 'é'",
    "set('a', 'b') DEFAULT 'a,b'",
    "varchar(20) NOT NULL DEFAULT ''",
    "varchar(20) DEFAULT 'NULL'",
    "varchar(20) DEFAULT 'now()'",
    "varchar(20) DEFAULT 'CURRENT_TIMESTAMP'",
    "varchar(20) DEFAULT '''x'''",
    "varchar(20) DEFAULT x'4142'",
    "varchar(20) CHARACTER SET latin1 DEFAULT 'ä€'",
    "varchar(20) CHARACTER SET gbk DEFAULT '中文'",
    "varchar(20) CHARACTER SET ucs2 DEFAULT 'abc'",
    "varchar(20) CHARACTER SET utf16 DEFAULT 'ab€'",
    "varchar(20) CHARACTER SET cp932 DEFAULT '表'",
    "char(20) CHARACTER SET koi8r DEFAULT 'я'",
    "text",
    "blob",
    "json",
    "point",
    "timestamp NULL DEFAULT '0000-00-00 00:00:00'",
)


@pytest.mark.parametrize("image", ["MINIMAL", pytest.param("NOBLOB", marks=pytest.mark.rotating)])
def test_s043a_what_an_insert_lacks_is_the_pinned_default(mysql_to_file: MysqlPair, image: str) -> None:
    pair = mysql_to_file
    columns = ", ".join(f"c{number} {declared}" for number, declared in enumerate(CONSTANTS))
    pair.source.execute("SET SESSION sql_mode = ''", f"CREATE TABLE t (id int PRIMARY KEY, {columns}, x int)")
    pair.once()
    pair.source.execute(f"SET SESSION binlog_row_image = '{image}'", "INSERT INTO t (id, x) VALUES (1, 1), (2, NULL)")
    pair.once()
    pair.assert_equal()
    # The default changes: nothing after it goes on with the old one.
    pair.source.execute("ALTER TABLE t ALTER COLUMN c0 SET DEFAULT 8", "INSERT INTO t (id) VALUES (4)")
    assert "ALTER TABLE" in pair.once(code=5)
    assert pair.rows("SELECT id, c0 FROM t ORDER BY id") == [(1, -7), (2, -7)]
    pair.run("recopy", f"{pair.source.name}.t")
    pair.source.execute("INSERT INTO t (id) VALUES (5)")
    pair.once()
    pair.assert_equal()
    assert pair.rows("SELECT c0 FROM t WHERE id > 3") == [(8,), (8,)]


UNCERTAIN = {
    "a moment of another time zone": "timestamp NOT NULL DEFAULT '2020-01-01 00:00:00'",
    "the moment of the insert": "timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP",
    "bytes": "varbinary(20) DEFAULT 'ab'",
    "a sum as text": "varchar(20) DEFAULT (1 + 1)",
    "another column": "varchar(20) DEFAULT (id)",
}


@pytest.mark.rotating
@pytest.mark.parametrize("declared", UNCERTAIN.values(), ids=UNCERTAIN)
def test_a_default_that_is_not_certain_is_never_guessed(mysql_to_file: MysqlPair, declared: str) -> None:
    """Either the log has the value all the same, or the stream stops with the table and the column."""
    pair = mysql_to_file
    pair.source.execute("SET SESSION time_zone = '+05:30'", f"CREATE TABLE t (id int PRIMARY KEY, v {declared}, x int)")
    pair.once()
    pair.source.execute("SET SESSION binlog_row_image = 'MINIMAL'", "INSERT INTO t (id, x) VALUES (1, 1)")
    with pair.sync("--once") as running:
        code, output = running.wait(60), running.stderr()
    if code == 0:
        pair.assert_equal()
    else:
        assert code == 5 and "t.v: an insert in the log lacks the column" in output

"""Events that a server of these tests never writes, made of others on their way: the stream stops where they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicator.engines.mysql import binlog
from tests.support.binlog_proxy import BinlogProxy, Change, retyped
from tests.support.mysql_database import MysqlDatabase
from tests.support.mysql_pair import MysqlPair
from tests.support.servers import Server

STRANGE: dict[str, tuple[Change, int, str]] = {
    "an incident": (retyped(binlog.XID, binlog.INCIDENT), 4, "the source has lost a part of its log"),
    "an unknown event": (retyped(binlog.XID, 99), 5, "an event of type 99 in the binary log is not understood"),
    "another server's event": (retyped(binlog.XID, binlog.GTID), 5, "an event of type 33"),
    "a part of a JSON value": (retyped(23, binlog.PARTIAL_ROWS), 5, "t: the log has an update of a part of a JSON"),
    "rows without their map": (retyped(binlog.TABLE_MAP, binlog.MARIADB_ANNOTATE_ROWS), 5, "no table map before it"),
    "a row that ends too early": (
        lambda kind, event: event[:-1] if kind == 23 else None,
        5,
        "t: a row of the log is longer than its event",
    ),
}


@pytest.mark.rotating
@pytest.mark.parametrize("strange", STRANGE)
def test_s046_s047_it_stops_with_its_place(mariadb: Server, tmp_path: Path, strange: str) -> None:
    change, code, words = STRANGE[strange]
    with (
        MysqlDatabase(mariadb) as database,
        MysqlPair(database, tmp_path / "copy.db") as pair,
        BinlogProxy(mariadb.host, mariadb.port, change) as proxy,
    ):
        database.execute("CREATE TABLE t (id int PRIMARY KEY, v varchar(9))", "INSERT INTO t VALUES (1, 'a')")
        pair.once()
        saved = pair.position()
        database.execute("INSERT INTO t VALUES (2, 'secret')")
        output = pair.once(source=proxy.url(pair.url), code=code)
        assert words in output and "in the transaction 0-1-" in output and "binlog.0" in output
        assert "secret" not in output and "remedy" in output and proxy.changed
        assert pair.position() == saved and pair.rows("SELECT id FROM t") == [(1,)]
        pair.once()
        pair.assert_equal()

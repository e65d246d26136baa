"""A source that is itself a replica, or leaves databases out of its log: what its log lacks is said before anything."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.pipelines.test_mysql_bad_input import own_pair
from tests.support.mysql_database import SOURCE_GRANTS, MysqlDatabase
from tests.support.mysql_pair import MysqlPair
from tests.support.servers import private_mysql

pytestmark = pytest.mark.rotating
FOLLOW = {
    "mysql": ("CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1", " FOR CHANNEL 'other'"),
    "mariadb": ("CHANGE MASTER 'other' TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1", ""),
}


def finding(pair: MysqlPair, code: int) -> str:
    return pair.run("check", code=code)


@pytest.mark.parametrize("engine", FOLLOW)
def test_a_replica_that_does_not_log_what_it_receives(engine: str, tmp_path: Path) -> None:
    """By any of its channels; and where the user may not see whether it is one, it is taken for one."""
    setting = "log_replica_updates" if engine == "mysql" else "log_slave_updates"
    with own_pair(engine, tmp_path, **{setting.replace("_", "-"): "OFF"}) as pair:
        finding(pair, 0)
        if engine == "mariadb":
            blind = ("SELECT ON {database}.*", "REPLICATION SLAVE ON *.*", "BINLOG MONITOR ON *.*")
            known, pair.url = pair.url, pair.source.user(blind)
            assert "GRANT SLAVE MONITOR ON *.*" in finding(pair, 3)
            pair.url = known
        pair.source.execute("".join(FOLLOW[engine]))
        output = finding(pair, 3)
        assert f"{setting} is OFF on a replica" in output and f"set {setting} = ON" in output
        assert "is OFF on a replica" in pair.once(code=3)


@pytest.mark.parametrize("engine", FOLLOW)
def test_filters_of_a_replica_and_of_its_log(engine: str, tmp_path: Path) -> None:
    settings = {"binlog-ignore-db": "aside", "replicate-ignore-db": "aside"}
    if engine == "mariadb":
        settings["log-slave-updates"] = "ON"
    with own_pair(engine, tmp_path, **settings) as pair:
        pair.source.execute("CREATE DATABASE aside", "CREATE TABLE aside.x (id int PRIMARY KEY)")
        pair.source.execute("".join(FOLLOW[engine]))
        try:
            output = finding(pair, 0)
            assert "Replicate_Ignore_DB = aside" in output
            pair.url = pair.source.user((*SOURCE_GRANTS, "SELECT ON aside.*"))
            output = pair.run("check", "--table", "aside.*", code=3)
            assert "binlog_ignore_db leaves the database aside out" in output and "remove binlog_ignore_db" in output
        finally:
            pair.source.execute("DROP DATABASE aside")


@pytest.mark.parametrize("engine", FOLLOW)
def test_a_log_of_some_databases_only(engine: str, tmp_path: Path) -> None:
    with own_pair(engine, tmp_path, **{"binlog-do-db": "mine"}) as pair:
        output = finding(pair, 3)
        assert "binlog_do_db leaves the database" in output and "remove binlog_do_db" in output


@pytest.mark.parametrize("engine", FOLLOW)
def test_a_filter_that_came_between_two_runs(engine: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        own = stack.enter_context(private_mysql(engine))
        database = stack.enter_context(MysqlDatabase(own.server))
        pair = stack.enter_context(MysqlPair(database, tmp_path / "copy.db"))
        database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        pair.once()
        own.restart({"binlog-ignore-db": database.name})
        database.reconnect()
        database.execute("INSERT INTO t VALUES (1)")
        for output in (pair.run("check", code=3), pair.once(code=4)):
            assert "remove binlog_ignore_db" in output and "recopy SOURCE TARGET --all" in output

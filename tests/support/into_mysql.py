"""Any source and its MySQL or MariaDB copy, with the product between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pymysql

from tests.support.databases import PostgresDatabase
from tests.support.mysql_database import MysqlDatabase
from tests.support.oracle import mysql_copy
from tests.support.pair import Pair

# The least rights of the documented user of a target. {database} is the test's database.
TARGET_GRANTS = ("SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER ON {database}.*",)
SEES_TRIGGERS = "TRIGGER ON {database}.*"
"""For tables that exist: MySQL shows triggers to nobody else."""
NO_TABLE = 1146


class IntoMysql(Pair):
    """Mixed in before the pair of a source: its target is the database `into`, written with the least rights."""

    into: MysqlDatabase
    _target: str

    def land(self, into: MysqlDatabase) -> None:
        self.into = into
        self._target = into.user((*TARGET_GRANTS, SEES_TRIGGERS))

    @property
    def target(self) -> str:
        return self._target

    def whole(self, column: str) -> str:
        return f"HEX({column})"

    @property
    def streams(self) -> str:
        return "_replicator_streams"

    def rows(self, statement: str, *args: object) -> list[tuple[Any, ...]]:
        try:
            return self.into.query(statement.replace('"', "`").replace("?", "%s"), *args)
        except pymysql.err.ProgrammingError as error:
            if error.args[0] == NO_TABLE and "_replicator_" in statement:
                return []
            raise

    def saved(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT name, uid, position, phase FROM _replicator_streams ORDER BY name")

    def assert_nothing_made(self) -> None:
        assert self.into.query("SHOW TABLES") == [], "tables were made"


class PostgresIntoMysql(IntoMysql, Pair):
    """A PostgreSQL database and its MySQL or MariaDB copy."""

    def __init__(self, database: PostgresDatabase, copy: MysqlDatabase, url: str | None = None) -> None:
        Pair.__init__(self, database, Path(), url)
        self.land(copy)

    def assert_equal(self, tables: Mapping[str, str] | Sequence[str] | None = None) -> None:
        found = mysql_copy.differences(self.database.url, self.into.connect(), tables)
        assert not found, "source and target differ\n" + "\n".join(found)

"""A MySQL or MariaDB database and its copy, with the product between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.databases import PostgresDatabase
from tests.support.faults import Running
from tests.support.into_mysql import IntoMysql
from tests.support.mysql_database import MysqlDatabase
from tests.support.oracle import mysql as oracle
from tests.support.pair import Pair
from tests.support.postgres_pair import GRANTS
from tests.support.wait import until

SHOWN = 5


class MysqlPair(Pair):
    """The product reads with the documented least rights, unless `url` names another login. Into an SQLite file, or
    into the database `copy`."""

    def __init__(
        self, source: MysqlDatabase, path: Path, copy: PostgresDatabase | None = None, url: str | None = None
    ) -> None:
        self.source = source
        self.path = path
        self.name = "default"
        self.url = url or source.user()
        self.copy = copy
        self._target = copy.role(f"{copy.name}_into", replication=False, grants=GRANTS) if copy else ""
        self._running: list[Running] = []

    @property
    def target(self) -> str:
        return self._target or f"sqlite:///{self.path}"

    def hand_over(self) -> None:
        """Nothing is owned by the product's user."""

    def rows(self, statement: str, *args: object) -> list[tuple[Any, ...]]:
        return super().rows(statement, *args) if self.copy is None else self.copy.query(statement, *args)

    def whole(self, column: str) -> str:
        """An expression for the very value, as the target has it."""
        return f"{column}::text" if self.copy else column

    @property
    def user(self) -> str:
        """The product's login."""
        return self.url.partition("://")[2].partition(":")[0]

    @property
    def sees_prepared(self) -> bool:
        """May the product's user list prepared XA transactions? On MySQL that is a right of its own."""
        return self.source.server.engine == "mariadb"

    @property
    def streams(self) -> str:
        return "_replicator_streams" if self.copy is None else "replicator.streams"

    def position(self) -> str | None:
        """The saved position's text."""
        ((found,),) = self.rows(f"SELECT position FROM {self.streams}")
        return None if found is None else str(found)

    def catch_up(self, running: Running | None = None, timeout: float = 60.0) -> None:
        """Wait until a row that is written now is at the target: a table `marker` must be followed."""
        ((number,),) = self.source.query("SELECT COALESCE(MAX(id), 0) + 1 FROM marker")
        self.source.execute(f"INSERT INTO marker VALUES ({number})")

        def reached() -> bool:
            if running is not None and not running.running():
                raise AssertionError(f"the sync has ended with {running.wait(1)}:\n{running.stderr()[-4000:]}")
            return bool(self.rows(f"SELECT 1 FROM marker WHERE id = {number}"))

        until(reached, timeout, "the last row to arrive", pause=0.02)

    def assert_equal(self, tables: Mapping[str, str] | Sequence[str] | None = None) -> None:
        """Every row of these tables is at the target, once, with the same values, and nothing else is."""
        for table in self._tables(tables):
            ours = oracle.source_rows(self.source.connect(), table)
            kinds = oracle.columns(self.source.connect(), table)
            theirs = self._copied(table, kinds)
            missing, extra = ours - theirs, theirs - ours
            assert ours == theirs, (
                f"{table}: {ours.total()} rows at the source, {theirs.total()} at the target\n"
                f"columns {[name for name, _ in kinds]}\n"
                f"missing: {list(missing.items())[:SHOWN]}\nextra: {list(extra.items())[:SHOWN]}"
            )

    def _tables(self, wanted: Mapping[str, str] | Sequence[str] | None) -> list[str]:
        if wanted is not None:
            return list(wanted)
        found = self.source.query(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() "
            "AND TABLE_TYPE = 'BASE TABLE' AND ENGINE = 'InnoDB'"
        )
        return [name for (name,) in found]

    def _copied(self, table: str, kinds: Sequence[tuple[str, str]]) -> Counter[tuple[Any, ...]]:
        if self.copy is None:
            return oracle.sqlite_rows(self.path, table, kinds)
        return oracle.postgres_rows(self.copy.url, table, kinds)


class MysqlToMysql(IntoMysql, MysqlPair):
    """Between two of these servers, of one flavor or of both."""

    def __init__(self, source: MysqlDatabase, copy: MysqlDatabase, url: str | None = None) -> None:
        MysqlPair.__init__(self, source, Path(), None, url)
        self.land(copy)

    def _copied(self, table: str, kinds: Sequence[tuple[str, str]]) -> Counter[tuple[Any, ...]]:
        return oracle.mysql_rows(self.into.connect(), table, kinds)

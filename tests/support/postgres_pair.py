"""A PostgreSQL database and its PostgreSQL copy, with the product between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.databases import TARGET_GRANTS, TRIGGERS_OFF, PostgresDatabase
from tests.support.oracle.alike import alike
from tests.support.pair import Pair, lsn

GRANTS = (*TARGET_GRANTS, TRIGGERS_OFF)


class PostgresPair(Pair):
    """The product writes with the documented least rights, unless `target` names another login."""

    def __init__(
        self,
        database: PostgresDatabase,
        copy: PostgresDatabase,
        url: str | None = None,
        name: str = "default",
        target: str | None = None,
    ) -> None:
        super().__init__(database, Path(), url, name)
        self.copy = copy
        self._target = target or copy.role(f"{copy.name}_into", replication=False, grants=GRANTS)

    @property
    def target(self) -> str:
        return self._target

    def rows(self, statement: str, *args: object) -> list[tuple[Any, ...]]:
        return self.copy.query(statement, *args)

    def mark(self) -> int | None:
        if self.rows("SELECT to_regclass('replicator.streams') IS NULL") == [(True,)]:
            return None
        rows = self.rows("SELECT position FROM replicator.streams WHERE name = %s", self.name)
        return lsn(rows[0][0]) if rows and rows[0][0] else None

    def saved(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT name, uid, position, phase FROM replicator.streams ORDER BY name")

    def assert_equal(self, tables: Mapping[str, str] | Sequence[str] | None = None) -> None:
        found = alike(self.database.url, self.copy.url, tables)
        assert not found, "source and target differ\n" + "\n".join(found)

    def assert_nothing_made(self) -> None:
        assert self.slots() == [] and self.publications() == []
        assert self.rows("SELECT relname FROM pg_class WHERE oid >= 16384 AND relkind = 'r'") == []

"""The tables of a MySQL or MariaDB target: what is there, and what we make.

DDL commits by itself: the fence is locked and let go before each statement, and the lock of the runner's session stands
in for it meanwhile (see `lock.py`). A table is made by one statement, its comment with it; whatever was made before a
crash is found by looking, and is not made twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Literal

from replicator.engine import Finding
from replicator.engines.mysql import existing, landing
from replicator.engines.mysql.names import fold
from replicator.engines.mysql.session import TargetSession
from replicator.engines.mysql.statements import DIALECT
from replicator.engines.mysql.targettypes import TargetTypes
from replicator.model.schema import Column, Name
from replicator.model.stream import Followed
from replicator.model.values import Row
from replicator.sql import digest
from replicator.sql.ddl import Ddl
from replicator.sql.ledger import SqlLedger
from replicator.sql.plan import Plan
from replicator.sql.statements import text_literal

Standing = Literal["absent", "empty", "filled"]
_THERE = "SELECT TABLE_NAME, TABLE_COMMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
_INDEXES = "SELECT DISTINCT TABLE_NAME, INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE()"


class MysqlStructure:
    def __init__(self, session: TargetSession, ledger: SqlLedger, types: TargetTypes) -> None:
        self._session = session
        self._ledger = ledger
        self._types = types
        collation = session.flavor.exact_collation
        suffix = f" ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE {collation}"
        self._ddl = Ddl(DIALECT, types.storage, f"binary({digest.SIZE})", suffix, _check_name)

    def findings(self, tables: Sequence[Followed], known: Mapping[Name, Followed]) -> list[Finding]:
        found: list[Finding] = []
        with self._session.reading():
            there = self._there()
            for followed in tables:
                found += landing.shape(followed, self._types)
                mine = known.get(followed.table.name)
                if self._fold(followed.target.name) in there:
                    ours = mine is not None and mine.made
                    found += existing.findings(self._session, self._types, followed, ours=ours)
            found += landing.server(self._session, tables)
        return found

    def _fold(self, name: str) -> str:
        """The form under which the server takes two table names for the same."""
        return name if self._session.keeps_case else fold(name)

    def _there(self) -> dict[str, str]:
        """The tables and views, by their folded names, with their comments."""
        found = self._session.execute(_THERE).fetchall()
        return {self._fold(name): comment or "" for name, comment in found}

    def survey(self, tables: Sequence[Followed]) -> dict[Name, Standing]:
        found: dict[Name, Standing] = {}
        with self._session.reading():
            there = self._there()
            for followed in tables:
                if self._fold(followed.target.name) not in there:
                    found[followed.table.name] = "absent"
                    continue
                row = self._session.execute(DIALECT.any_row(followed.target)).fetchone()
                found[followed.table.name] = "empty" if row is None else "filled"
        return found

    def create(self, tables: Sequence[Followed], remake: Collection[Name]) -> None:
        with self._session.transaction():
            there = self._there()
        for followed in tables:
            statement = self._ddl.create(followed)
            comment = f"made by replicator: {_short(statement)}"
            name = self._fold(followed.target.name)
            anew = followed.table.name in remake or there.get(name) != comment
            if name in there and followed.made and anew:
                self._define(DIALECT.drop(followed.target))
            elif name in there:
                continue
            self._define(f"{statement} COMMENT={text_literal(comment)}")

    def _define(self, statement: str) -> None:
        with self._session.translated():
            if not self._session.is_joined:
                with self._session.transaction():
                    self._ledger.lock(None)
            self._session.execute(statement)

    def drop(self, tables: Sequence[Followed]) -> None:
        for followed in tables:
            if followed.made:
                self._define(DIALECT.drop(followed.target))

    def finish(self, tables: Sequence[Followed]) -> None:
        made = [followed for followed in tables if followed.made]
        if not made:
            return
        with self._session.transaction():
            there = {(self._fold(table), name) for table, name in self._session.execute(_INDEXES).fetchall()}
        for followed in made:
            for name, statement in self._indexes(followed):
                if (self._fold(followed.target.name), name) not in there:
                    there.add((self._fold(followed.target.name), name))
                    self._define(statement)

    def _indexes(self, followed: Followed) -> Iterator[tuple[str, str]]:
        """Named by what they are on, under our own prefix."""
        # Of an insert-only table no delete comes, so a value that the source frees and uses again would be there twice.
        for index in () if followed.options.insert_only else self._types.uniques(followed)[0]:
            name = f"_replicator_{_short(*index.columns)}"
            yield name, self._ddl.unique_index(followed.target, name, index.columns)
        if followed.digested:
            name = f"_replicator_{_short(digest.COLUMN)}"
            yield name, self._ddl.digest_index(followed.target, name)

    def unheld(self, followed: Followed, rows: list[Row]) -> list[str]:
        return Plan(followed.table, followed, DIALECT, self._types.storage).unheld(rows)

    def formats(self, followed: Followed) -> Collection[str]:
        return ()

    def stored(self, followed: Followed) -> tuple[str, ...]:
        return tuple(self._types.storage(followed, column).type for column in followed.table.columns)


def _check_name(followed: Followed, column: Column) -> str:
    """MySQL's own is the table's with a number behind it, which may be too long; it is one for the whole database."""
    return f"_replicator_{_short(followed.target.name, column.name)}"


def _short(*parts: str) -> str:
    return blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()

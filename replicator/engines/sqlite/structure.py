"""The tables of an SQLite file: what is there, and what we make."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

from replicator import remedies
from replicator.engine import Finding
from replicator.engines.sqlite import existing
from replicator.engines.sqlite.names import fold
from replicator.engines.sqlite.statements import DDL, DIALECT
from replicator.engines.sqlite.types import storage
from replicator.errors import ReplicatorError
from replicator.model.schema import Name
from replicator.model.stream import Followed
from replicator.model.values import Row
from replicator.sql import digest
from replicator.sql.connect import Session
from replicator.sql.ledger import SqlLedger
from replicator.sql.plan import Plan

MOST_COLUMNS = 2000


class SqliteStructure:
    def __init__(self, session: Session, ledger: SqlLedger) -> None:
        self._session = session
        self._ledger = ledger

    def findings(self, tables: Sequence[Followed], known: Mapping[Name, Followed]) -> list[Finding]:
        found: list[Finding] = []
        for followed in tables:
            found += self._shape(followed)
            mine = known.get(followed.table.name)
            if not (mine is not None and mine.made):
                found += existing.findings(self._session, followed)
        return found

    @staticmethod
    def _shape(followed: Followed) -> list[Finding]:
        """What no SQLite file can have."""
        table = followed.table
        found: list[Finding] = []
        seen: dict[str, str] = {}
        for column in table.columns:
            twin = seen.setdefault(fold(column.name), column.name)
            if twin != column.name:
                found.append(
                    Finding(
                        "refuse",
                        f"{table.name}: columns {twin!r} and {column.name!r} are the same name to SQLite",
                        f"rename one of them, or leave the table out: --exclude {remedies.shell(table.name)}",
                    )
                )
            try:
                storage(followed, column)
            except ReplicatorError as error:
                found.append(Finding("refuse", f"{table.name}: {error.what}", error.remedy))
        if len(table.columns) + followed.digested > MOST_COLUMNS:
            found.append(
                Finding(
                    "refuse",
                    f"{table.name} has {len(table.columns)} columns; SQLite holds {MOST_COLUMNS}",
                    f"--exclude {remedies.shell(table.name)}",
                )
            )
        if digest.COLUMN in seen:
            found.append(
                Finding(
                    "refuse",
                    f"{table.name}: the column name {digest.COLUMN} is kept for bookkeeping",
                    f"rename it, or leave the table out: --exclude {remedies.shell(table.name)}",
                )
            )
        if not table.key:
            try:
                DIALECT.row_id(table.names)
            except ReplicatorError as error:
                leave_out = f"--exclude {remedies.shell(table.name)}"
                found.append(Finding("refuse", f"{table.name}: {error.what}", leave_out))
        return found

    def survey(self, tables: Sequence[Followed]) -> dict[Name, Literal["absent", "empty", "filled"]]:
        there = self._names("table", "view")
        found: dict[Name, Literal["absent", "empty", "filled"]] = {}
        for followed in tables:
            if fold(followed.target.name) not in there:
                found[followed.table.name] = "absent"
            else:
                row = self._session.execute(DIALECT.any_row(followed.target)).fetchone()
                found[followed.table.name] = "empty" if row is None else "filled"
        return found

    def _names(self, *kinds: str) -> set[str]:
        """The names of all tables, views or indexes, folded. Read once for many: there is no index on them."""
        markers = ", ".join("?" * len(kinds))
        found = self._session.execute(f"SELECT name FROM sqlite_master WHERE type IN ({markers})", kinds)
        return {fold(name) for (name,) in found}

    def _statements(self) -> dict[str, str]:
        """The CREATE TABLE of every table, by its folded name: SQLite keeps the text as it was given."""
        found = self._session.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        return {fold(name): sql for name, sql in found}

    def create(self, tables: Sequence[Followed], remake: Collection[Name]) -> None:
        with self._session.transaction():
            self._ledger.lock(None)
            remade = set(remake)
            there, indexes = self._statements(), self._names("index")
            for followed in tables:
                stands = fold(followed.target.name) in there
                # The ledger's shape is saved before the table is made: after a crash in between only the file knows.
                other = there.get(fold(followed.target.name)) != DDL.create(followed)
                other = other or bool(_stale(followed, indexes))
                if stands and followed.made and (other or followed.table.name in remade):
                    self._session.execute(DIALECT.drop(followed.target))
                    stands = False
                if not stands:
                    self._session.execute(DDL.create(followed))

    def drop(self, tables: Sequence[Followed]) -> None:
        with self._session.transaction():
            self._ledger.lock(None)
            for followed in tables:
                if followed.made:
                    self._session.execute(DIALECT.drop(followed.target))

    def unheld(self, followed: Followed, rows: list[Row]) -> list[str]:
        return Plan(followed.table, followed, DIALECT, storage).unheld(rows)

    def formats(self, followed: Followed) -> Collection[str]:
        return ()

    def stored(self, followed: Followed) -> tuple[str, ...]:
        return tuple(storage(followed, column).type for column in followed.table.columns)

    def finish(self, tables: Sequence[Followed]) -> None:
        with self._session.transaction():
            self._ledger.lock(None)
            there = self._names("index")
            for followed in tables:
                if not followed.made:
                    continue
                for name, statement in _indexes(followed):
                    if fold(name) not in there:
                        there.add(fold(name))
                        self._session.execute(statement)


def _stale(followed: Followed, there: Collection[str]) -> list[str]:
    """The indexes of ours that an earlier shape, or other settings, made on this table."""
    wanted = {fold(name) for name, _ in _indexes(followed)}
    ours = fold(f"_replicator_{followed.target.name}(")
    return [name for name in there if name.startswith(ours) and name not in wanted]


def _indexes(followed: Followed) -> Iterator[tuple[str, str]]:
    """Named by their columns, under our own prefix: names are one space with the tables' in SQLite."""
    # Of an insert-only table no delete comes, so a value that the source frees and uses again would be there twice.
    for index in () if followed.options.insert_only else followed.table.uniques:
        name = f"_replicator_{followed.target.name}({','.join(index.columns)})"
        yield name, DDL.unique_index(followed.target, name, index.columns)
    if followed.digested:
        name = f"_replicator_{followed.target.name}({digest.COLUMN})"
        yield name, DDL.digest_index(followed.target, name)

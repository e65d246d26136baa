"""The tables of an SQLite file: what is there, and what we make."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from replicator.engine import Finding
from replicator.engines.sqlite.types import storage
from replicator.errors import ReplicatorError
from replicator.model.schema import Name
from replicator.model.stream import Followed
from replicator.sql.connect import Session
from replicator.sql.ddl import Ddl
from replicator.sql.ledger import SqlLedger
from replicator.sql.statements import Dialect

DIALECT = Dialect('"', "?", "IS", schemas=False, row_ids=("rowid", "_rowid_", "oid"), or_clause=" OR ABORT")
DDL = Ddl(DIALECT, storage, " STRICT")
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
            if (columns := self._columns(followed.target)) and not (mine is not None and mine.made):
                found += self._existing(followed, columns)
        return found

    @staticmethod
    def _shape(followed: Followed) -> list[Finding]:
        """What no SQLite file can have."""
        table = followed.table
        found: list[Finding] = []
        seen: dict[str, str] = {}
        for column in table.columns:
            twin = seen.setdefault(column.name.lower(), column.name)
            if twin != column.name:
                found.append(
                    Finding(
                        "refuse",
                        f"{table.name}: columns {twin!r} and {column.name!r} are the same name to SQLite",
                        f"rename one of them, or leave the table out: --exclude '{table.name}'",
                    )
                )
            try:
                storage(column, dict(followed.policies.get(column.name, {})))
            except ReplicatorError as error:
                found.append(Finding("refuse", f"{table.name}: {error.what}", error.remedy))
        if not table.columns or len(table.columns) > MOST_COLUMNS:
            found.append(
                Finding(
                    "refuse",
                    f"{table.name} has {len(table.columns)} columns; SQLite holds 1 to {MOST_COLUMNS}",
                    f"--exclude '{table.name}'",
                )
            )
        if not table.key:
            try:
                DIALECT.row_id(table.names)
            except ReplicatorError as error:
                found.append(Finding("refuse", f"{table.name}: {error.what}", f"--exclude '{table.name}'"))
        return found

    def _existing(self, followed: Followed, columns: dict[str, tuple[str, bool, bool]]) -> list[Finding]:
        """Can a table that we did not make hold the rows without changing them?"""
        table, target = followed.table, followed.target.name
        found: list[Finding] = []
        if self._session.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'view' AND lower(name) = lower(?)", (target,)
        ).fetchone():
            remedy = f"drop it, or give the table another place: --map '{table.name}=other_name'"
            return [Finding("refuse", f"target table {target}: there is a view of this name", remedy)]

        def refuse(what: str, remedy: str) -> None:
            found.append(Finding("refuse", f"target table {target}: {what}", remedy))

        for column in table.columns:
            if column.name not in columns:
                refuse(f"column {column.name} is missing", "add it, or drop the table and let it be made")
                continue
            kept = storage(column, dict(followed.policies.get(column.name, {}))).type
            declared = columns[column.name][0]
            if not _holds(declared, kept):
                refuse(
                    f"column {column.name} is declared {declared or 'without a type'}, which may change a value of "
                    f"{column.native_name}",
                    f"declare it {kept}, or drop the table and let it be made",
                )
        for name, (_, required, generated) in columns.items():
            if required and not generated and name not in table.names:
                refuse(
                    f"column {name} is NOT NULL without a default, and the source does not have it",
                    "give it a default",
                )
        if table.key and not self._has_unique(followed.target, table.key):
            refuse(
                f"it has no primary key or unique index on ({', '.join(table.key)})",
                DDL.unique_index(followed.target, f"{target}_key", table.key),
            )
        triggers = self._session.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = lower(?)", (target,)
        ).fetchall()
        if triggers:
            names = ", ".join(name for (name,) in triggers)
            refuse(f"it has triggers ({names}), which SQLite cannot switch off for us", "drop them")
        return found

    def _columns(self, target: Name) -> dict[str, tuple[str, bool, bool]]:
        """By name: the declared type, whether it must be given, whether it is generated. Empty for no table."""
        rows = self._session.execute(
            'SELECT name, type, "notnull" AND dflt_value IS NULL AND NOT pk, hidden FROM pragma_table_xinfo(?)',
            (target.name,),
        )
        return {name: (declared, bool(required), hidden in (2, 3)) for name, declared, required, hidden in rows}

    def _has_unique(self, target: Name, key: Sequence[str]) -> bool:
        primary = self._session.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0", (target.name,))
        if {name for (name,) in primary} == set(key):
            return True
        indexes = self._session.execute(
            'SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial', (target.name,)
        ).fetchall()
        return any(
            {name for (name,) in self._session.execute("SELECT name FROM pragma_index_info(?)", index)} == set(key)
            for index in indexes
        )

    def survey(self, tables: Sequence[Followed]) -> dict[Name, Literal["absent", "empty", "filled"]]:
        kinds = dict(
            self._session.execute("SELECT lower(name), type FROM sqlite_master WHERE type IN ('table', 'view')")
        )
        found: dict[Name, Literal["absent", "empty", "filled"]] = {}
        for followed in tables:
            if _fold(followed.target.name) not in kinds:
                found[followed.table.name] = "absent"
            else:
                row = self._session.execute(DIALECT.any_row(followed.target)).fetchone()
                found[followed.table.name] = "empty" if row is None else "filled"
        return found

    def create(self, tables: Sequence[Followed], remake: Collection[Name]) -> None:
        with self._session.transaction():
            self._ledger.lock(None)
            for followed in tables:
                there = self._session.execute(
                    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND lower(name) = lower(?)",
                    (followed.target.name,),
                ).fetchone()
                if there and followed.made and followed.table.name in remake:
                    self._session.execute(DIALECT.drop(followed.target))
                    there = None
                if not there:
                    self._session.execute(DDL.create(followed))

    def finish(self, tables: Sequence[Followed]) -> None:
        with self._session.transaction():
            self._ledger.lock(None)
            for followed in tables:
                if not followed.made:
                    continue
                for index in followed.table.uniques:
                    # Named by its columns, under our own prefix: names are one space with the tables' in SQLite.
                    name = f"_replicator_{followed.target.name}({','.join(index.columns)})"
                    exists = self._session.execute(
                        "SELECT 1 FROM sqlite_master WHERE type = 'index' AND lower(name) = lower(?)", (name,)
                    ).fetchone()
                    if exists is None:
                        self._session.execute(DDL.unique_index(followed.target, name, index.columns))


def _fold(name: str) -> str:
    return name.lower() if name.isascii() else "".join(c.lower() if c.isascii() else c for c in name)


def _holds(declared: str, kept: str) -> bool:
    """May a column of this declared type hold this storage class unchanged?

    By https://www.sqlite.org/datatype3.html#determination_of_column_affinity.
    """
    upper = declared.upper()
    if "INT" in upper:
        affinity = "INTEGER"
    elif any(word in upper for word in ("CHAR", "CLOB", "TEXT")):
        affinity = "TEXT"
    elif "BLOB" in upper or not upper:
        affinity = "BLOB"
    elif any(word in upper for word in ("REAL", "FLOA", "DOUB")):
        affinity = "REAL"
    else:
        affinity = "NUMERIC"
    if not upper:
        return True
    return affinity == kept or (kept == "INTEGER" and affinity == "NUMERIC")

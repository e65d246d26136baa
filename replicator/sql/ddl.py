"""CREATE statements from canonical tables and an engine's column types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from replicator.model.schema import Column, Name
from replicator.model.stream import Followed
from replicator.model.values import Value
from replicator.sql import digest
from replicator.sql.statements import Dialect

Encode = Callable[[Value], Value]
"""A canonical value as the target's driver takes it. Never called with None or MISSING.

Raises ValueError, with the reason alone, for a value that the column cannot hold exactly.
"""


@dataclass(frozen=True)
class Storage:
    """How a target keeps one column: its type, the CHECK on its quoted name, and the encoder (None: as it is).

    `strict`: may the table hold its columns to their types? One that may not takes the suffix from the whole table.
    """

    type: str
    check: Callable[[str], str] | None = None
    encode: Encode | None = None
    strict: bool = True


StorageOf = Callable[[Followed, Column], Storage]
"""How an engine keeps a column of a table, under the policies chosen for it. Raises Refused."""


@dataclass(frozen=True)
class Ddl:
    dialect: Dialect
    storage: StorageOf
    digest_type: str
    suffix: str = ""
    """What stands behind the closing bracket of a CREATE TABLE whose every column is `strict`."""
    check_name: Callable[[Followed, Column], str] | None = None
    """How a CHECK is named, where the name that the server would give it may be none that it takes."""

    def create(self, followed: Followed) -> str:
        """Columns, NOT NULL, the key, and the CHECKs of the types; no other index, foreign key or default."""
        table = followed.table
        lines = [self._column(column, followed) for column in table.columns]
        if self.check_name is not None:
            lines += self._named_checks(followed, self.check_name)
        if len(table.key) > 1:
            lines.append(f"PRIMARY KEY ({self.dialect.columns(table.key)})")
        if followed.digested:
            lines.append(f"{self.dialect.quote(digest.COLUMN)} {self.digest_type} NOT NULL")
        body = ",\n    ".join(lines)
        suffix = self.suffix if all(self._stored(column, followed).strict for column in table.columns) else ""
        return f"CREATE TABLE {self.dialect.table(followed.target)} (\n    {body}\n){suffix}"

    def _stored(self, column: Column, followed: Followed) -> Storage:
        return self.storage(followed, column)

    def _column(self, column: Column, followed: Followed) -> str:
        storage = self._stored(column, followed)
        name = self.dialect.quote(column.name)
        parts = [name, storage.type] if storage.type else [name]
        if followed.table.key == (column.name,):
            parts.append("PRIMARY KEY")
        if not column.nullable:
            parts.append("NOT NULL")
        if storage.check and self.check_name is None:
            parts.append(f"CHECK ({storage.check(name)})")
        return " ".join(parts)

    def _named_checks(self, followed: Followed, named: Callable[[Followed, Column], str]) -> Iterator[str]:
        quote = self.dialect.quote
        for column in followed.table.columns:
            if check := self._stored(column, followed).check:
                yield f"CONSTRAINT {quote(named(followed, column))} CHECK ({check(quote(column.name))})"

    def digest_index(self, target: Name, name: str) -> str:
        on = f"{self.dialect.table(target)} ({self.dialect.quote(digest.COLUMN)})"
        return f"CREATE INDEX {self.dialect.quote(name)} ON {on}"

    def unique_index(self, target: Name, name: str, columns: Sequence[str]) -> str:
        quote = self.dialect.quote
        return f"CREATE UNIQUE INDEX {quote(name)} ON {self.dialect.table(target)} ({self.dialect.columns(columns)})"

"""CREATE statements from canonical tables and an engine's column types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from replicator.errors import Refused
from replicator.model.schema import Column, Name
from replicator.model.stream import Followed
from replicator.model.values import Value
from replicator.sql.statements import Dialect

Encode = Callable[[Value], Value]
"""A canonical value as the target's driver takes it. Never called with None or MISSING.

Raises ValueError, with the reason alone, for a value that the column cannot hold exactly.
"""


@dataclass(frozen=True)
class Storage:
    """How a target keeps one column: its type, the CHECK on its quoted name, and the encoder (None: as it is)."""

    type: str
    check: Callable[[str], str] | None = None
    encode: Encode | None = None


StorageOf = Callable[[Column, dict[str, str]], Storage]
"""An engine's types.py: the storage of a column under the policies chosen for it. Raises Refused."""


@dataclass(frozen=True)
class Ddl:
    dialect: Dialect
    storage: StorageOf
    suffix: str = ""
    """What stands behind the closing bracket of every CREATE TABLE."""

    def create(self, followed: Followed) -> str:
        """Columns, NOT NULL, the key, and the CHECKs of the types; no other index, foreign key or default."""
        table = followed.table
        lines = [self._column(column, followed) for column in table.columns]
        if len(table.key) > 1:
            lines.append(f"PRIMARY KEY ({self.dialect.columns(table.key)})")
        if not lines:
            raise Refused(f"{table.name} has no columns, and the target has no table without columns")
        body = ",\n    ".join(lines)
        return f"CREATE TABLE {self.dialect.table(followed.target)} (\n    {body}\n){self.suffix}"

    def _column(self, column: Column, followed: Followed) -> str:
        storage = self.storage(column, dict(followed.policies.get(column.name, {})))
        name = self.dialect.quote(column.name)
        parts = [name, storage.type]
        if followed.table.key == (column.name,):
            parts.append("PRIMARY KEY")
        if not column.nullable or column.name in followed.table.key:
            parts.append("NOT NULL")
        if storage.check:
            parts.append(f"CHECK ({storage.check(name)})")
        return " ".join(parts)

    def unique_index(self, target: Name, name: str, columns: Sequence[str]) -> str:
        quote = self.dialect.quote
        return f"CREATE UNIQUE INDEX {quote(name)} ON {self.dialect.table(target)} ({self.dialect.columns(columns)})"

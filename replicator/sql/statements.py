"""SQL text. Identifiers are quoted here and nowhere else; values are always parameters.

Names come from the source's log as untrusted as from a configuration file: quoting is what keeps them names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from replicator.errors import Refused
from replicator.model.schema import Name

TOGETHER = 100


def quote(mark: str, identifier: str) -> str:
    """An identifier between quote marks. Raises Refused for a NUL byte, which no engine can hold."""
    if "\0" in identifier or not identifier:
        raise Refused(f"the name {identifier!r} is empty or has a NUL byte: no statement can carry it")
    return mark + identifier.replace(mark, mark + mark) + mark


@dataclass(frozen=True)
class Dialect:
    """How one engine writes what differs.

    `parameter`: the driver's placeholder. `same`: equality that takes NULL for equal to NULL. `row_ids`: names of
    the hidden column that tells equal rows apart, the first that no column of the table hides.
    """

    quote_mark: str
    parameter: str
    same: str
    schemas: bool
    row_ids: tuple[str, ...] = ()
    or_clause: str = ""
    """What stands behind INSERT and UPDATE, so that no clause of the table itself decides what a conflict does."""

    def quote(self, identifier: str) -> str:
        """An identifier for a statement with this driver's placeholders."""
        quoted = quote(self.quote_mark, identifier)
        return quoted.replace("%", "%%") if self.parameter == "%s" else quoted

    def table(self, name: Name) -> str:
        return f"{self.quote(name.schema)}.{self.quote(name.name)}" if self.schemas else self.quote(name.name)

    def columns(self, names: Iterable[str]) -> str:
        return ", ".join(map(self.quote, names))

    def insert(self, table: Name, columns: Sequence[str]) -> str:
        if not columns:
            return f"INSERT{self.or_clause} INTO {self.table(table)} DEFAULT VALUES"
        markers = ", ".join([self.parameter] * len(columns))
        return f"INSERT{self.or_clause} INTO {self.table(table)} ({self.columns(columns)}) VALUES ({markers})"

    def update(self, table: Name, assigned: Sequence[str], key: Sequence[str]) -> str:
        """Parameters: the assigned values, then the key."""
        return self._set(table, self._assign(assigned or key[:1], not assigned)) + self._where(key)

    def delete(self, table: Name, key: Sequence[str]) -> str:
        return f"DELETE FROM {self.table(table)}{self._where(key)}"

    def select(self, table: Name, columns: Sequence[str], key: Sequence[str]) -> str:
        return f"SELECT {self.columns(columns) or '1'} FROM {self.table(table)}{self._where(key)}"

    def update_one(self, table: Name, assigned: Sequence[str], columns: Sequence[str]) -> str:
        """One of the rows that are equal in all `columns`. Parameters: the assigned values, then the row."""
        return self._set(table, self._assign(assigned)) + self._where_one(table, columns)

    def delete_one(self, table: Name, columns: Sequence[str]) -> str:
        return f"DELETE FROM {self.table(table)}{self._where_one(table, columns)}"

    def empty(self, table: Name) -> str:
        return f"DELETE FROM {self.table(table)}"

    def drop(self, table: Name) -> str:
        return f"DROP TABLE IF EXISTS {self.table(table)}"

    def any_row(self, table: Name) -> str:
        return f"SELECT 1 FROM {self.table(table)} LIMIT 1"

    def _set(self, table: Name, assignments: str) -> str:
        return f"UPDATE{self.or_clause} {self.table(table)} SET {assignments}"

    def _assign(self, names: Sequence[str], to_itself: bool = False) -> str:
        return ", ".join(f"{self.quote(name)} = {self.quote(name) if to_itself else self.parameter}" for name in names)

    def _where(self, key: Sequence[str]) -> str:
        return " WHERE " + " AND ".join(f"{self.quote(name)} = {self.parameter}" for name in key)

    def _where_one(self, table: Name, columns: Sequence[str]) -> str:
        row_id = self.row_id(columns)
        matches = _all([f"{self.quote(name)} {self.same} {self.parameter}" for name in columns])
        where = f" WHERE {matches}" if matches else ""
        return f" WHERE {row_id} = (SELECT {row_id} FROM {self.table(table)}{where} LIMIT 1)"

    def row_id(self, columns: Sequence[str]) -> str:
        hidden = {name.lower() for name in columns}
        for name in self.row_ids:
            if name not in hidden:
                return name
        raise Refused(f"a table without a key has columns named {', '.join(self.row_ids)}: its rows have no number")


def _all(conditions: Sequence[str]) -> str:
    """All of them, in brackets by the hundred: an expression may be only so deep (SQLite: 1000), and each AND is one
    deeper."""
    if len(conditions) <= TOGETHER:
        return " AND ".join(conditions)
    pieces = (conditions[at : at + TOGETHER] for at in range(0, len(conditions), TOGETHER))
    return " AND ".join(f"({' AND '.join(piece)})" for piece in pieces)


def text_literal(value: str) -> str:
    """A string constant, for the few places where a statement takes no parameter (DDL)."""
    if "\0" in value:
        raise Refused("a label or name with a NUL byte cannot stand in a statement")
    return "'" + value.replace("'", "''") + "'"

"""What the applier resolves once for each table, so that it can loop over rows without decisions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from replicator import remedies
from replicator.errors import ValueNotHeld
from replicator.model.compact import named_key
from replicator.model.schema import Table
from replicator.model.stream import Followed
from replicator.model.values import MISSING, Row
from replicator.sql import digest
from replicator.sql.ddl import Encode, StorageOf
from replicator.sql.encoders import Encoder
from replicator.sql.statements import Dialect

EncodedRow = Sequence[Any]


class Plan:
    """A table's statements and encoders at one target."""

    def __init__(self, table: Table, followed: Followed, dialect: Dialect, storage: StorageOf) -> None:
        self.table = table
        self.target = followed.target
        self.names = table.names
        self.key_at = table.key_at
        self.digested = followed.digested
        self.overlaps = followed.settles is not None
        extra = (digest.COLUMN,) if self.digested else ()
        self.stored = (*table.names, *extra)
        """The columns of a row as it is written; a row's digest stands last, in its key too."""
        self.matched = table.key or self.stored
        self._every = tuple(range(len(self.stored)))
        self._every_but_key = tuple(i for i in self._every if i not in self.key_at)
        self._dialect = dialect
        self.storages = [storage(replace(followed, table=table), column) for column in table.columns]
        encoders: list[Encode | None] = [stored.encode for stored in self.storages]
        self._of_row = [(i, encode) for i, encode in enumerate(encoders) if encode is not None]
        self._of_key = [(n, encode) for n, i in enumerate(self.key_at) if (encode := encoders[i]) is not None]
        self.update = functools.cache(self._update)
        self.select = functools.cache(self._select)

    # Statements with parameters, for the engines that use them

    @functools.cached_property
    def insert(self) -> str:
        return self._dialect.insert(self.target, self.stored)

    @functools.cached_property
    def empty(self) -> str:
        return self._dialect.empty(self.target)

    @functools.cached_property
    def delete(self) -> str:
        if self.table.key:
            return self._dialect.delete(self.target, self.table.key)
        return self._dialect.delete_one(self.target, self.matched)

    def _update(self, assigned: tuple[int, ...]) -> str:
        """Parameters: the values of the columns at `assigned`, then the key."""
        names = [self.stored[i] for i in assigned]
        if self.table.key:
            return self._dialect.update(self.target, names, self.table.key)
        return self._dialect.update_one(self.target, names, self.matched)

    def _select(self, columns: tuple[int, ...]) -> str:
        return self._dialect.select(self.target, [self.names[i] for i in columns], self.table.key)

    def assigned(self, row: EncodedRow, moves: bool) -> tuple[int, ...]:
        """Which columns an update sets: those that came, and the key's own only where the key changes."""
        whole = moves or not self.table.key
        if MISSING not in row:
            return self._every if whole else self._every_but_key
        skip = () if whole else self.key_at
        return tuple(i for i, value in enumerate(row) if value is not MISSING and i not in skip)

    def encode_rows(self, rows: list[Row]) -> Sequence[EncodedRow]:
        encoded = _by_column(rows, self._of_row)
        if encoded is None:
            encoded = [self._encode(row, self._of_row, None) for row in rows]
        return self._digest(encoded)

    def unheld(self, rows: list[Row]) -> list[str]:
        """What is wrong with each row that cannot be encoded."""
        try:
            self.encode_rows(rows)
            return []
        except ValueNotHeld as error:
            if len(rows) == 1:
                return [error.what]
        middle = len(rows) // 2
        return self.unheld(rows[:middle]) + self.unheld(rows[middle:])

    def encode_keys(self, keys: list[Row]) -> Sequence[EncodedRow]:
        encoded = _by_column(keys, self._of_key)
        if encoded is None:
            encoded = [self._encode(key, self._of_key, key) for key in keys]
        return self._digest(encoded)

    def _digest(self, rows: Sequence[EncodedRow]) -> Sequence[EncodedRow]:
        return [(*row, digest.of_row(row)) for row in rows] if self.digested else rows

    def _encode(self, row: Row, encoders: list[tuple[int, Encode]], key: Row | None) -> EncodedRow:
        values: list[Any] = list(row)
        for i, encode in encoders:
            value = values[i]
            if value is not None and value is not MISSING:
                try:
                    values[i] = encode(value)
                except ValueError as error:
                    column = self.names[i] if key is None else self.matched[i]
                    raise self._not_held(row if key is None else None, key, column, error) from None
        return values

    def _not_held(self, row: Row | None, key: Row | None, column: str, error: ValueError) -> ValueNotHeld:
        if row is not None:
            key = tuple(row[i] for i in self.key_at)
        where = named_key(self.table, key or ())
        return ValueNotHeld(
            f"{self.table.name}.{column} ({where}): {error}",
            remedy="change the value at the source, or choose a policy: "
            + remedies.section("columns", f"{self.table.name}.{column}"),
        )


def _plain(encode: Encoder, column: Sequence[Any]) -> bool:
    if None in column or MISSING in column:
        column = [value for value in column if value is not None and value is not MISSING]
    return not column or encode.plain(column)


def _by_column(rows: Sequence[Row], encoders: list[tuple[int, Encode]]) -> Sequence[EncodedRow] | None:
    """Each encoder over its whole column; None where one objects, and the row must be found that it objects to."""
    if not encoders or not rows:
        return rows
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    try:
        for i, encode in encoders:
            if not (isinstance(encode, Encoder) and _plain(encode, columns[i])):
                columns[i] = [value if value is None or value is MISSING else encode(value) for value in columns[i]]
    except ValueError:
        return None
    return list(zip(*columns, strict=True))

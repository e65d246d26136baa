"""Tables and their columns, as one version of a source's schema has them."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import NamedTuple

from replicator.model.datatypes import DataType


class Name(NamedTuple):
    """A table's name: its schema (on MySQL the database, on SQLite `main`) and its own, both exact."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Constant:
    """A default that is always the same. `text`: as the source writes a value of the column; None for NULL."""

    text: str | None


@dataclass(frozen=True)
class Column:
    """A column that is copied and followed.

    `native` pins the source's own type (for PostgreSQL: type OID and modifier), so that a change of it is noticed
    whatever it maps to; `native_name` is how the source writes it. `number` is the source's own for the column, which
    a column that is dropped and added again does not keep; 0 where the source has none. `default`: what a column gets
    that an insert in the log lacks; None where that is not known, or not always the same. `collation`: the source's,
    where it is one of the column's own.
    """

    name: str
    type: DataType
    nullable: bool
    native: str
    native_name: str
    number: int = 0
    default: Constant | None = None
    collation: str = ""


@dataclass(frozen=True)
class UniqueIndex:
    """A unique index over whole columns without a condition: it can be made anywhere."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Table:
    """One version of a table's schema, compared by identity.

    `key` names the columns by which a row is found at the target: the replica identity. It is empty where the whole
    row is the key. `id` is the source's own number for the table (PostgreSQL: the OID), which survives a rename.
    `left_out`: columns that it has at the source, and that are neither copied nor followed, where a log may name them.
    """

    name: Name
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    id: str
    uniques: tuple[UniqueIndex, ...] = field(default=())
    left_out: tuple[str, ...] = ()

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @functools.cached_property
    def key_at(self) -> tuple[int, ...]:
        """Where the key's columns stand in a row; every column, in order, where the table has no key."""
        if not self.key:
            return tuple(range(len(self.columns)))
        return tuple(self.names.index(name) for name in self.key)

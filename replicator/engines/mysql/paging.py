"""A table's rows in the order of its key: what is selected, and where the next chunk begins."""

from __future__ import annotations

from collections.abc import Sequence

from replicator.engines.mysql.names import quote, quote_table
from replicator.engines.mysql.types import native_charset
from replicator.engines.mysql.values import expression
from replicator.model.datatypes import (
    Bits,
    Bytes,
    Decimal,
    Enum,
    Float,
    Integer,
    LabelSet,
    Text,
)
from replicator.model.schema import Column, Table

RawRow = Sequence[bytes | None]


def select(table: Table) -> str:
    return "SELECT " + (", ".join(expression(column, quote(column.name)) for column in table.columns) or "1")


class Paging:
    """Chunks by `key > cursor ORDER BY key`: a scan of the key's index.

    Behind the columns stand the key's own values as the server orders them: labels by their number, for one. A cursor
    holds these, in hexadecimal.
    """

    def __init__(self, table: Table) -> None:
        self._columns = [table.columns[at] for at in table.key_at]
        self.key = ", ".join(quote(column.name) for column in self._columns)
        ordered = ", ".join(_ordered(column) for column in self._columns)
        self.select = f"{select(table)}, {ordered} FROM {quote_table(table.name)}"

    def cursor(self, row: RawRow) -> tuple[str, ...]:
        return tuple((value or b"").hex() for value in row[-len(self._columns) :])

    def after(self, cursor: Sequence[str]) -> str:
        """The rows whose key comes after these values. The first condition alone lets the index be used."""
        names = [_compared(column) for column in self._columns]
        values = [_literal(column, bytes.fromhex(value)) for column, value in zip(self._columns, cursor, strict=True)]
        later = [
            " AND ".join(
                [*(f"{names[before]} = {values[before]}" for before in range(at)), f"{names[at]} > {values[at]}"]
            )
            for at in range(len(names))
        ]
        return f"{names[0]} >= {values[0]} AND ({' OR '.join(f'({each})' for each in later)})"


def _compared(column: Column) -> str:
    """A label is compared by its number, which ORDER BY goes by; its text would be compared as text."""
    name = quote(column.name)
    return f"{name} + 0" if isinstance(column.type, Enum | LabelSet) else name


def _ordered(column: Column) -> str:
    name = quote(column.name)
    if isinstance(column.type, Enum | LabelSet | Bits):
        return f"{name} + 0"
    if isinstance(column.type, Text):
        return f"CAST({name} AS BINARY)"  # in its own character set, whatever another one makes of it
    return f"{name} * 1e0" if isinstance(column.type, Float) else name


def _literal(column: Column, value: bytes) -> str:
    match column.type:
        case Integer() | Decimal() | Float() | Enum() | LabelSet() | Bits():
            return value.decode("ascii")
        case Bytes():
            return f"x'{value.hex()}'"
        case Text():
            return f"_{native_charset(column.native)} x'{value.hex()}'"
    return "'" + value.decode("ascii").replace("'", "''") + "'"

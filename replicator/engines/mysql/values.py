"""Values from the text of a SELECT: the same as a row image gives for the same row.

The session has `time_zone = '+00:00'` and `character_set_results = utf8mb4`, and selects what `expression` says.
"""

from __future__ import annotations

from collections.abc import Callable

from replicator.engines.mysql import numerals, strings
from replicator.engines.mysql.charsets import decoder
from replicator.model.datatypes import (
    Bits,
    Bytes,
    Date,
    Decimal,
    Duration,
    Enum,
    Float,
    Integer,
    Json,
    LabelSet,
    Spatial,
    Text,
    Textual,
    Timestamp,
    Uuid,
    Vector,
)
from replicator.model.schema import Column
from replicator.model.values import Value

_CONVERTED = frozenset(["utf8mb4", "utf8mb3", "utf8", "ascii", "latin1", ""])
"""Character sets of whose text the server loses nothing."""

FromText = Callable[[bytes], Value]


def expression(column: Column, quoted: str) -> str:
    """What to select for a column, whose quoted name is given.

    The plain text of a FLOAT is rounded to six digits, and that of FLOAT(m, d) and DOUBLE(m, d) to `d` decimals. The
    server converts what is no character in Unicode to a question mark: text is taken as the bytes that it is.
    """
    if isinstance(column.type, Float):
        return f"{quoted} * 1e0"
    return f"CAST({quoted} AS BINARY)" if _charset(column) else quoted


def _charset(column: Column) -> str | None:
    """The character set whose text we decode ourselves."""
    charset = column.native.rpartition("|")[2]
    return None if charset in _CONVERTED or not isinstance(column.type, Text) else charset


def from_text(column: Column) -> FromText:
    """What turns the text of a column's value into the canonical value; it raises ValueError for what is none."""
    kind = column.type
    match kind:
        case Integer():
            return int
        case Decimal():
            return _decimal
        case Float():
            return _single if kind.bits == 32 else float
        case Timestamp():
            return _instant if kind.zoned else _cut
        case Duration():
            return _cut
        case Bits():
            return _bits(kind.length or 1)
        case Bytes():
            return strings.plain
        case Vector():
            return strings.vector
        case Spatial():
            return strings.geometry
        case Text() if charset := _charset(column):
            return decoder(charset)
        case Text() | Date() | Enum() | LabelSet() | Json() | Textual() | Uuid():
            return bytes.decode
    raise ValueError(f"column {column.name} is of no type that a MySQL or MariaDB has")


def from_default(column: Column, text: str) -> Value:
    """The canonical value of a constant default, as the catalog pinned it: no text is in the column's character set
    there, and bits are their digits. It raises ValueError for what is none."""
    kind = column.type
    if isinstance(kind, Text):
        return text
    if isinstance(kind, Bits):
        number = int(text, 2)
        return numerals.bits_text(number.to_bytes((number.bit_length() + 7) // 8, "big"), kind.length or 1)
    return from_text(column)(text.encode())


def _decimal(text: bytes) -> str:
    """Without the zeros that ZEROFILL puts in front."""
    digits = text.decode("ascii")
    if digits[0] != "0" or len(digits) == 1:
        return digits
    digits = digits.lstrip("0")
    return digits if digits[:1].isdigit() else f"0{digits}"


def _single(text: bytes) -> float:
    return numerals.single_of(float(text))


def _cut(text: bytes) -> str:
    """Without zeros at the end of the second's fraction."""
    moment = text.decode("ascii")
    return moment.rstrip("0").rstrip(".") if "." in moment else moment


def _instant(text: bytes) -> str:
    return f"{_cut(text)}+00"


def _bits(count: int) -> FromText:
    return lambda raw: numerals.bits_text(raw, count)

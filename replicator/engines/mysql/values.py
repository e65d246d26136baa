"""Values from the text of a SELECT: the same as a row image gives for the same row.

The session has `time_zone = '+00:00'` and `character_set_results = utf8mb4`, and selects what `expression` says.
"""

from __future__ import annotations

from collections.abc import Callable

from replicator.engines.mysql import numerals, strings
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

FromText = Callable[[bytes], Value]


def expression(column: Column, quoted: str) -> str:
    """What to select for a column, whose quoted name is given.

    The plain text of a FLOAT is rounded to six digits, and that of FLOAT(m, d) and DOUBLE(m, d) to `d` decimals.
    """
    return f"{quoted} * 1e0" if isinstance(column.type, Float) else quoted


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
        case Text() | Date() | Enum() | LabelSet() | Json() | Textual() | Uuid():
            return bytes.decode
    raise ValueError(f"column {column.name} is of no type that a MySQL or MariaDB has")


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

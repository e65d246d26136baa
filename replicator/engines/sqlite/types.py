"""What SQLite stores for each canonical type (STRICT tables: INTEGER, REAL, TEXT, BLOB).

Values that SQLite would change are refused by the encoders: NaN (stored as NULL) and negative zero (stored as 0.0).
Timestamps with a zone get a `Z` in place of `+00`, since SQLite's date functions accept it. Arrays and hstore become
JSON. See https://www.sqlite.org/stricttables.html and https://www.sqlite.org/datatype3.html.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import assert_never

from replicator.engines.sqlite import declared
from replicator.errors import Refused
from replicator.model.datatypes import (
    Array,
    Bits,
    Boolean,
    Bytes,
    DataType,
    Date,
    Decimal,
    Duration,
    Enum,
    Float,
    Integer,
    Interval,
    Json,
    LabelSet,
    Mapping,
    Spatial,
    Text,
    Textual,
    Time,
    Timestamp,
    Uuid,
    Vector,
)
from replicator.model.nested import array_to_json, mapping_to_json
from replicator.model.schema import Column
from replicator.model.stream import Followed
from replicator.model.values import Value
from replicator.sql.ddl import Encode, Storage
from replicator.sql.statements import text_literal

POLICIES = {"as": frozenset(("text",)), "nan": frozenset(("null",)), "negative_zero": frozenset(("zero",))}


def storage(followed: Followed, column: Column) -> Storage:
    """The storage of a column, by its type and the policies chosen for it.

    `as = "text"`: the canonical text, for any type but bytes. `nan = "null"` and `negative_zero = "zero"`: for
    floating-point columns. Raises Refused for a policy that the column's type does not have. A column from SQLite is
    declared as it is there, has no policies, and takes every value as it is.
    """
    kind, policies = column.type, followed.chosen(column.name)
    own = declared.split(column.native)
    allowed = {"nan", "negative_zero", "as"} if isinstance(kind, Float) else {"as"}
    if isinstance(kind, Bytes | Vector) or own:
        allowed = set()
    for policy in policies:
        if policy not in allowed:
            raise Refused(
                f"column {column.name} ({column.native_name}) has no policy {policy!r}",
                remedy="it may have " + (", ".join(sorted(allowed)) or "none"),
            )
    if own:
        return _as_declared(column, *own)
    if policies.get("as") == "text":
        return Storage("TEXT", None, _canonical_text)
    return by_type(kind, policies)


def _as_declared(column: Column, text: str, strict: bool) -> Storage:
    try:
        return Storage(declared.written(text), strict=strict)
    except Refused as error:
        raise Refused(f"column {column.name}: {error.what}", remedy=error.remedy) from None


def by_type(kind: DataType, policies: dict[str, str]) -> Storage:
    match kind:
        case Boolean():
            return Storage("INTEGER", _one_of(("0", "1")))
        case Integer(bits=bits, signed=signed):
            return Storage("INTEGER", None, _integer if bits > 63 and not signed else None)
        case Float():
            return Storage("REAL", None, _float("nan" in policies, "negative_zero" in policies))
        case Bytes() | Vector():
            return Storage("BLOB")
        case Bits(number=True):
            return Storage("INTEGER", None, _number_of_bits)
        case Spatial():
            return Storage("BLOB", None, _hex)
        case Timestamp(zoned=True):
            return Storage("TEXT", None, _utc)
        case Enum(labels=labels):
            return Storage("TEXT", _one_of(map(text_literal, labels)))
        case Array():
            return Storage("TEXT", None, _array(kind))
        case Mapping():
            return Storage("TEXT", None, _mapping)
        case Decimal() | Text() | Uuid() | Json() | Bits() | Textual() | LabelSet():
            return Storage("TEXT")
        case Date() | Time() | Timestamp() | Interval() | Duration():
            return Storage("TEXT")
        case _:
            assert_never(kind)


def _one_of(literals: Iterable[str]) -> Callable[[str], str]:
    listed = ", ".join(literals)
    return lambda column: f"{column} IN ({listed})"


def _canonical_text(value: Value) -> Value:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    return value if isinstance(value, str) else str(value)


def _integer(value: Value) -> Value:
    if isinstance(value, int) and value > 2**63 - 1:
        raise ValueError('larger than SQLite\'s INTEGER can hold (policy as = "text")')
    return value


def _number_of_bits(value: Value) -> Value:
    assert isinstance(value, str)
    return _integer(int(value, 2))


def _float(nan_is_null: bool, negative_zero_is_zero: bool) -> Encode:
    def encode(value: Value) -> Value:
        if value == 0.0:
            if not negative_zero_is_zero and isinstance(value, float) and math.copysign(1.0, value) < 0:
                raise ValueError('SQLite stores negative zero as 0.0 (policies negative_zero = "zero", as = "text")')
            return 0.0
        if value != value:
            if not nan_is_null:
                raise ValueError('SQLite stores NaN as NULL (policies nan = "null", as = "text")')
            return None
        return value

    return encode


def _hex(value: Value) -> Value:
    assert isinstance(value, str)
    return bytes.fromhex(value)


def _utc(value: Value) -> Value:
    assert isinstance(value, str)
    if value.endswith("+00"):
        return value[:-3] + "Z"
    if value.endswith("+00 BC"):
        return value[:-6] + "Z BC"
    if value in ("infinity", "-infinity"):
        return value
    raise ValueError("a timestamp that is not in UTC")


def element_text(kind: DataType, text: str) -> str:
    """The SQLite form of an array's element, from its canonical text."""
    match kind:
        case Timestamp(zoned=True):
            return str(_utc(text))
        case Mapping():
            return mapping_to_json(text)
        case _:
            return text


def _array(kind: Array) -> Encode:
    def encode(value: Value) -> Value:
        assert isinstance(value, str)
        return array_to_json(value, kind, element_text)

    return encode


def _mapping(value: Value) -> Value:
    assert isinstance(value, str)
    return mapping_to_json(value)

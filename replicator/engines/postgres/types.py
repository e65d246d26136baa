"""PostgreSQL's types as canonical types, and their text as canonical values.

A type that is not listed here is refused, unless the user chose `as = "text"` for the column: its text is then
copied as it is.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from replicator.model.datatypes import (
    Array,
    Bits,
    Boolean,
    Bytes,
    DataType,
    Date,
    Decimal,
    Enum,
    Float,
    Integer,
    Interval,
    Json,
    Spatial,
    Text,
    Textual,
    Time,
    Timestamp,
    Uuid,
)
from replicator.model.datatypes import Mapping as HstoreMapping
from replicator.model.schema import Column

MONEY = "money"
_MONEYS = (MONEY, f"{MONEY}[]")
_AMOUNT = re.compile(r'"?(-?)\$([\d,]+\.\d\d)"?')

_PLAIN: dict[str, DataType] = {
    "bool": Boolean(),
    "int2": Integer(16),
    "int4": Integer(32),
    "int8": Integer(64),
    "oid": Integer(32, signed=False),
    "xid": Integer(32, signed=False),
    "cid": Integer(32, signed=False),
    "float4": Float(32),
    "float8": Float(64),
    MONEY: Decimal(19, 2),
    "text": Text(),
    "name": Text(63),
    "char": Text(1),
    "bytea": Bytes(),
    "date": Date(),
    "time": Time(),
    "timetz": Time(zoned=True),
    "timestamp": Timestamp(),
    "timestamptz": Timestamp(zoned=True),
    "interval": Interval(),
    "uuid": Uuid(),
    "json": Json(),
    "jsonb": Json(binary=True),
}
_TEXTUAL = frozenset(
    [
        "xml",
        "tsvector",
        "tsquery",
        "inet",
        "cidr",
        "macaddr",
        "macaddr8",
        "point",
        "line",
        "lseg",
        "box",
        "path",
        "polygon",
        "circle",
        "pg_lsn",
        "jsonpath",
        "xid8",
        "tid",
        "pg_snapshot",
        "txid_snapshot",
        "int2vector",
        "oidvector",
    ]
)
_EXTENSIONS: dict[str, dict[str, DataType]] = {
    "citext": {"citext": Text()},
    "hstore": {"hstore": HstoreMapping()},
    "ltree": {name: Textual(name) for name in ("ltree", "lquery", "ltxtquery")},
    "cube": {"cube": Textual("cube")},
    "seg": {"seg": Textual("seg")},
    "isn": {name: Textual(name) for name in ("ean13", "isbn", "isbn13", "ismn", "ismn13", "issn", "issn13", "upc")},
    "postgis": {name: Spatial(name) for name in ("geometry", "geography")},
    "vector": {name: Textual(name) for name in ("vector", "halfvec", "sparsevec")},
}

EXAMPLES: dict[str, DataType] = {
    **{name: kind for name, kind in _PLAIN.items() if name not in ("name", "char", "money")},
    "numeric(10,2)": Decimal(10, 2),
    "numeric": Decimal(),
    MONEY: _PLAIN[MONEY],
    "varchar(20)": Text(20),
    "char(20)": Text(20, fixed=True),
    "bit(8)": Bits(8),
    "varbit": Bits(None, varying=True),
    "an enum": Enum("mood", ("sad", "ok")),
    "int4[]": Array(Integer(32)),
    "a range": Textual("int4range"),
    "a composite type": Textual("public.pair"),
    "inet": Textual("inet"),
    "xml": Textual("xml"),
    "hstore": HstoreMapping(),
    "geometry": Spatial("geometry"),
    "vector": Textual("vector"),
}
"""For the documentation: types as they are written, and what other engines take them for."""


@dataclass(frozen=True)
class PgType:
    """A row of pg_type. `kind` is `typtype`; `labels` an enum's; `extension` the one that it belongs to."""

    oid: int
    schema: str
    name: str
    kind: str
    element: int
    base: int
    base_modifier: int
    subscript: bool
    delimiter: str
    extension: str | None
    labels: Sequence[str]


def canonical(oid: int, modifier: int, types: Mapping[int, PgType]) -> DataType | None:
    """The canonical type of a column, None for one that we do not know. A domain is its base type."""
    kind = types[oid]
    if kind.kind == "d":
        return canonical(kind.base, kind.base_modifier if modifier == -1 else modifier, types)
    if kind.kind == "e":
        return Enum(kind.name, tuple(kind.labels))
    if kind.kind in ("r", "m"):
        return Textual(kind.name)
    if kind.kind == "c":
        return Textual(f"{kind.schema}.{kind.name}")
    if kind.extension is not None:
        return _EXTENSIONS.get(kind.extension, {}).get(kind.name)
    if kind.schema != "pg_catalog":
        return _array(kind, modifier, types)
    if kind.name == "numeric":
        return _numeric(modifier)
    if kind.name in ("varchar", "bpchar"):
        return Text(modifier - 4 if modifier >= 4 else None, fixed=kind.name == "bpchar")
    if kind.name in ("bit", "varbit"):
        return Bits(modifier if modifier >= 0 else None, varying=kind.name == "varbit")
    if kind.name in _TEXTUAL:
        return Textual(kind.name)
    return _PLAIN.get(kind.name) or _array(kind, modifier, types)


def _array(kind: PgType, modifier: int, types: Mapping[int, PgType]) -> DataType | None:
    if not kind.subscript:
        return None
    element = types[kind.element]
    money = money_name(element.oid, types) is not None
    inner: DataType | None = Textual(MONEY) if money else canonical(element.oid, modifier, types)
    return None if inner is None else Array(inner, element.delimiter)


def money_name(oid: int, types: Mapping[int, PgType]) -> str | None:
    """`money` or `money[]` where a type is one, also under domains: its text is read in a way of its own."""
    kind = types[oid]
    if kind.kind == "d":
        return money_name(kind.base, types)
    if kind.subscript:
        return None if money_name(kind.element, types) is None else f"{MONEY}[]"
    return MONEY if kind.schema == "pg_catalog" and kind.name == MONEY else None


def _numeric(modifier: int) -> Decimal:
    """By make_numeric_typmod in src/backend/utils/adt/numeric.c: ((precision << 16) | (scale & 0x7ff)) + 4."""
    if modifier < 4:
        return Decimal()
    packed = modifier - 4
    scale = packed & 0x7FF
    return Decimal((packed >> 16) & 0xFFFF, scale - 0x800 if scale & 0x400 else scale)


FromBytes = Callable[[bytes], Any]
FromText = Callable[[str], Any]


def from_bytes(column: Column) -> FromBytes:
    """What makes a canonical value of the bytes of a text-format column in the stream."""
    match column.type:
        case Boolean():
            return b"t".__eq__
        case Integer():
            return int
        case Float():
            return float
        case Bytes():
            return _bytea
        case Decimal() | Array() if column.native_name in _MONEYS:
            return lambda data: _money(data.decode())
        case _:
            return bytes.decode


def from_text(column: Column) -> FromText | None:
    """The same for a field of COPY's text format, already without its escapes; None where it stays as it is."""
    match column.type:
        case Boolean():
            return "t".__eq__
        case Integer():
            return int
        case Float():
            return float
        case Bytes():
            return lambda text: _bytea(text.encode())
        case Decimal() | Array() if column.native_name in _MONEYS:
            return _money
        case _:
            return None


def _bytea(data: bytes) -> bytes:
    if data[:2] != b"\\x":
        raise ValueError("bytea that is not in hexadecimal")
    return unhexlify(data[2:])


def _money(text: str) -> str:
    """`-$1,234.50` under lc_monetary=C, as `-1234.50`; each element of an array likewise."""
    return _AMOUNT.sub(lambda amount: amount.group(1) + amount.group(2).replace(",", ""), text)

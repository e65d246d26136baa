"""Columns of MySQL and MariaDB at such a target: their own types, written anew from their parts.

https://dev.mysql.com/doc/refman/9.7/en/create-table.html. What a column is declared as at the source is never run as it
came: its words are known ones, its numbers numbers, its labels quoted.
"""

from __future__ import annotations

import re

from replicator.engines.mysql import encoders
from replicator.engines.mysql.flavor import Flavor
from replicator.engines.mysql.forms import LONGEST
from replicator.engines.mysql.storage import Dialect, Form
from replicator.engines.mysql.types import SPATIAL, Declared, canonical, declared, native_charset, native_type
from replicator.model.datatypes import (
    Bits,
    Bytes,
    DataType,
    Date,
    Decimal,
    Duration,
    Enum,
    Float,
    Json,
    LabelSet,
    Spatial,
    Text,
    Timestamp,
    Vector,
)
from replicator.model.schema import Column
from replicator.sql import encoders as shared
from replicator.sql.ddl import Encode
from replicator.sql.statements import text_literal

_SIZED = frozenset(
    ("char", "varchar", "binary", "varbinary", "bit", "decimal", "time", "datetime", "timestamp", "vector")
)
_PLAIN = frozenset(
    re.findall(
        r"\w+",
        "tinyint smallint mediumint int bigint float double date year tinytext text mediumtext longtext tinyblob blob "
        "mediumblob longblob json inet4 inet6 uuid",
    )
)
_LABELLED = frozenset(("enum", "set"))
_COLLATION = re.compile(r"[a-z0-9_]+")
_OTHERWISE = {"geomcollection": "geometrycollection"}


def own(column: Column) -> Declared | None:
    """The column's type at its source, if that is MySQL or MariaDB."""
    if "|" not in column.native or canonical(native_type(column.native)) != column.type:
        return None
    return declared(native_type(column.native))


def form(column: Column, found: Declared, there: Dialect, collations: frozenset[str]) -> Form | None:
    """The column's own type at this target; None where the target has it not.

    `collations`: those that the target has. Of another one the column is compared by its bytes.
    """
    written = _written(column, found, there, collations)
    if written is None:
        return None
    kind = column.type
    if isinstance(kind, Timestamp) and found.word == "timestamp":
        # Without the word, an old setting makes the column NOT NULL.
        written += " NULL" if column.nullable else ""
    return Form(
        written,
        kind,
        _encode(column, found, there.flavor),
        width=_width(column, found),
        key_bytes=_bytes(column, found),
    )


def _written(column: Column, found: Declared, there: Dialect, collations: frozenset[str]) -> str | None:
    word = found.word
    if word in SPATIAL:
        return word if word not in _OTHERWISE or there.has(word) else _OTHERWISE[word]
    if word == "json" and there.flavor.json_is_text:
        return word
    if word in there.flavor.own_types or word in ("inet4", "inet6", "uuid", "vector", "json"):
        if not there.has(word):
            return None
        return f"{word}({found.numbers[0]})" if found.inside else word
    collated = _collated(column, there, collations)
    if word in _LABELLED:
        return f"{word}({', '.join(map(text_literal, found.labels))}){collated}"
    if word in _SIZED:
        size = f"({','.join(map(str, found.numbers))})" if found.inside else ""
        return f"{word}{size}{' unsigned' if found.unsigned else ''}{collated}"
    if word in _PLAIN:
        one = "(1)" if word == "tinyint" and found.inside == "1" else ""
        return f"{word}{one}{' unsigned' if found.unsigned else ''}{collated}"
    return None


def _collated(column: Column, there: Dialect, collations: frozenset[str]) -> str:
    charset = native_charset(column.native)
    if not charset or not isinstance(column.type, Text | Enum | LabelSet):
        return ""
    charset = {"utf8": "utf8mb3"}.get(charset, charset)
    if not _COLLATION.fullmatch(charset):
        return ""
    collation = column.collation if column.collation in collations else _exact(charset, there)
    return f" CHARACTER SET {charset} COLLATE {collation}"


def _exact(charset: str, there: Dialect) -> str:
    if charset == "utf8mb4":
        return there.flavor.exact_collation
    return f"{charset}_bin"


def _encode(column: Column, found: Declared, flavor: Flavor) -> Encode | None:
    """What the server would change without a word is refused; what it refuses itself is left to it."""
    kind: DataType = column.type
    match kind:
        case Bits():
            return encoders.bits_as_number
        case Float(bits=bits):
            return encoders.real(bits, signed_zero=flavor.signed_zero, nan=None, negative_zero=None)
        case Date():
            return encoders.date(own=True)
        case Timestamp(zoned=zoned, precision=p):
            return encoders.timestamp(zoned, p, own=True)
        case Duration(precision=p):
            return encoders.time(p)
        case Enum():
            return shared.one_of(found.labels)
        case Spatial():
            return encoders.geometry
        case Json():
            return encoders.document(as_text_there=flavor.json_is_text, doubles=False)
        case Decimal(precision=precision, scale=scale):
            return shared.number(precision, scale)
        case Vector() | Bytes():
            return encoders.binary(None)
        case _:
            return None


def _bytes(column: Column, found: Declared) -> int | None:
    """The most bytes of a value that stands in the row itself; None for one of any length."""
    match column.type:
        case Text(length=length) if length is not None:
            return length * LONGEST.get(native_charset(column.native), 1)
        case Bytes() if found.word in ("binary", "varbinary"):
            return found.numbers[0] if found.inside else 1
        case Text() | Bytes() | Json() | Spatial() | Vector():
            return None
    return 8


def _width(column: Column, found: Declared) -> int:
    size = _bytes(column, found)
    return 12 if size is None else size + 2

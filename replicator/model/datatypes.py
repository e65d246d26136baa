"""The canonical column types: a closed union, so that the type checker names every place that a new one touches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Boolean:
    kind: Literal["boolean"] = "boolean"


@dataclass(frozen=True)
class Integer:
    """A whole number of `bits` bits."""

    bits: int
    signed: bool = True
    kind: Literal["integer"] = "integer"


@dataclass(frozen=True)
class Decimal:
    """An exact decimal number; without a precision, of any length, and then also NaN and Infinity."""

    precision: int | None = None
    scale: int | None = None
    kind: Literal["decimal"] = "decimal"


@dataclass(frozen=True)
class Float:
    """IEEE 754, 32 or 64 bits."""

    bits: int
    kind: Literal["float"] = "float"


@dataclass(frozen=True)
class Text:
    """Characters; `length` counts characters, `fixed` means padded with spaces to it."""

    length: int | None = None
    fixed: bool = False
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class Bytes:
    kind: Literal["bytes"] = "bytes"


@dataclass(frozen=True)
class Date:
    kind: Literal["date"] = "date"


@dataclass(frozen=True)
class Time:
    """A time of day. `precision`: digits of the second's fraction, None for as many as the source keeps."""

    zoned: bool = False
    precision: int | None = None
    kind: Literal["time"] = "time"


@dataclass(frozen=True)
class Timestamp:
    """`zoned`: an instant, written in UTC. Otherwise a reading of a clock somewhere.

    `precision`: digits of the second's fraction, None for as many as the source keeps; the text ends in no zeros.
    """

    zoned: bool = False
    precision: int | None = None
    kind: Literal["timestamp"] = "timestamp"


@dataclass(frozen=True)
class Interval:
    kind: Literal["interval"] = "interval"


@dataclass(frozen=True)
class Duration:
    """Hours, minutes and seconds, also negative and of more than a day: `-838:59:59.5` (MySQL's TIME)."""

    precision: int | None = None
    kind: Literal["duration"] = "duration"


@dataclass(frozen=True)
class Uuid:
    kind: Literal["uuid"] = "uuid"


@dataclass(frozen=True)
class Json:
    """`binary`: the source keeps the value (jsonb); otherwise its very text."""

    binary: bool = False
    kind: Literal["json"] = "json"


@dataclass(frozen=True)
class Enum:
    """One of `labels`, by label."""

    name: str
    labels: tuple[str, ...]
    kind: Literal["enum"] = "enum"


@dataclass(frozen=True)
class Array:
    """Any number of dimensions of one element type, as PostgreSQL writes them: `{1,NULL,"a b"}`.

    `delimiter` stands between the elements (`;` for boxes).
    """

    element: DataType
    delimiter: str = ","
    kind: Literal["array"] = "array"


@dataclass(frozen=True)
class LabelSet:
    """Any of `labels`, which have no commas in them: those that are there, in this order, with commas between them."""

    labels: tuple[str, ...]
    kind: Literal["set"] = "set"


@dataclass(frozen=True)
class Bits:
    """As text: `0101`. `number`: a number of at most 64 bits to its source, not a string of them."""

    length: int | None = None
    varying: bool = False
    number: bool = False
    kind: Literal["bits"] = "bits"


@dataclass(frozen=True)
class Mapping:
    """Text to text or NULL, as hstore writes it: `"a"=>"1", "b"=>NULL`."""

    kind: Literal["mapping"] = "mapping"


@dataclass(frozen=True)
class Spatial:
    """Geometry or geography, as hexadecimal EWKB (https://postgis.net/docs/ST_AsEWKB.html)."""

    name: str
    kind: Literal["spatial"] = "spatial"


@dataclass(frozen=True)
class Vector:
    """Numbers of 32 bits, IEEE 754, as bytes: each of four, little-endian."""

    dimensions: int | None = None
    kind: Literal["vector"] = "vector"


@dataclass(frozen=True)
class Textual:
    """A type whose exact form elsewhere is its own text: ranges, network addresses, xml, composites, ..."""

    name: str
    kind: Literal["textual"] = "textual"


DataType = (
    Boolean
    | Integer
    | Decimal
    | Float
    | Text
    | Bytes
    | Date
    | Time
    | Timestamp
    | Interval
    | Duration
    | Uuid
    | Json
    | Enum
    | LabelSet
    | Array
    | Bits
    | Mapping
    | Spatial
    | Vector
    | Textual
)

"""What MySQL's and MariaDB's column types are here.

`Column.native` of a column from these servers is `<COLUMN_TYPE>|<character set>`, both as information_schema.COLUMNS
has them: with it a change of length, sign, labels or character set is noticed, whatever the column maps to.
https://dev.mysql.com/doc/refman/9.7/en/data-types.html, https://mariadb.com/kb/en/data-types/
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from replicator.engines.mysql.forms import labels
from replicator.model.datatypes import (
    Bits,
    Bytes,
    DataType,
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

_SHAPE = re.compile(r"(?P<word>[a-z0-9_]+)(?:\((?P<inside>.*)\))?(?P<rest>[^()]*)", re.DOTALL)
_INTEGERS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "integer": 32, "bigint": 64}
_TEXTS = frozenset(("tinytext", "text", "mediumtext", "longtext"))
_BLOBS = frozenset(("tinyblob", "blob", "mediumblob", "longblob", "binary", "varbinary"))
SPATIAL = frozenset(
    re.findall(
        r"\w+",
        "geometry point linestring polygon multipoint multilinestring multipolygon geometrycollection geomcollection",
    )
)


@dataclass(frozen=True)
class Declared:
    """A COLUMN_TYPE in its parts: `decimal(5,2) unsigned` is `decimal`, `5,2` and `unsigned`."""

    word: str
    inside: str
    unsigned: bool
    compressed: bool

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(each) for each in self.inside.split(",")) if self.inside else ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Of an ENUM or a SET, as information_schema quotes them."""
        return labels(self.inside)


def declared(column_type: str) -> Declared:
    """Raises ValueError for a text that is no COLUMN_TYPE."""
    match = _SHAPE.fullmatch(column_type.strip())
    if match is None:
        raise ValueError(column_type)
    rest = match["rest"].lower()
    return Declared(match["word"], match["inside"] or "", "unsigned" in rest, "compressed" in rest)


def canonical(column_type: str) -> DataType | None:
    """None for a type that we do not know."""
    try:
        found = declared(column_type)
        return None if found.compressed else _KINDS[found.word](found)
    except (KeyError, ValueError, IndexError):
        return None


def native(column_type: str, charset: str | None) -> str:
    return f"{column_type}|{charset or ''}"


def native_type(native: str) -> str:
    """The COLUMN_TYPE in a `Column.native`."""
    return native.rpartition("|")[0]


def native_charset(native: str) -> str:
    return native.rpartition("|")[2]


def _fraction(found: Declared) -> int:
    return found.numbers[0] if found.inside else 0


def _integer(bits: int, found: Declared) -> DataType:
    return Integer(bits, not found.unsigned)


def _decimal(found: Declared) -> DataType:
    precision, scale = found.numbers
    return Decimal(precision, scale)


_KINDS: dict[str, Callable[[Declared], DataType]] = {
    **{word: functools.partial(_integer, bits) for word, bits in _INTEGERS.items()},
    **{word: (lambda found: Text()) for word in _TEXTS},
    **{word: (lambda found: Bytes()) for word in _BLOBS},
    **{word: (lambda found: Spatial("geometry")) for word in SPATIAL},
    "decimal": _decimal,
    "float": lambda found: Float(32),
    "double": lambda found: Float(64),
    "bit": lambda found: Bits(found.numbers[0], number=True),
    "year": lambda found: Integer(16),
    "date": lambda found: Date(),
    "datetime": lambda found: Timestamp(precision=_fraction(found)),
    "timestamp": lambda found: Timestamp(zoned=True, precision=_fraction(found)),
    "time": lambda found: Duration(_fraction(found)),
    "char": lambda found: Text(found.numbers[0]),
    "varchar": lambda found: Text(found.numbers[0]),
    "json": lambda found: Json(binary=True),
    "enum": lambda found: Enum("enum", _with_error_member(found.labels)),
    "set": lambda found: LabelSet(found.labels),
    "vector": lambda found: Vector(found.numbers[0]),
    "inet4": lambda found: Textual("inet4"),
    "inet6": lambda found: Textual("inet6"),
    "uuid": lambda found: Uuid(),
}


EXAMPLES = (
    *("tinyint", "tinyint unsigned", "tinyint(1)", "smallint", "smallint unsigned", "mediumint", "mediumint unsigned"),
    *(
        "int",
        "int unsigned",
        "bigint",
        "bigint unsigned",
        "decimal(10,2)",
        "float",
        "double",
        "bit(1)",
        "bit(8)",
        "year",
    ),
    *("date", "datetime", "datetime(6)", "timestamp", "timestamp(3)", "time", "time(3)", "char(20)", "varchar(20)"),
    *("text", "binary(16)", "varbinary(16)", "blob", "json", "enum('a','b')", "set('a','b')", "geometry", "vector(3)"),
    *("inet4", "inet6", "uuid"),
)
"""One of each, for the reference."""


def _with_error_member(labels: tuple[str, ...]) -> tuple[str, ...]:
    """An ENUM may hold '' for a value that was none of its labels, whether it has that label or not."""
    return labels if "" in labels else (*labels, "")

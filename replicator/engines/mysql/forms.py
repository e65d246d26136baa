"""Whether a column of the log still has the type that was agreed to.

A pinned column's `native` is `COLUMN_TYPE|CHARACTER_SET_NAME` of information_schema.COLUMNS, with nothing behind the
bar where there is no character set: `varchar(20)|utf8mb4`, `int(10) unsigned|`. It and a WireColumn are brought to one
form. What a log does not carry is not in it: display widths, ZEROFILL, the digits of FLOAT(m, d), and whether sixteen
bytes are MariaDB's UUID or its INET6.
"""

from __future__ import annotations

import re

from replicator.engines.mysql.charsets import charset_of
from replicator.engines.mysql.tablemap import Code, WireColumn
from replicator.errors import NotUnderstood
from replicator.model.schema import Column

Form = tuple[str | int | bool | tuple[str, ...] | None, ...]

_TYPE = re.compile(r"(\w+)(?:\((.*)\))?((?: unsigned| zerofill)*)(?: /\* mariadb-5\.3 \*/)?", re.DOTALL)
_LABEL = re.compile(r"'((?:[^'\\]|''|\\.)*)'(?:,|$)", re.DOTALL)
_ESCAPE = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPED = {"0": "\0", "n": "\n", "r": "\r"}

_NUMBERS = {
    "tinyint": Code.TINY,
    "smallint": Code.SHORT,
    "mediumint": Code.INT24,
    "int": Code.LONG,
    "bigint": Code.LONGLONG,
    "float": Code.FLOAT,
    "double": Code.DOUBLE,
}
_PLAIN = {"year": Code.YEAR, "date": Code.DATE, "json": Code.JSON}
_BLOBS = {"tiny": 1, "": 2, "medium": 3, "long": 4}
_MOMENTS = {"time": Code.TIME2, "datetime": Code.DATETIME2, "timestamp": Code.TIMESTAMP2}
_OLD = {Code.TIME: Code.TIME2, Code.DATETIME: Code.DATETIME2, Code.TIMESTAMP: Code.TIMESTAMP2}
_GEOMETRIES = (
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
)
_SIXTEEN = {"inet4": 4, "inet6": 16, "uuid": 16}
LONGEST = {
    **dict.fromkeys(("big5", "sjis", "euckr", "gb2312", "gbk", "ucs2", "cp932"), 2),
    **dict.fromkeys(("ujis", "utf8mb3", "eucjpms"), 3),
    **dict.fromkeys(("utf8mb4", "utf16", "utf16le", "utf32", "gb18030"), 4),
}
"""The bytes of a character set's longest character, where that is more than one."""


def fits(wire: WireColumn, column: Column) -> bool:
    """Whether the log's column has the form of the pinned one. Raises NotUnderstood for a type that we do not know."""
    pinned = wire_form(column.native)
    if wire.code in _OLD:  # MariaDB's tables of before mysql56_temporal_format: the log does not tell the fraction
        return pinned[0] == _OLD[wire.code]
    if wire.code is Code.VARCHAR and pinned[0] == Code.VECTOR:  # so MariaDB keeps a VECTOR
        return form_of(wire) == (Code.VARCHAR, 4 * _number(pinned[1]), "binary")
    return form_of(wire) == pinned


def form_of(wire: WireColumn) -> Form:
    """The form of a column of the log."""
    code = wire.code
    if code in _NUMBERS.values():
        return code, wire.unsigned
    if code is Code.NEWDECIMAL:
        return code, *divmod(wire.meta, 256), wire.unsigned
    if code in (Code.VARCHAR, Code.STRING, Code.BLOB):
        return code, wire.meta, _charset(wire)
    if code in (Code.ENUM, Code.SET):
        return code, wire.labels, _charset(wire)
    if code is Code.GEOMETRY:
        return code, wire.geometry
    if code is Code.VECTOR:
        return code, wire.dimensions
    if code in _PLAIN.values():
        return (code,)
    return code, wire.meta


def _charset(wire: WireColumn) -> str:
    return "" if wire.collation is None else charset_of(wire.collation)


def wire_form(native: str) -> Form:
    """The form of a pinned column."""
    kind, _, charset = native.rpartition("|")
    charset = {"utf8": "utf8mb3", "": "binary"}.get(charset, charset)
    found = _TYPE.fullmatch(kind)
    if found is None:
        raise _unknown(kind)
    name, given, words = found[1], found[2], found[3]
    if name in _NUMBERS:
        return _NUMBERS[name], bool(words)  # ZEROFILL is unsigned
    if name == "decimal":
        precision, _, scale = (given or "10").partition(",")
        return Code.NEWDECIMAL, int(precision), int(scale or 0), bool(words)
    if name in ("enum", "set"):
        return Code.ENUM if name == "enum" else Code.SET, labels(given or ""), charset
    if name in _PLAIN:
        return (_PLAIN[name],)
    if name in _MOMENTS:
        return _MOMENTS[name], int(given or 0)
    if name == "bit":
        return Code.BIT, int(given or 1)
    if name == "vector":
        return Code.VECTOR, int(given or 0)
    return _characters(name, int(given or 1), charset) or _geometry(kind, name)


def _characters(name: str, length: int, charset: str) -> Form | None:
    if name in ("char", "varchar"):
        return Code.STRING if name == "char" else Code.VARCHAR, length * LONGEST.get(charset, 1), charset
    if name in ("binary", "varbinary"):
        return Code.STRING if name == "binary" else Code.VARCHAR, length, "binary"
    if name in _SIXTEEN:
        return Code.STRING, _SIXTEEN[name], "binary"
    for ending in ("text", "blob"):
        if name.endswith(ending) and name.removesuffix(ending) in _BLOBS:
            return Code.BLOB, _BLOBS[name.removesuffix(ending)], charset
    return None


def _geometry(kind: str, name: str) -> Form:
    name = {"geomcollection": "geometrycollection"}.get(name, name)
    if name not in _GEOMETRIES:
        raise _unknown(kind)
    return Code.GEOMETRY, _GEOMETRIES.index(name)


def labels(given: str) -> tuple[str, ...]:
    """The labels between an ENUM's or SET's parentheses, which information_schema escapes."""
    listed, at = [], 0
    while at < len(given):
        found = _LABEL.match(given, at)
        if found is None:
            raise _unknown("of labels that cannot be read")
        listed.append(_ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]) if escape[1] else "'", found[1]))
        at = found.end()
    return tuple(listed)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _unknown(kind: str) -> NotUnderstood:
    return NotUnderstood(f"the type {kind} is not known")

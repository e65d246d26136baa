"""The declared types of SQLite's columns: any text, which gives a column its affinity.

https://www.sqlite.org/datatype3.html#determination_of_column_affinity. `Column.native` of a column from SQLite is
`sqlite:` or, from a STRICT table, `sqlite-strict:`, and the declared type behind it.
"""

from __future__ import annotations

import re
from typing import Literal

from replicator.errors import Refused
from replicator.model.datatypes import (
    Boolean,
    Bytes,
    DataType,
    Date,
    Decimal,
    Float,
    Integer,
    Json,
    Text,
    Time,
    Timestamp,
    Uuid,
)
from replicator.sql.statements import quote

Affinity = Literal["INTEGER", "TEXT", "BLOB", "REAL", "NUMERIC"]
LOOSE, STRICT = "sqlite:", "sqlite-strict:"
_NUMBER = r"[+-]?[0-9]+(?:\.[0-9]+)?"
_GRAMMAR = re.compile(rf"(?:[^\W\d]\w*(?:\s+\w+)*\s*(?:\(\s*{_NUMBER}\s*(?:,\s*{_NUMBER}\s*)?\))?)?")
_SIZED = re.compile(r"(?:DECIMAL|NUMERIC)\s*\(\s*([0-9]+)\s*(?:,\s*([0-9]+)\s*)?\)", re.ASCII)
_PLAIN = frozenset(
    re.findall(
        r"\w+",
        "ANY BIG BIGINT BLOB BOOL BOOLEAN CHAR CHARACTER CLOB DATE DATETIME DEC DECIMAL DOUBLE FLOAT INT INT2 INT4 "
        "INT8 INTEGER JSON LONG MEDIUMINT MONEY NATIVE NCHAR NUMBER NUMERIC NVARCHAR PRECISION REAL SMALLINT STRING "
        "TEXT TIME TIMESTAMP TINYINT UNSIGNED UUID VARCHAR VARYING",
    )
)
"""Words that are no keywords: a type made of them needs no quotes in a CREATE TABLE."""


def affinity(declared: str, *, strict: bool = False) -> Affinity:
    upper = declared.upper()
    if "INT" in upper:
        return "INTEGER"
    if any(word in upper for word in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if "BLOB" in upper or not upper or (strict and upper == "ANY"):
        return "BLOB"
    if any(word in upper for word in ("REAL", "FLOA", "DOUB")):
        return "REAL"
    return "NUMERIC"


def split(native: str) -> tuple[str, bool] | None:
    """The declared type in a `Column.native`, and whether the table is STRICT; None for one of another engine."""
    for prefix in (LOOSE, STRICT):
        if native.startswith(prefix):
            return native.removeprefix(prefix), prefix == STRICT
    return None


def written(declared: str) -> str:
    """The declared type as it stands in a CREATE TABLE, so that the new column is declared the same.

    Words other than the usual type names are quoted, since they may be keywords. Raises Refused for a text that is
    not words, with one or two numbers in brackets behind them.
    """
    if not _GRAMMAR.fullmatch(declared):
        raise Refused(
            f"it is declared with the type {declared!r}, which is not words with numbers in brackets behind them",
            remedy="declare the column otherwise at the source, or leave its table out with --exclude",
        )
    words = declared.partition("(")[0].upper().split()
    return declared if _PLAIN.issuperset(words) else quote('"', declared)


def canonical(declared: str) -> DataType:
    """What other engines take the column for, by the name alone: its values may be of any storage class."""
    upper = " ".join(declared.upper().split())
    sized = _SIZED.fullmatch(upper)
    word = upper.partition("(")[0].strip()
    if sized:
        return Decimal(int(sized[1]), int(sized[2] or 0))
    if word in _BY_NAME:
        return _BY_NAME[word]
    match affinity(declared):
        case "INTEGER":
            return Integer(64)
        case "TEXT":
            return Text()
        case "BLOB":
            return Bytes()
        case "REAL":
            return Float(64)
        case "NUMERIC":
            return Decimal()


_BY_NAME: dict[str, DataType] = {
    "": Text(),
    "BOOLEAN": Boolean(),
    "BOOL": Boolean(),
    "DATETIME": Timestamp(),
    "TIMESTAMP": Timestamp(),
    "DATE": Date(),
    "TIME": Time(),
    "UUID": Uuid(),
    "JSON": Json(),
}

EXAMPLES = ("INTEGER", "TEXT", "VARCHAR(20)", "REAL", "BLOB", "DECIMAL(10,2)", "NUMERIC", *_BY_NAME)
"""For the documentation."""

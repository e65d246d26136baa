"""Canonical values of other engines as PostgreSQL's input, exactly or not at all.

What PostgreSQL itself refuses is left to it. What it would take and change is refused here: it rounds decimals and
fractions of a second to the column's scale, and cuts spaces off a text that is too long.
"""

from __future__ import annotations

import re
import struct
from calendar import monthrange
from collections.abc import Callable

from replicator.model.values import Value
from replicator.sql.ddl import Encode
from replicator.sql.encoders import (
    CLOCK,
    DAY,
    MOST_DIGITS,
    Column,
    Encoder,
    as_text,
    binary,
    boolean,
    fraction,
    lines_like,
)

_DATE = re.compile(r"(\d{4,})-(\d\d)-(\d\d)( BC)?", re.ASCII)
_TIME = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d+))?([+-]\d\d(?::\d\d(?::\d\d)?)?)?", re.ASCII)
_STAMP = re.compile(r"(\d{4,})-(\d\d)-(\d\d) (\d\d:\d\d:\d\d)(?:\.(\d+))?(\+00)?( BC)?", re.ASCII)
_DURATION = re.compile(r"(-?)(\d+):(\d\d):(\d\d)(?:\.(\d+))?", re.ASCII)
_INFINITE = frozenset(("infinity", "-infinity"))
LONGEST_VARCHAR = 10485760


def text_of(value: Value) -> str:
    """The canonical text of any value but bytes, for a column that keeps it as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        raise ValueError("it is bytes, and the column keeps text")
    found = value if isinstance(value, str) else repr(value) if isinstance(value, float) else str(value)
    if "\0" in found:
        raise ValueError("a NUL character, which PostgreSQL has not in text")
    return found


def text(length: int | None, nul: str | None) -> Encode:
    def encode(value: Value) -> Value:
        found = as_text(value)
        if "\0" in found:
            if nul != "strip":
                raise ValueError('a NUL character, which PostgreSQL has not in text (policies nul = "strip", "bytea")')
            found = found.replace("\0", "")
        if length is not None and len(found) > length:
            raise ValueError(f"{len(found)} characters, and the column holds {length}")
        return found

    def plain(column: Column) -> bool:
        return _without_nul(column) and (length is None or max(map(len, column)) <= length)  # type: ignore[arg-type]

    return Encoder(encode, plain)


def _without_nul(column: Column) -> bool:
    try:
        return "\0" not in "".join(column)  # type: ignore[arg-type]
    except TypeError:
        return False


def text_as_bytes(value: Value) -> Value:
    return as_text(value).encode()


def _checked_text(value: Value) -> Value:
    return text_of(as_text(value))


checked_text = Encoder(_checked_text, _without_nul)
"""Text whose form PostgreSQL checks itself."""


def bit_as_boolean(value: Value) -> Value:
    return boolean(int(as_text(value), 2))


def _day(year: str, month: str, day: str, before_christ: bool) -> None:
    """Raises ValueError for a day that is in no calendar, as MySQL may have it."""
    y, m, d = int(year), int(month), int(day)
    if not (y and m and d):
        raise ValueError('a date with a zero in it (policies zero_date = "null", "text")')
    if before_christ or y > 9999:
        return  # PostgreSQL looks itself
    if m > 12 or d > monthrange(y, m)[1]:
        raise ValueError('a date that is in no calendar (policy zero_date = "text")')


def _or_null(encode: Encode, zero_date: str | None) -> Encode:
    """With `zero_date = "null"` a date with a zero in it becomes NULL."""
    if zero_date != "null":
        return encode

    def softened(value: Value) -> Value:
        date = _DATE.match(value) if isinstance(value, str) else None
        if date is not None and not (int(date[1]) and int(date[2]) and int(date[3])):
            return None
        return encode(value)

    return softened


def date(zero_date: str | None) -> Encode:
    def encode(value: Value) -> Value:
        found = as_text(value)
        match = _DATE.fullmatch(found)
        if match is None:
            if found in _INFINITE:
                return found
            raise ValueError("it is not a date, YYYY-MM-DD")
        _day(match[1], match[2], match[3], match[4] is not None)
        return found

    return Encoder(_or_null(encode, zero_date), lines_like(DAY))


def timestamp(zoned: bool, precision: int | None, zero_date: str | None) -> Encode:
    def encode(value: Value) -> Value:
        found = as_text(value)
        match = _STAMP.fullmatch(found)
        if match is None or (match[6] is not None) != zoned:
            if found in _INFINITE:
                return found
            raise ValueError(f"it is not a timestamp, YYYY-MM-DD HH:MM:SS{'+00' if zoned else ''}")
        _day(match[1], match[2], match[3], match[7] is not None)
        fraction(match[5], precision)
        return found

    behind = _behind(precision) + (r"\+00" if zoned else "")
    return Encoder(_or_null(encode, zero_date), lines_like(f"{DAY} {CLOCK}{behind}"))


def _behind(precision: int | None) -> str:
    """The digits of a second's fraction, in a pattern."""
    most = MOST_DIGITS if precision is None else precision
    return rf"(?:\.\d{{1,{most}}})?" if most else ""


def time(zoned: bool, precision: int | None) -> Encode:
    def encode(value: Value) -> Value:
        found = as_text(value)
        match = _TIME.fullmatch(found)
        if match is None or (match[5] is not None) != zoned:
            raise ValueError("it is not a time of day, HH:MM:SS")
        fraction(match[4], precision)
        return found

    return encode


_NEARLY_INFINITE = ("P178956970Y7M2147483647DT2562047788H", "P-178956970Y-8M-2147483648DT-2562047788H")


def finite(value: Value) -> Value:
    """Since version 17 the greatest and the least interval of before are read as infinity."""
    if any(text in as_text(value) for text in _NEARLY_INFINITE):
        raise ValueError("an interval that this target would read as infinity")
    return value


def duration(precision: int | None, *, of_a_day: bool) -> Encode:
    """Hours, minutes and seconds as an interval; `of_a_day`: as a time of day, where it is one."""

    def encode(value: Value) -> Value:
        found = as_text(value)
        match = _DURATION.fullmatch(found)
        if match is None:
            raise ValueError("it is not hours, minutes and seconds")
        fraction(match[5], precision)
        if of_a_day and (match[1] or int(match[2]) > 23):
            raise ValueError("it is no time of a day: negative, or of 24 hours or more")
        return found

    return encode


def labels(value: Value) -> Value:
    found = as_text(value)
    return array(found.split(",")) if found else "{}"


def array(elements: list[str]) -> str:
    """A PostgreSQL array of texts, none of them NULL."""
    quoted = ('"' + element.replace("\\", "\\\\").replace('"', '\\"') + '"' for element in elements)
    return "{" + ",".join(quoted) + "}"


def vector(value: Value) -> Value:
    binary(value)
    assert isinstance(value, bytes)
    if len(value) % 4:
        raise ValueError("bytes that are no numbers of 32 bits")
    return "{" + ",".join(map(repr, struct.unpack(f"<{len(value) // 4}f", value))) + "}"


AnyEncode = Callable[[Value], Value]

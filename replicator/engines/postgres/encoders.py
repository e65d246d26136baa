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

_NUMBER = re.compile(r"[+-]?(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?", re.ASCII)
_SPECIAL = frozenset(("NaN", "Infinity", "-Infinity"))
_DATE = re.compile(r"(\d{4,})-(\d\d)-(\d\d)( BC)?", re.ASCII)
_TIME = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d+))?([+-]\d\d(?::\d\d(?::\d\d)?)?)?", re.ASCII)
_STAMP = re.compile(r"(\d{4,})-(\d\d)-(\d\d) (\d\d:\d\d:\d\d)(?:\.(\d+))?(\+00)?( BC)?", re.ASCII)
_DURATION = re.compile(r"(-?)(\d+):(\d\d):(\d\d)(?:\.(\d+))?", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INFINITE = frozenset(("infinity", "-infinity"))
MOST_DIGITS = 6
"""PostgreSQL's clock counts microseconds."""
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


def _text(value: Value) -> str:
    if value.__class__ is not str:
        raise ValueError(f"it is of the type {type(value).__name__}, and the column keeps text")
    assert isinstance(value, str)
    return value


def text(length: int | None, nul: str | None) -> Encode:
    def encode(value: Value) -> Value:
        found = _text(value)
        if "\0" in found:
            if nul != "strip":
                raise ValueError('a NUL character, which PostgreSQL has not in text (policies nul = "strip", "bytea")')
            found = found.replace("\0", "")
        if length is not None and len(found) > length:
            raise ValueError(f"{len(found)} characters, and the column holds {length}")
        return found

    return encode


def text_as_bytes(value: Value) -> Value:
    return _text(value).encode()


def checked_text(value: Value) -> Value:
    """Text whose form PostgreSQL checks itself."""
    return text_of(_text(value))


def whole(least: int, most: int, hint: str = "") -> Encode:
    def encode(value: Value) -> Value:
        if value.__class__ is not int:
            raise ValueError(f"it is of the type {type(value).__name__}, and the column keeps whole numbers")
        assert isinstance(value, int)
        if not least <= value <= most:
            raise ValueError(f"the column holds {least} to {most}{hint}")
        return value

    return encode


def boolean(value: Value) -> Value:
    if value.__class__ in (bool, int) and value in (0, 1):
        return bool(value)
    raise ValueError("neither 0 nor 1")


def bit_as_boolean(value: Value) -> Value:
    return boolean(int(_text(value), 2))


def number(precision: int | None, scale: int | None) -> Encode:
    """Every digit must have its place: PostgreSQL would round."""

    def encode(value: Value) -> Value:
        if value.__class__ is float:
            value = repr(value)
            value = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(value, value)
        found = str(value) if value.__class__ is int else _text(value)
        if precision is None:
            if found not in _SPECIAL and not _NUMBER.fullmatch(found):
                raise ValueError("it is not a number")
            return found
        match = _NUMBER.fullmatch(found)
        if match is None or not (match[1] or match[2]):
            raise ValueError("it is not a number")
        before, after = _digits(match[1] or "", match[2] or "", int(match[3] or 0))
        if after > (scale or 0) or before > precision - (scale or 0):
            raise ValueError(f"the column holds {precision} digits, {scale or 0} of them behind the point")
        return found

    return encode


def _digits(whole_part: str, fraction: str, exponent: int) -> tuple[int, int]:
    """How many digits a number has before and behind its point, zeros that mean nothing left out."""
    digits = whole_part + fraction
    point = len(whole_part) + exponent
    first = len(digits) - len(digits.lstrip("0"))
    last = len(digits.rstrip("0"))
    if first >= last:
        return 0, 0
    return max(0, point - first), max(0, last - point)


def floating(value: Value) -> Value:
    if value.__class__ is int:
        if float(value) != value:
            raise ValueError("a whole number that floating point does not hold")
        return value
    if value.__class__ is not float:
        raise ValueError(f"it is of the type {type(value).__name__}, and the column keeps floating-point numbers")
    return value


def binary(value: Value) -> Value:
    if value.__class__ is not bytes:
        raise ValueError(f"it is of the type {type(value).__name__}, and the column keeps bytes")
    return value


def _day(year: str, month: str, day: str, before_christ: bool) -> None:
    """Raises ValueError for a day that is in no calendar, as MySQL may have it."""
    y, m, d = int(year), int(month), int(day)
    if not (y and m and d):
        raise ValueError('a date with a zero in it (policies zero_date = "null", "text")')
    if before_christ or y > 9999:
        return  # PostgreSQL looks itself
    if m > 12 or d > monthrange(y, m)[1]:
        raise ValueError('a date that is in no calendar (policy zero_date = "text")')


def _fraction(digits: str | None, precision: int | None) -> None:
    most = MOST_DIGITS if precision is None else precision
    if digits and len(digits.rstrip("0")) > most:
        raise ValueError(f"more than {most} digits of a second's fraction, which the column would round")


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
        found = _text(value)
        match = _DATE.fullmatch(found)
        if match is None:
            if found in _INFINITE:
                return found
            raise ValueError("it is not a date, YYYY-MM-DD")
        _day(match[1], match[2], match[3], match[4] is not None)
        return found

    return _or_null(encode, zero_date)


def timestamp(zoned: bool, precision: int | None, zero_date: str | None) -> Encode:
    def encode(value: Value) -> Value:
        found = _text(value)
        match = _STAMP.fullmatch(found)
        if match is None or (match[6] is not None) != zoned:
            if found in _INFINITE:
                return found
            raise ValueError(f"it is not a timestamp, YYYY-MM-DD HH:MM:SS{'+00' if zoned else ''}")
        _day(match[1], match[2], match[3], match[7] is not None)
        _fraction(match[5], precision)
        return found

    return _or_null(encode, zero_date)


def time(zoned: bool, precision: int | None) -> Encode:
    def encode(value: Value) -> Value:
        found = _text(value)
        match = _TIME.fullmatch(found)
        if match is None or (match[5] is not None) != zoned:
            raise ValueError("it is not a time of day, HH:MM:SS")
        _fraction(match[4], precision)
        return found

    return encode


_NEARLY_INFINITE = ("P178956970Y7M2147483647DT2562047788H", "P-178956970Y-8M-2147483648DT-2562047788H")


def finite(value: Value) -> Value:
    """Since version 17 the greatest and the least interval of before are read as infinity."""
    if any(text in _text(value) for text in _NEARLY_INFINITE):
        raise ValueError("an interval that this target would read as infinity")
    return value


def duration(precision: int | None, *, of_a_day: bool) -> Encode:
    """Hours, minutes and seconds as an interval; `of_a_day`: as a time of day, where it is one."""

    def encode(value: Value) -> Value:
        found = _text(value)
        match = _DURATION.fullmatch(found)
        if match is None:
            raise ValueError("it is not hours, minutes and seconds")
        _fraction(match[5], precision)
        if of_a_day and (match[1] or int(match[2]) > 23):
            raise ValueError("it is no time of a day: negative, or of 24 hours or more")
        return found

    return encode


def uuid(value: Value) -> Value:
    if not _UUID.fullmatch(_text(value)):
        raise ValueError("not a UUID in lower case, with its hyphens: PostgreSQL would write it so")
    return value


def one_of(labels: tuple[str, ...]) -> Encode:
    known = frozenset(labels)

    def encode(value: Value) -> Value:
        if value not in known:
            raise ValueError("it is none of the labels that the column has")
        return value

    return encode


def labels(value: Value) -> Value:
    found = _text(value)
    return array(found.split(",")) if found else "{}"


def array(elements: list[str]) -> str:
    """A PostgreSQL array of texts, none of them NULL."""
    quoted = ('"' + element.replace("\\", "\\\\").replace('"', '\\"') + '"' for element in elements)
    return "{" + ",".join(quoted) + "}"


def bits(length: int | None, varying: bool) -> Encode:
    def encode(value: Value) -> Value:
        found = _text(value)
        if set(found) - {"0", "1"}:
            raise ValueError("it is not a string of bits")
        if length is not None and (len(found) > length or (len(found) < length and not varying)):
            raise ValueError(f"{len(found)} bits, and the column holds {length}")
        return found

    return encode


def vector(value: Value) -> Value:
    binary(value)
    assert isinstance(value, bytes)
    if len(value) % 4:
        raise ValueError("bytes that are no numbers of 32 bits")
    return "{" + ",".join(map(repr, struct.unpack(f"<{len(value) // 4}f", value))) + "}"


def hex_bytes(value: Value) -> Value:
    return bytes.fromhex(_text(value))


AnyEncode = Callable[[Value], Value]

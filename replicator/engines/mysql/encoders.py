"""Canonical values as the input of MySQL and MariaDB, exactly or not at all.

What the server itself refuses in strict mode is left to it. What it would take and change is refused here: it rounds
decimals, cuts fractions of a second, keeps the numbers of a JSON document as doubles and the last of two equal keys.
https://dev.mysql.com/doc/refman/9.7/en/json.html, https://dev.mysql.com/doc/refman/9.7/en/datetime.html
"""

from __future__ import annotations

import json
import math
import re
import struct
from calendar import monthrange
from decimal import Decimal
from typing import Any

from replicator.model.datatypes import Array, DataType, Float
from replicator.model.nested import array_to_json, mapping_to_json
from replicator.model.values import Value
from replicator.sql.ddl import Encode
from replicator.sql.encoders import (
    CLOCK,
    DAY,
    MOST_DIGITS,
    Column,
    Encoder,
    as_text,
    floating,
    fraction,
    hex_bytes,
    lines_like,
)

_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d) \d\d:\d\d:\d\d(?:\.(\d+))?(\+00)?", re.ASCII)
_TIME = re.compile(r"-?\d+:\d\d:\d\d(?:\.(\d+))?", re.ASCII)
_INTERVAL = re.compile(r"P(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d+))?S)?)?", re.ASCII)
_RISKY = re.compile(r"[\d.]{17,}|\d[eE]|-0", re.ASCII)
"""Numbers that a double may not hold; a number of up to 15 digits comes back as it was."""
_LITTLE_ENDIAN = 1
_EWKB_SRID, _EWKB_FLAGS = 0x20000000, 0xE0000000
LEAST_FLOAT, MOST_FLOAT = -3.4028234663852886e38, 3.4028234663852886e38


def canonical_text(value: Value) -> Value:
    """The canonical text of any value but bytes."""
    if isinstance(value, bytes):
        raise ValueError("it is bytes, and the column keeps text")
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value) if isinstance(value, float) else str(value)


def text(length: int | None) -> Encode:
    """`length` counts characters; None for as many as there are."""

    def encode(value: Value) -> Value:
        found = as_text(value)
        if length is not None and len(found) > length:
            raise ValueError(f"{len(found)} characters, and the column holds {length}")
        return found

    def plain(column: Column) -> bool:
        return set(map(type, column)) == {str} and (length is None or max(map(len, column)) <= length)  # type: ignore

    return Encoder(encode, plain)


def shortened(encode: Encode, length: int) -> Encode:
    """The text that `encode` makes, in a column for so many characters."""
    check = text(length)
    if isinstance(encode, Encoder) and isinstance(check, Encoder):
        first, then = encode, check
        return Encoder(lambda value: then(first(value)), lambda column: first.plain(column) and then.plain(column))
    return lambda value: check(encode(value))


def binary(length: int | None) -> Encode:
    def encode(value: Value) -> Value:
        if value.__class__ is not bytes:
            raise ValueError(f"it is of the type {type(value).__name__}, and the column keeps bytes")
        assert isinstance(value, bytes)
        if length is not None and len(value) > length:
            raise ValueError(f"{len(value)} bytes, and the column holds {length}")
        return value

    return encode


def bits_as_number(value: Value) -> Value:
    return int(as_text(value), 2)


def real(bits: int, *, signed_zero: bool, nan: str | None, negative_zero: str | None) -> Encode:
    """Of 32 bits: the double that is the same number, since the text of a FLOAT is rounded by the server."""

    def encode(value: Value) -> Value:
        found = float(floating(value))  # type: ignore[arg-type]
        if found != found and nan == "null":
            return None
        if not math.isfinite(found):
            raise ValueError('neither NaN nor infinity has a form there (policies as = "text", nan = "null" for NaN)')
        if found == 0 and math.copysign(1.0, found) < 0 and not signed_zero:
            if negative_zero != "zero":
                raise ValueError('negative zero, which becomes 0 there (policies negative_zero = "zero", as = "text")')
            return 0.0
        if bits == 32:
            (found,) = struct.unpack("<f", struct.pack("<f", found))
        return found

    return encode


def _day(year: str, month: str, day: str) -> None:
    """Raises ValueError for a day that is in no calendar."""
    y, m, d = int(year), int(month), int(day)
    if not (y and 1 <= m <= 12 and 1 <= d <= monthrange(y, m)[1]):
        raise ValueError('a date that is in no calendar (policy as = "text")')


def _beyond(found: str, what: str) -> ValueError:
    if found.endswith(" BC") or "infinity" in found or found[:5].isdigit():
        return ValueError(
            f"{found.split(' ')[-1] if 'BC' in found else 'it'} is beyond the years 1 to 9999 of {what} "
            'there (policy as = "text")'
        )
    return ValueError(f"it is not a {what}")


def date(*, own: bool) -> Encode:
    """`own`: of the same kind of server, which may have zeros in it and days that are in no calendar."""

    def encode(value: Value) -> Value:
        found = as_text(value)
        match = _DATE.fullmatch(found)
        if match is None:
            raise _beyond(found, "date")
        if not own:
            _day(match[1], match[2], match[3])
        return found

    return Encoder(encode, lines_like(DAY))


def timestamp(zoned: bool, precision: int | None, *, own: bool) -> Encode:
    """An instant is kept as its reading in UTC."""

    def encode(value: Value) -> Value:
        found = as_text(value)
        match = _STAMP.fullmatch(found)
        if match is None or (match[5] is not None) != zoned:
            raise _beyond(found, "timestamp")
        if not own:
            _day(match[1], match[2], match[3])
        fraction(match[4], precision)
        return found[:-3] if zoned else found

    if zoned:
        return encode
    most = MOST_DIGITS if precision is None else precision
    return Encoder(encode, lines_like(f"{DAY} {CLOCK}" + (rf"(?:\.\d{{1,{most}}})?" if most else "")))


def time(precision: int | None) -> Encode:
    """A time of day, or a duration; how long it may be the server says."""

    def encode(value: Value) -> Value:
        found = as_text(value)
        match = _TIME.fullmatch(found)
        if match is None:
            raise ValueError("it is not hours, minutes and seconds")
        fraction(match[1], precision)
        return found

    return encode


def microseconds(value: Value) -> Value:
    """An interval without months as a number; a day has 24 hours."""
    match = _INTERVAL.fullmatch(as_text(value))
    if match is None:
        raise ValueError("an interval with months or years, which have no length")
    days, hours, minutes = (int(part or 0) for part in match.group(1, 2, 3))
    seconds = int(match[5] or 0) * 1_000_000 + int((match[6] or "").ljust(6, "0") or 0)
    whole = ((days * 24 + hours) * 60 + minutes) * 60 * 1_000_000
    return whole + (-seconds if match[4] else seconds)


def uuid_as_bytes(value: Value) -> Value:
    return bytes.fromhex(as_text(value).replace("-", ""))


# JSON


def document(*, as_text_there: bool, doubles: bool) -> Encode:
    """A JSON document. `as_text_there`: the server keeps its text. `doubles`: numbers may become doubles."""

    def encode(value: Value) -> Value:
        found = as_text(value)
        if not as_text_there:
            _check(found, doubles)
        return found

    return encode


def _check(found: str, doubles: bool) -> None:
    """Raises ValueError for what the server would change: a number that no double holds, a key that is there twice."""
    if doubles or not _RISKY.search(found):
        if found.count(":") < 2:
            return
        json.loads(found, object_pairs_hook=_once)
        return
    json.loads(found, object_pairs_hook=_once, parse_int=_integer, parse_float=_number)


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError('a JSON object with the same key twice, of which one would be lost (policy as = "text")')


def _integer(digits: str) -> int:
    if digits == "-0" or not -(2**63) <= int(digits) < 2**64:
        return _number(digits)
    return 0


def _number(digits: str) -> int:
    held = float(digits)
    if digits == "-0" or not math.isfinite(held) or Decimal(repr(held)) != Decimal(digits):
        raise ValueError('JSON with a number that a double does not hold (policies as = "double", "text")')
    return 0


_NEGATIVE_ZERO = re.compile(r"(?<=[\[,])-0(?=[,\]])", re.ASCII)


def array(kind: Array, finish: Encode) -> Encode:
    """A whole number has no negative zero there, and an array of floating-point numbers has no texts beside them."""
    if floats(kind):
        return lambda value: finish(_NEGATIVE_ZERO.sub("-0.0", array_to_json(as_text(value), kind, _element)))
    return lambda value: finish(array_to_json(as_text(value), kind, _element))


def floats(kind: DataType) -> bool:
    """Is it an array of floating-point numbers?"""
    return floats(kind.element) if isinstance(kind, Array) else isinstance(kind, Float)


def mapping(finish: Encode) -> Encode:
    return lambda value: finish(mapping_to_json(as_text(value)))


def _element(kind: DataType, text: str) -> str:
    return text


# Geometry


def geometry(value: Value) -> Value:
    """EWKB as the servers keep it: the number of the reference system in four bytes, then WKB.

    https://dev.mysql.com/doc/refman/9.7/en/gis-data-formats.html
    """
    found = hex_bytes(value)
    assert isinstance(found, bytes)
    if len(found) < 5 or found[0] != _LITTLE_ENDIAN:
        raise ValueError("a geometry in another order of bytes than the usual one")
    (kind,) = struct.unpack_from("<I", found, 1)
    if kind & _EWKB_FLAGS & ~_EWKB_SRID:
        raise ValueError("a geometry with more than two dimensions")
    srid, rest = (found[5:9], found[9:]) if kind & _EWKB_SRID else (b"\0\0\0\0", found[5:])
    return srid + found[:1] + struct.pack("<I", kind & ~_EWKB_FLAGS) + rest

"""Canonical values of other engines as a target's input, exactly or not at all: what more than one engine does alike.

Each takes a value that is neither None nor MISSING, and raises ValueError with the reason alone.
"""

from __future__ import annotations

import re

from replicator.model.values import Value
from replicator.sql.ddl import Encode

_NUMBER = re.compile(r"[+-]?(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?", re.ASCII)
_SPECIAL = frozenset(("NaN", "Infinity", "-Infinity"))
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOST_DIGITS = 6
"""The clocks of all engines count microseconds."""


def as_text(value: Value) -> str:
    if value.__class__ is not str:
        raise ValueError(f"it is of the type {type(value).__name__}, and the column keeps text")
    assert isinstance(value, str)
    return value


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


def number(precision: int | None, scale: int | None) -> Encode:
    """Every digit must have its place: a column would round."""

    def encode(value: Value) -> Value:
        if value.__class__ is float:
            value = repr(value)
            value = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(value, value)
        found = str(value) if value.__class__ is int else as_text(value)
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


def uuid(value: Value) -> Value:
    if not _UUID.fullmatch(as_text(value)):
        raise ValueError("not a UUID in lower case, with its hyphens: a UUID column would write it so")
    return value


def one_of(labels: tuple[str, ...]) -> Encode:
    known = frozenset(labels)

    def encode(value: Value) -> Value:
        if value not in known:
            raise ValueError("it is none of the labels that the column has")
        return value

    return encode


def bits(length: int | None, varying: bool) -> Encode:
    def encode(value: Value) -> Value:
        found = as_text(value)
        if set(found) - {"0", "1"}:
            raise ValueError("it is not a string of bits")
        if length is not None and (len(found) > length or (len(found) < length and not varying)):
            raise ValueError(f"{len(found)} bits, and the column holds {length}")
        return found

    return encode


def hex_bytes(value: Value) -> Value:
    return bytes.fromhex(as_text(value))


def fraction(digits: str | None, precision: int | None) -> None:
    most = MOST_DIGITS if precision is None else precision
    if digits and len(digits.rstrip("0")) > most:
        raise ValueError(f"more than {most} digits of a second's fraction, which the column would round")

"""Canonical values of other engines as a target's input, exactly or not at all: what more than one engine does alike.

Each takes a value that is neither None nor MISSING, and raises ValueError with the reason alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from replicator.model.values import Value
from replicator.sql.ddl import Encode

_NUMBER = re.compile(r"[+-]?(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?", re.ASCII)
_SPECIAL = frozenset(("NaN", "Infinity", "-Infinity"))
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOST_DIGITS = 6
"""The clocks of all engines count microseconds."""


Column = Sequence[Value]
"""Values of one column, none of them None or MISSING."""


@dataclass(frozen=True)
class Encoder:
    """An encoder that can look at many values at once.

    `plain`: would `one` give back every one of these values as it is? It may say no where it is not sure.
    """

    one: Encode
    plain: Callable[[Column], bool]

    def __call__(self, value: Value) -> Value:
        return self.one(value)


def lines(column: Column) -> str | None:
    """All of the values, each on a line of its own; None where they are not all texts without a line's end."""
    try:
        joined = "\n".join(column) + "\n"  # type: ignore[arg-type]
    except TypeError:
        return None
    return joined if joined.count("\n") == len(column) else None


def lines_like(pattern: str) -> Callable[[Column], bool]:
    """Is every value one of these texts? By one search over all of them."""
    fits = re.compile(f"(?:(?:{pattern})\n)*", re.ASCII).fullmatch
    return lambda column: (joined := lines(column)) is not None and fits(joined) is not None


DAY = r"[1-9]\d{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
"""Days that are in the calendar, most of them."""
CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"


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

    def plain(column: Column) -> bool:
        return set(map(type, column)) == {int} and least <= min(column) and max(column) <= most  # type: ignore

    return Encoder(encode, plain)


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

    if precision is None or scale is None or precision < scale or scale < 0:
        return encode
    before, behind = precision - scale, f"(?:\\.\\d{{1,{scale}}})?" if scale else ""
    return Encoder(encode, lines_like(f"-?(?:0|[1-9]\\d{{0,{before - 1}}}){behind}" if before else f"-?0{behind}"))


def _digits(whole_part: str, fraction: str, exponent: int) -> tuple[int, int]:
    """How many digits a number has before and behind its point, zeros that mean nothing left out."""
    digits = whole_part + fraction
    point = len(whole_part) + exponent
    first = len(digits) - len(digits.lstrip("0"))
    last = len(digits.rstrip("0"))
    if first >= last:
        return 0, 0
    return max(0, point - first), max(0, last - point)


def _floating(value: Value) -> Value:
    if value.__class__ is int:
        if float(value) != value:
            raise ValueError("a whole number that floating point does not hold")
        return value
    if value.__class__ is not float:
        raise ValueError(f"it is of the type {type(value).__name__}, and the column keeps floating-point numbers")
    return value


floating = Encoder(_floating, lambda column: set(map(type, column)) == {float})


def binary(value: Value) -> Value:
    if value.__class__ is not bytes:
        raise ValueError(f"it is of the type {type(value).__name__}, and the column keeps bytes")
    return value


def _uuid(value: Value) -> Value:
    if not _UUID.fullmatch(as_text(value)):
        raise ValueError("not a UUID in lower case, with its hyphens: a UUID column would write it so")
    return value


uuid = Encoder(_uuid, lines_like(_UUID.pattern))


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

"""Numbers of a row image: whole, decimal, floating, and bits.

https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html and, for decimals,
https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Rows__event.html
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from replicator.engines.mysql.rowimage import Append, Decode

_KEPT = 65_536
_FLOAT = Struct("<f")
_DOUBLE = Struct("<d")

# Bytes that hold the digits of a decimal which fill no group of nine.
_LEFT_OVER = (0, 1, 1, 2, 2, 3, 3, 4, 4)
_GROUP = 10**9


def integer(size: int, *, unsigned: bool) -> Decode:
    """A little-endian whole number of `size` bytes."""
    if size == 3:
        return _medium(unsigned=unsigned)
    letter = {1: "b", 2: "h", 4: "i", 8: "q"}[size]
    read = Struct("<" + (letter.upper() if unsigned else letter)).unpack_from

    def decode(data: bytes, at: int, append: Append) -> int:
        append(read(data, at)[0])
        return at + size

    return decode


def _medium(*, unsigned: bool) -> Decode:
    def decode(data: bytes, at: int, append: Append) -> int:
        end = at + 3
        append(int.from_bytes(data[at:end], "little", signed=not unsigned))
        return end

    return decode


def year(data: bytes, at: int, append: Append) -> int:
    """A byte: 0 is the year 0, others count from 1900."""
    value = data[at]
    append(1900 + value if value else 0)
    return at + 1


def double(data: bytes, at: int, append: Append) -> int:
    append(_DOUBLE.unpack_from(data, at)[0])
    return at + 8


class _Shortest(dict[bytes, float]):
    """The double whose text is the shortest that reads back as the same four bytes: 0.1, not 0.10000000149011612."""

    def __missing__(self, raw: bytes) -> float:
        (value,) = _FLOAT.unpack(raw)
        if len(self) >= _KEPT:
            self.clear()
        found = self[raw] = _shortest(value, raw)
        return found


def _shortest(value: float, raw: bytes) -> float:
    for digits in range(6, 9):
        short = float(f"{value:.{digits}g}")
        try:
            if _FLOAT.pack(short) == raw:
                return short
        except OverflowError:  # rounded up beyond the largest
            continue
    return float(f"{value:.9g}")


_floats = _Shortest()


def single(data: bytes, at: int, append: Append) -> int:
    end = at + 4
    append(_floats[data[at:end]])
    return end


def single_of(value: float) -> float:
    """The double that stands for a 4-byte float, as `single` gives it, from any double that rounds to it."""
    return _floats[_FLOAT.pack(value)]


def bits(count: int) -> Decode:
    """A big-endian number of `count` bits, as text."""
    size = (count + 7) // 8

    def decode(data: bytes, at: int, append: Append) -> int:
        end = at + size
        append(bits_text(data[at:end], count))
        return end

    return decode


def bits_text(raw: bytes, count: int) -> str:
    text = f"{int.from_bytes(raw, 'big'):0{count}b}"
    if len(text) > count:
        raise ValueError("more bits than the column has")
    return text


def decimal_size(precision: int, scale: int) -> int:
    whole = precision - scale
    if not 0 <= scale <= precision <= 65:
        raise ValueError("not a DECIMAL's precision and scale")
    return whole // 9 * 4 + _LEFT_OVER[whole % 9] + scale // 9 * 4 + _LEFT_OVER[scale % 9]


def decimal(precision: int, scale: int) -> Decode:
    """Groups of nine digits in four bytes, big-endian; the first bit is inverted, and all bits below zero."""
    size = decimal_size(precision, scale)
    text_of = decimal_text(precision, scale)

    def decode(data: bytes, at: int, append: Append) -> int:
        end = at + size
        append(text_of(int.from_bytes(data[at:end], "big")))
        return end

    return decode


def decimal_text(precision: int, scale: int) -> Callable[[int], str]:
    """From the big-endian number that a decimal's bytes are, to its text."""
    sign = 1 << decimal_size(precision, scale) * 8 - 1
    ones = sign * 2 - 1
    groups = _groups(precision, scale)
    # A fraction's digits follow those before it, so that the whole is one number with a point to put in.
    unit = 10**scale

    def text(raw: int) -> str:
        if raw & sign:
            minus = ""
            raw ^= sign
        else:
            minus = "-"
            raw ^= ones ^ sign
        total = 0
        for shift, mask, base in groups:
            digits = raw >> shift & mask
            if digits >= base:
                raise ValueError("not a decimal's digits")
            total = total * base + digits
        if not scale:
            return f"{minus}{total}"
        whole, fraction = divmod(total, unit)
        return f"{minus}{whole}.{fraction:0{scale}d}"

    return text


def _groups(precision: int, scale: int) -> list[tuple[int, int, int]]:
    """(shift, mask, 10 ** digits) of each group of digits, from the front."""
    whole = precision - scale
    widths = [whole % 9] + [9] * (whole // 9) + [9] * (scale // 9) + [scale % 9]
    shift = decimal_size(precision, scale) * 8
    groups = []
    for width in widths:
        size = (4 if width == 9 else _LEFT_OVER[width]) * 8
        shift -= size
        if width:
            groups.append((shift, (1 << size) - 1, 10**width))
    return groups

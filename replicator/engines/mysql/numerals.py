"""Numbers of a row image: whole, decimal, floating, and bits.

https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html and, for decimals,
https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Rows__event.html
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from replicator.engines.mysql.rowimage import Decode
from replicator.model.values import Value

_KEPT = 65_536
_LEAST_NORMAL = 2.0**-126
_FLOAT = Struct("<f")
_DOUBLE = Struct("<d")

# Bytes that hold the digits of a decimal which fill no group of nine.
_LEFT_OVER = (0, 1, 1, 2, 2, 3, 3, 4, 4)
_GROUP = 10**9


def integer(size: int, *, unsigned: bool) -> Decode:
    """A little-endian whole number of `size` bytes."""
    letter = letter_of(size, unsigned=unsigned)
    if letter is None:
        return _medium(unsigned=unsigned)
    read = Struct(f"<{letter}").unpack_from

    def decode(data: bytes, at: int, values: list[Value]) -> int:
        values.append(read(data, at)[0])
        return at + size

    return decode


def letter_of(size: int, *, unsigned: bool) -> str | None:
    """The format of `struct` for a whole number; there is none for three bytes."""
    letter = {1: "b", 2: "h", 4: "i", 8: "q"}.get(size)
    return letter.upper() if letter and unsigned else letter


def _medium(*, unsigned: bool) -> Decode:
    def decode(data: bytes, at: int, values: list[Value]) -> int:
        end = at + 3
        values.append(int.from_bytes(data[at:end], "little", signed=not unsigned))
        return end

    return decode


def year(data: bytes, at: int, values: list[Value]) -> int:
    """A byte: 0 is the year 0, others count from 1900."""
    value = data[at]
    values.append(1900 + value if value else 0)
    return at + 1


def double(data: bytes, at: int, values: list[Value]) -> int:
    values.append(_DOUBLE.unpack_from(data, at)[0])
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
    # Six digits are never too many, but for numbers so small that they have fewer bits.
    for digits in range(6 if abs(value) >= _LEAST_NORMAL else 1, 9):
        short = float(f"{value:.{digits}g}")
        try:
            if _FLOAT.pack(short) == raw:
                return short
        except OverflowError:  # rounded up beyond the largest
            continue
    return float(f"{value:.9g}")


_floats = _Shortest()


def single(data: bytes, at: int, values: list[Value]) -> int:
    end = at + 4
    values.append(_floats[data[at:end]])
    return end


def single_of(value: float) -> float:
    """The double that stands for a 4-byte float, as `single` gives it, from any double that rounds to it."""
    return _floats[_FLOAT.pack(value)]


def bits(count: int) -> Decode:
    """A big-endian number of `count` bits, as text."""
    size = (count + 7) // 8

    def decode(data: bytes, at: int, values: list[Value]) -> int:
        end = at + size
        values.append(bits_text(data[at:end], count))
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

    def decode(data: bytes, at: int, values: list[Value]) -> int:
        end = at + size
        values.append(text_of(int.from_bytes(data[at:end], "big")))
        return end

    return decode


def decimal_text(precision: int, scale: int) -> Callable[[int], str]:
    """From the big-endian number that a decimal's bytes are, to its text."""
    if 0 < scale <= 9 and precision - scale <= 18:
        return _short_decimal(precision, scale)
    sign = 1 << decimal_size(precision, scale) * 8 - 1
    groups = _groups(precision, scale)
    unit = 10**scale

    def text(raw: int) -> str:
        minus = "" if raw & sign else "-"
        raw ^= sign if raw & sign else sign - 1
        total = 0
        for shift, mask, base in groups:
            group = raw >> shift & mask
            if group >= base:
                raise ValueError("not a decimal's digits")
            total = total * base + group
        if not scale:
            return f"{minus}{total}"
        whole, fraction = divmod(total, unit)
        return f"{minus}{whole}.{fraction:0{scale}d}"

    return text


def _short_decimal(precision: int, scale: int) -> Callable[[int], str]:
    """For one group behind the point and at most two before it."""
    sign = 1 << decimal_size(precision, scale) * 8 - 1
    inverted = sign - 1
    shift = 8 * decimal_size(scale, scale)
    below = (1 << shift) - 1
    unit = 10**scale
    limit = 10 ** (precision - scale)
    positive, negative = f"%d.%0{scale}d", f"-%d.%0{scale}d"

    def text(raw: int) -> str:
        if raw & sign:
            raw ^= sign
            pattern = positive
        else:
            raw ^= inverted
            pattern = negative
        whole = raw >> shift
        fraction = raw & below
        if limit > _GROUP:
            low = whole & 0xFFFF_FFFF
            whole = (whole >> 32) * _GROUP + low
            if low >= _GROUP:
                raise ValueError("not a decimal's digits")
        if whole >= limit or fraction >= unit:
            raise ValueError("not a decimal's digits")
        return pattern % (whole, fraction)

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

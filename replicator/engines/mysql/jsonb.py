"""MySQL's binary JSON, as the very text that the server makes of it in a SELECT. Bytes in, text out.

https://dev.mysql.com/doc/dev/mysql-server/latest/json__binary_8h.html

Offsets are checked before they are used. The parts of a document lie apart, so that all of them together are no longer
than it is: a document whose parts share bytes, which could unfold without end, is refused.
"""

from __future__ import annotations

import functools
from base64 import encodebytes
from collections.abc import Callable
from json.encoder import encode_basestring
from struct import Struct

from replicator.engines.mysql.numerals import decimal_size, decimal_text
from replicator.engines.mysql.tablemap import Code

DEPTH = 100
"""How deep arrays and objects may lie in one another, on the server too."""

_LITERALS = ("null", "true", "false")
_OBJECTS = frozenset([0, 1])
_LARGE = frozenset([1, 3])
_LITERAL, _INT16, _UINT16, _INT32, _UINT32, _INT64, _UINT64, _DOUBLE, _STRING, _OPAQUE = (*range(4, 13), 15)
_NUMBERS: dict[int, Struct] = {
    _INT16: Struct("<h"),
    _UINT16: Struct("<H"),
    _INT32: Struct("<i"),
    _UINT32: Struct("<I"),
    _INT64: Struct("<q"),
    _UINT64: Struct("<Q"),
}
_FLOAT = Struct("<d")
_PACKED = Struct("<q")
_SMALL_HEAD, _LARGE_HEAD = Struct("<HH"), Struct("<II")
_SMALL_KEY, _LARGE_KEY = Struct("<HH"), Struct("<IH")
_SMALL_VALUE, _LARGE_VALUE = Struct("<BH"), Struct("<BI")
_INLINE = frozenset([_LITERAL, _INT16, _UINT16])
_INLINE_LARGE = _INLINE | {_INT32, _UINT32}


def text(raw: bytes) -> str:
    """The text of a document; ValueError, IndexError or struct.error for bytes that are none."""
    if not raw:
        return "null"  # what a NOT NULL column gets from INSERT IGNORE
    return _Document(raw).value(raw[0], 1, len(raw), 0)


class _Document:
    __slots__ = ("data", "left")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.left = len(data)

    def value(self, kind: int, at: int, end: int, depth: int) -> str:
        """The value of this kind that begins at `at` and may reach to `end`."""
        if kind <= 3:
            return self._container(kind, at, end, depth)
        if kind == _STRING:
            start, size = self._length(at, end)
            return encode_basestring(self._take(start, size, end).decode())
        if kind in _NUMBERS:
            number = _NUMBERS[kind]
            return str(number.unpack(self._take(at, number.size, end))[0])
        if kind == _DOUBLE:
            return double_text(_FLOAT.unpack(self._take(at, 8, end))[0])
        if kind == _LITERAL:
            return _LITERALS[self._take(at, 1, end)[0]]
        if kind == _OPAQUE:
            start, size = self._length(at + 1, end)
            return _opaque(self.data[at], self._take(start, size, end))
        raise ValueError("not a kind of JSON value")

    def _take(self, at: int, size: int, end: int) -> bytes:
        """Bytes of one part, which no other has."""
        stop = at + size
        self.left -= size
        if stop > end or self.left < 0:
            raise ValueError("a JSON value reaches beyond its place")
        return self.data[at:stop]

    def _length(self, at: int, end: int) -> tuple[int, int]:
        """Seven bits a byte, the lowest first, the highest for more: where it ends, and the length."""
        size = shift = 0
        while shift < 35 and at < end:
            byte = self.data[at]
            at += 1
            size |= (byte & 127) << shift
            if byte < 128:
                return at, size
            shift += 7
        raise ValueError("not a length")

    def _container(self, kind: int, start: int, end: int, depth: int) -> str:
        """An object or an array: its count and size, where its keys and values are, and these; offsets from `start`."""
        data = self.data
        large = kind in _LARGE
        head, key, entry, inline = (
            (_LARGE_HEAD, _LARGE_KEY, _LARGE_VALUE, _INLINE_LARGE)
            if large
            else (_SMALL_HEAD, _SMALL_KEY, _SMALL_VALUE, _INLINE)
        )
        count, size = head.unpack_from(data, start)
        if start + size > end or depth >= DEPTH:
            raise ValueError("a JSON value reaches beyond its place, or lies too deep")
        end = start + size
        at = start + head.size
        keys = at
        if kind in _OBJECTS:
            at += count * key.size
        values = at + count * entry.size
        self.left -= values - start
        if values > end or self.left < 0:
            raise ValueError("a JSON value reaches beyond its place")
        parts = []
        for kind_of, offset in entry.iter_unpack(data[at:values]):
            if kind_of in inline:
                parts.append(_inline(kind_of, offset))
            else:
                place = start + offset
                if place < values:
                    raise ValueError("a JSON value lies in what is not its place")
                parts.append(self.value(kind_of, place, end, depth + 1))
        if kind not in _OBJECTS:
            return f"[{', '.join(parts)}]"
        named = []
        for (offset, length), part in zip(key.iter_unpack(data[keys:at]), parts, strict=True):
            name = self._take(start + offset, length, end).decode()
            named.append(f"{encode_basestring(name)}: {part}")
        return f"{{{', '.join(named)}}}"


def _inline(kind: int, value: int) -> str:
    """A value that lies in the place of its offset."""
    if kind == _LITERAL:
        return _LITERALS[value]
    if kind == _INT16:
        value &= 0xFFFF
        return str(value - 0x1_0000 if value & 0x8000 else value)
    if kind == _INT32 and value & 0x8000_0000:
        return str(value - 0x1_0000_0000)
    return str(value)


def double_text(value: float) -> str:
    """A double as MySQL writes it in JSON: below 1e-15, and from 1e15 on if it has no fraction, as `1.5e-20`."""
    shown = repr(value)
    if 1e-4 <= abs(value) < 1e15 or not value:
        return shown
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("not a JSON number")
    minus, shown = ("-", shown[1:]) if shown[0] == "-" else ("", shown)
    mantissa, _, exponent = shown.partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    # The value is 0.digits * 10 ** point.
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if -15 < point <= 0:
        return f"{minus}0.{'0' * -point}{digits}"
    if 0 < point < len(digits):
        return f"{minus}{digits[:point]}.{digits[point:]}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{minus}{digits[0]}{rest}e{point - 1}"


def _opaque(code: int, raw: bytes) -> str:
    """A value of an SQL type: decimals and dates have a text of their own, others are written in base 64."""
    special = _SPECIAL.get(code)
    if special is not None:
        return special(raw)
    return encode_basestring(f"base64:type{code}:{encodebytes(raw).decode().rstrip()}")


def _decimal(raw: bytes) -> str:
    precision, scale = raw[0], raw[1]
    if len(raw) != 2 + decimal_size(precision, scale):
        raise ValueError("not a decimal")
    return _decimal_of(precision, scale)(int.from_bytes(raw[2:], "big"))


_decimal_of: Callable[[int, int], Callable[[int], str]] = functools.lru_cache(maxsize=256)(decimal_text)


def _date(raw: bytes) -> str:
    return f'"{_moment(raw)[0]}"'


def _datetime(raw: bytes) -> str:
    return '"{} {}"'.format(*_moment(raw))


def _moment(raw: bytes) -> tuple[str, str]:
    """17 bits of year * 13 + month, 5 of days, 17 of time, 24 of microseconds."""
    (packed,) = _PACKED.unpack(raw)
    if packed < 0:
        raise ValueError("a date before all dates")
    day = packed >> 41
    year, month = divmod(day >> 5, 13)
    return f"{year:04d}-{month:02d}-{day & 31:02d}", _clock(packed & 0x1FF_FFFF_FFFF)


def _time(raw: bytes) -> str:
    (packed,) = _PACKED.unpack(raw)
    return f'"{"-" if packed < 0 else ""}{_clock(abs(packed))}"'


def _clock(packed: int) -> str:
    whole, fraction = packed >> 24, packed & 0xFF_FFFF
    return f"{whole >> 12:02d}:{whole >> 6 & 63:02d}:{whole & 63:02d}.{fraction:06d}"


_SPECIAL: dict[int, Callable[[bytes], str]] = {
    Code.NEWDECIMAL: _decimal,
    Code.DATE: _date,
    Code.DATETIME: _datetime,
    Code.TIMESTAMP: _datetime,
    Code.TIME: _time,
}

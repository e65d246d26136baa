"""MySQL's binary JSON, as the very text that the server makes of it in a SELECT. Bytes in, text out.

https://dev.mysql.com/doc/dev/mysql-server/latest/json__binary_8h.html

Offsets are checked before they are used. The parts of a document lie apart, so that all of them together are no longer
than it is: a document whose parts share bytes, which could unfold without end, is refused.
"""

from __future__ import annotations

import functools
from base64 import encodebytes
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring
from operator import add
from struct import Struct

from replicator.engines.mysql.numerals import decimal_size, decimal_text
from replicator.engines.mysql.tablemap import Code

DEPTH = 100
"""How deep arrays and objects may lie in one another, on the server too."""

_KEPT = 4_096
_LITERALS = ("null", "true", "false")
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
_INLINE = frozenset([_LITERAL, _INT16, _UINT16])
_SMALL = (Struct("<HH"), Struct("<HH"), Struct("<BH"), _INLINE)
_LARGE = (Struct("<II"), Struct("<IH"), Struct("<BI"), _INLINE | {_INT32, _UINT32})
_NO_KEY = Struct("")
_LAYOUTS = (_SMALL, _LARGE, (_SMALL[0], _NO_KEY, *_SMALL[2:]), (_LARGE[0], _NO_KEY, *_LARGE[2:]))
"""Small and large objects, then arrays: count and size, a name's place, a value's, what lies in its place."""


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
        if kind == _STRING:
            start, size = (at + 1, self.data[at]) if self.data[at] < 128 else self._length(at, end)
            return encode_basestring(self._take(start, size, end).decode())
        if kind <= 3:
            return self._container(kind, at, end, depth)
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
        head, key, entry, inline = _LAYOUTS[kind]
        count, size = head.unpack_from(self.data, start)
        entries = start + head.size + count * key.size
        places = entries + count * entry.size
        stop = start + size
        self.left -= places - start
        if depth >= DEPTH or stop > end or places > stop or self.left < 0:
            raise ValueError("a JSON value reaches beyond its place, or lies too deep")
        parts = []
        for part, offset in entry.iter_unpack(self.data[entries:places]):
            if part in inline:
                parts.append(_inline(part, offset))
            elif start + offset >= places:
                parts.append(self.value(part, start + offset, stop, depth + 1))
            else:
                raise ValueError("a JSON value lies in what is not its place")
        if kind > 1:
            return f"[{', '.join(parts)}]"
        names = self._names(key.iter_unpack(self.data[start + head.size : entries]), start, stop)
        return f"{{{', '.join(map(add, names, parts))}}}"

    def _names(self, places: Iterable[tuple[int, int]], start: int, end: int) -> list[str]:
        names = []
        for offset, size in places:
            at = start + offset
            self.left -= size
            if at + size > end or self.left < 0:
                raise ValueError("a JSON name reaches beyond its place")
            names.append(_names[self.data[at : at + size]])
        return names


class _Names(dict[bytes, str]):
    """Names as they stand before a value: the same ones come again and again."""

    def __missing__(self, raw: bytes) -> str:
        if len(self) >= _KEPT:
            self.clear()
        name = self[raw] = f"{encode_basestring(raw.decode())}: "
        return name


_names = _Names()


def _inline(kind: int, value: int) -> str:
    """A value that lies in the place of its offset."""
    if kind == _INT16:
        value &= 0xFFFF
        return str(value - 0x1_0000 if value & 0x8000 else value)
    if kind == _LITERAL:
        return _LITERALS[value]
    if kind == _UINT16:
        return str(value & 0xFFFF)
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

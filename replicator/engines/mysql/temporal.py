"""Dates and times: from a row image's packed forms to canonical text.

https://dev.mysql.com/doc/dev/mysql-server/latest/my__time_8h.html

A day and a time of day come again and again: their text is kept, up to a bound.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date as Day

from replicator.engines.mysql.rowimage import Decode
from replicator.model.values import Value

_KEPT = 20_000
_EPOCH = Day(1970, 1, 1).toordinal()
_DAY_S = 86_400
_SIGNED_END = 1 << 31
ZERO_TIMESTAMP = "0000-00-00 00:00:00+00"


class _Kept(dict[int, str]):
    """The text of a number, made once."""

    def __init__(self, text_of: Callable[[int], str]) -> None:
        self._text_of = text_of

    def __missing__(self, number: int) -> str:
        if len(self) >= _KEPT:
            self.clear()
        text = self[number] = self._text_of(number)
        return text


def _date_text(year: int, month: int, day: int) -> str:
    if year > 9999 or month > 12 or day > 31:
        raise ValueError("not a date")
    return f"{year:04d}-{month:02d}-{day:02d}"


def _time_text(hour: int, minute: int, second: int, last_hour: int = 23) -> str:
    if hour > last_hour or minute > 59 or second > 59:
        raise ValueError("not a time")
    return f"{hour:02d}:{minute:02d}:{second:02d}"


def _clock(packed: int) -> str:
    """6 bits of minutes and of seconds each, below the hours."""
    return f" {_time_text(packed >> 12, packed >> 6 & 63, packed & 63)}"


def _month_day(packed: int) -> str:
    """5 bits of days; above them year * 13 + month."""
    year, month = divmod(packed >> 5, 13)
    return _date_text(year, month, packed & 31)


_dates = _Kept(lambda packed: _date_text(packed >> 9, packed >> 5 & 15, packed & 31))
_days = _Kept(_month_day)
_clocks = _Kept(_clock)
_days_since_1970 = _Kept(lambda days: Day.fromordinal(_EPOCH + days).isoformat())
_seconds = _Kept(lambda second: f" {_time_text(second // 3600, second // 60 % 60, second % 60)}")


def date(data: bytes, at: int, values: list[Value]) -> int:
    """Three bytes, little-endian: 15 bits of years, 4 of months, 5 of days."""
    end = at + 3
    values.append(_dates[int.from_bytes(data[at:end], "little")])
    return end


def _fraction_size(digits: int) -> int:
    if not 0 <= digits <= 6:
        raise ValueError("not digits of a second's fraction")
    return (digits + 1) // 2


def fraction_text(value: int, size: int) -> str:
    """`.5` from a fraction of `size` bytes, which holds two digits a byte; nothing from none."""
    if not value:
        return ""
    if value >= 100**size:
        raise ValueError("not a fraction of a second")
    return f".{value:0{2 * size}d}".rstrip("0")


def datetime(digits: int) -> Decode:
    """Five bytes, big-endian: a bit that is 1, 17 bits of year * 13 + month, 5 of days, 17 of time; the fraction."""
    size = _fraction_size(digits)

    def decode(data: bytes, at: int, values: list[Value]) -> int:
        start = at + 5
        packed = int.from_bytes(data[at:start], "big") - 0x80_0000_0000
        if packed < 0:
            raise ValueError("a date before all dates")
        end = start + size
        fraction = fraction_text(int.from_bytes(data[start:end], "big"), size)
        values.append(_days[packed >> 17] + _clocks[packed & 0x1FFFF] + fraction)
        return end

    def whole(data: bytes, at: int, values: list[Value]) -> int:
        end = at + 5
        packed = int.from_bytes(data[at:end], "big") - 0x80_0000_0000
        if packed < 0:
            raise ValueError("a date before all dates")
        values.append(_days[packed >> 17] + _clocks[packed & 0x1FFFF])
        return end

    return decode if size else whole


def timestamp(digits: int, *, unsigned: bool) -> Decode:
    """Seconds since 1970 in four bytes, big-endian, and the fraction. `unsigned`: up to the year 2106 (MariaDB 11.5).

    0 is no instant but the zero date: the least that can be stored is one second later, on MariaDB a microsecond.
    """
    size = _fraction_size(digits)
    limit = 1 << 32 if unsigned else _SIGNED_END

    def decode(data: bytes, at: int, values: list[Value]) -> int:
        start = at + 4
        end = start + size
        seconds = int.from_bytes(data[at:start], "big")
        fraction = int.from_bytes(data[start:end], "big")
        values.append(_instant(seconds, fraction_text(fraction, size), limit))
        return end

    return decode


def _instant(seconds: int, fraction: str, limit: int) -> str:
    if not seconds and not fraction:
        return ZERO_TIMESTAMP
    if seconds >= limit:
        raise ValueError("an instant out of range")
    day, second = divmod(seconds, _DAY_S)
    return f"{_days_since_1970[day]}{_seconds[second]}{fraction}+00"


def time(digits: int) -> Decode:
    """Three bytes, big-endian, and the fraction, as one number above or below the middle: 10 bits of hours, 6, 6."""
    size = _fraction_size(digits)
    width = 8 * size
    middle = 0x80_0000 << width
    below = (1 << width) - 1

    def decode(data: bytes, at: int, values: list[Value]) -> int:
        end = at + 3 + size
        packed = int.from_bytes(data[at:end], "big") - middle
        minus = "-" if packed < 0 else ""
        packed = abs(packed)
        whole = packed >> width
        clock = _time_text(whole >> 12, whole >> 6 & 63, whole & 63, 838)
        values.append(f"{minus}{clock}{fraction_text(packed & below, size)}")
        return end

    return decode


def old_time(data: bytes, at: int, values: list[Value]) -> int:
    """The form of before 5.6: hours, minutes and seconds as one decimal number in three bytes."""
    end = at + 3
    number = int.from_bytes(data[at:end], "little", signed=True)
    minus = "-" if number < 0 else ""
    rest, second = divmod(abs(number), 100)
    values.append(f"{minus}{_time_text(rest // 100, rest % 100, second, 838)}")
    return end


def old_datetime(data: bytes, at: int, values: list[Value]) -> int:
    """The form of before 5.6: all digits as one decimal number in eight bytes."""
    end = at + 8
    days, clock = divmod(int.from_bytes(data[at:end], "little"), 10**6)
    date = _date_text(days // 10_000, days // 100 % 100, days % 100)
    values.append(f"{date} {_time_text(clock // 10_000, clock // 100 % 100, clock % 100)}")
    return end


def old_timestamp(*, unsigned: bool) -> Decode:
    """The form of before 5.6: seconds since 1970 in four bytes, little-endian."""
    limit = 1 << 32 if unsigned else _SIGNED_END

    def decode(data: bytes, at: int, values: list[Value]) -> int:
        end = at + 4
        values.append(_instant(int.from_bytes(data[at:end], "little"), "", limit))
        return end

    return decode

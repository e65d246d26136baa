"""Text, bytes, labels, and what lies in them: UUIDs, network addresses, geometries.

https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Table__map__event.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

from replicator.engines.mysql.rowimage import Decode
from replicator.model.values import Value

_KEPT = 4_096
_EWKB_SRID = 0x20
_WKB_KINDS = range(1, 8)


def prefixed(size: int, value_of: Callable[[bytes], Value]) -> Decode:
    """A value behind its length, which has `size` bytes."""
    if size == 1:
        return _short(value_of)

    def decode(data: bytes, at: int, values: list[Value]) -> int:
        start = at + size
        end = start + int.from_bytes(data[at:start], "little")
        values.append(value_of(data[start:end]))
        return end

    return decode


def _short(value_of: Callable[[bytes], Value]) -> Decode:
    def decode(data: bytes, at: int, values: list[Value]) -> int:
        start = at + 1
        end = start + data[at]
        values.append(value_of(data[start:end]))
        return end

    return decode


def padded(size: int) -> Callable[[bytes], bytes]:
    """BINARY(n): the log has no NULs at its end."""

    def value_of(raw: bytes) -> bytes:
        if len(raw) > size:
            raise ValueError("more bytes than the column has")
        return raw.ljust(size, b"\0")

    return value_of


def enum(size: int, labels: Sequence[str]) -> Decode:
    """The number of a label, from 1; 0 is the empty string that stands for a wrong value."""
    every = ("", *labels)

    def decode(data: bytes, at: int, values: list[Value]) -> int:
        end = at + size
        values.append(every[int.from_bytes(data[at:end], "little")])
        return end

    return decode


class _Sets(dict[int, str]):
    """The text of a set's bits."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)

    def __missing__(self, bits: int) -> str:
        if bits >> len(self._labels):
            raise ValueError("a member that the set has not")
        if len(self) >= _KEPT:
            self.clear()
        text = ",".join(label for number, label in enumerate(self._labels) if bits >> number & 1)
        self[bits] = text
        return text


def label_set(size: int, labels: Sequence[str]) -> Decode:
    """A bit for each member that is there."""
    sets = _Sets(labels)

    def decode(data: bytes, at: int, values: list[Value]) -> int:
        end = at + size
        values.append(sets[int.from_bytes(data[at:end], "little")])
        return end

    return decode


def geometry(raw: bytes) -> str:
    """EWKB in hexadecimal, from a SRID of four bytes and WKB."""
    if len(raw) < 13 or raw[4] != 1 or int.from_bytes(raw[5:9], "little") not in _WKB_KINDS:
        raise ValueError("not a geometry")
    if raw[:4] == b"\0\0\0\0":
        return raw[4:].hex().upper()
    return b"".join((raw[4:8], bytes([raw[8] | _EWKB_SRID]), raw[:4], raw[9:])).hex().upper()


def plain(raw: bytes) -> bytes:
    return raw


def vector(raw: bytes) -> bytes:
    if len(raw) % 4:
        raise ValueError("not numbers of four bytes")
    return raw


def inet4(raw: bytes) -> str:
    return str(IPv4Address(raw.ljust(4, b"\0")))


def inet6(raw: bytes) -> str:
    """As MariaDB writes it: the longest run of zeros, the first of equals, as `::`; IPv4 in its own form behind it."""
    raw = _whole(raw)
    words = [int.from_bytes(raw[at : at + 2], "big") for at in range(0, 16, 2)]
    start, length = _longest_zeros(words)
    if start == 0 and (length == 6 or (length == 5 and words[5] == 0xFFFF)):
        return f"::{'ffff:' if length == 5 else ''}{IPv4Address(raw[12:])}"
    if not length:
        return ":".join(f"{word:x}" for word in words)
    head = ":".join(f"{word:x}" for word in words[:start])
    tail = ":".join(f"{word:x}" for word in words[start + length :])
    return f"{head}::{tail}"


def _longest_zeros(words: Sequence[int]) -> tuple[int, int]:
    best = start = length = 0
    for at, word in enumerate(words):
        length = 0 if word else length + 1
        if length > best:
            best, start = length, at - length + 1
    return start, best


def uuid(raw: bytes) -> str:
    """MariaDB keeps UUIDs of versions 1 to 5 with their parts in reverse order.

    https://mariadb.com/docs/server/reference/data-types/string-data-types/uuid-data-type
    """
    raw = _whole(raw)
    if raw[6] & 0x80 and 0 < raw[8] <= 0x80:
        raw = raw[12:] + raw[10:12] + raw[8:10] + raw[6:8] + raw[:6]
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _whole(raw: bytes) -> bytes:
    if len(raw) > 16:
        raise ValueError("more than sixteen bytes")
    return raw.ljust(16, b"\0")

"""The text of a row, by the protocol's rules; how packets are cut is tried with a connection of one's own making."""

from __future__ import annotations

import struct
from typing import Any

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.engines.mysql.textrows import LARGEST_PACKET, Rows, values
from replicator.errors import NotUnderstood

LENGTHS = (0, 1, 250, 251, 252, 253, 254, 255, 65535, 65536)
CELLS = st.none() | st.binary(max_size=300) | st.sampled_from(LENGTHS).map(lambda n: b"x" * n)


def length(number: int) -> bytes:
    """https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_dt_integers.html"""
    if number < 251:
        return bytes([number])
    if number < 1 << 16:
        return b"\xfc" + struct.pack("<H", number)
    if number < 1 << 24:
        return b"\xfd" + struct.pack("<I", number)[:3]
    return b"\xfe" + struct.pack("<Q", number)


def packed(row: tuple[bytes | None, ...]) -> bytes:
    return b"".join(b"\xfb" if cell is None else length(len(cell)) + cell for cell in row)


def packets(content: bytes) -> bytes:
    """Contents of 16 MiB and more go on in the next packet."""
    found = b""
    while True:
        part, content = content[:LARGEST_PACKET], content[LARGEST_PACKET:]
        found += struct.pack("<I", len(part))[:3] + b"\0" + part
        if len(part) < LARGEST_PACKET:
            return found


class Pieces:
    """A file that gives its content in pieces of one's own size."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size = data, size

    def read1(self, wanted: int) -> bytes:
        size = min(self._size, wanted)
        found, self._data = self._data[:size], self._data[size:]
        return found


def read(data: bytes, size: int) -> list[tuple[bytes | None, ...]]:
    rows = object.__new__(Rows)
    connection: Any = type("C", (), {"_rfile": Pieces(data, size), "_force_close": lambda self: None, "open": True})()
    rows._connection, rows._data, rows._ended = connection, b"", False
    return [row for batch, _ in rows.batches() for row in batch]


EOF = packets(b"\xfe\0\0\0\0")


@given(st.lists(st.tuples(CELLS, CELLS), max_size=8), st.integers(1, 70_000))
def test_rows_come_whole_however_their_bytes_are_cut(rows: list[tuple[bytes | None, ...]], size: int) -> None:
    data = b"".join(packets(packed(row)) for row in rows) + EOF
    assert read(data, max(size, len(data) // 500)) == rows


@pytest.mark.parametrize("more", [-10, -4, 0, 10])
def test_a_row_of_several_packets(more: int) -> None:
    row = (b"a" * (LARGEST_PACKET + more), None, b"end")
    assert read(packets(packed(row)) + packets(packed((b"next",))) + EOF, 1 << 20) == [row, (b"next",)]


def test_what_is_no_row_is_an_error() -> None:
    for wrong in (b"\x05abc", b"\xff", b"\xfc"):
        with pytest.raises((NotUnderstood, struct.error)):
            values(wrong, 0, len(wrong))


def test_an_error_among_the_rows_is_the_drivers() -> None:
    error = packets(b"\xff" + struct.pack("<H", 1317) + b"#70100Query execution was interrupted")
    with pytest.raises(pymysql.err.OperationalError, match="interrupted"):
        read(packets(packed((b"a",))) + error, 100)
    with pytest.raises(pymysql.err.OperationalError, match="closed"):
        read(packets(packed((b"a",))), 100)

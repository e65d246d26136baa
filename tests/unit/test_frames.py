"""Packets from a socket, however they come."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.engines.mysql import frames
from replicator.engines.mysql.frames import Frames
from replicator.errors import NotUnderstood, Retryable


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packets that are as large as they may be, of 7 bytes."""
    monkeypatch.setattr(frames, "LARGEST_PACKET", 7)
    monkeypatch.setattr(frames, "LARGEST_CONTENT", 40)


def framed(contents: list[bytes], largest: int, first: int = 1) -> bytes:
    sequence, found = first, b""
    for content in contents:
        parts = [content[at : at + largest] for at in range(0, len(content) + 1, largest)]
        for part in parts:
            found += len(part).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + part
            sequence += 1
    return found


def received(data: bytes, cuts: list[int]) -> list[bytes]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        line = Frames(ours, "there")
        found: list[bytes] = []
        at = 0
        for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
            theirs.sendall(data[at:cut])
            at = cut
            while (content := line.next()) is not None:
                found.append(content)
        return found


@given(st.lists(st.binary(max_size=30), max_size=20), st.lists(st.integers(0, 1000), max_size=10))
def test_every_packet_comes_whole_and_in_order(contents: list[bytes], cuts: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "LARGEST_PACKET", 7)
        assert received(framed(contents, 7), cuts) == contents
    assert received(framed(contents, 1 << 24), cuts) == contents


def test_sequence_numbers_go_round() -> None:
    contents = [b"%d" % number for number in range(700)]
    assert received(framed(contents, 1 << 24, first=250), []) == contents


@pytest.fixture
def ends() -> Iterator[tuple[Frames, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Frames(ours, "there"), theirs


def test_a_packet_that_is_missing_is_noticed(ends: tuple[Frames, socket.socket]) -> None:
    line, theirs = ends
    theirs.sendall(framed([b"a"], 100, first=1) + framed([b"c"], 100, first=3))
    assert line.next() == b"a"
    with pytest.raises(Retryable, match="missing"):
        line.next()


def test_an_end_in_the_middle_is_no_packet(ends: tuple[Frames, socket.socket]) -> None:
    line, theirs = ends
    theirs.sendall(framed([b"abcdef"], 100)[:-2])
    assert line.next() is None
    theirs.close()
    with pytest.raises(Retryable, match="closed"):
        line.next()


@pytest.mark.usefixtures("small")
def test_a_packet_without_an_end_stops(ends: tuple[Frames, socket.socket]) -> None:
    line, theirs = ends
    theirs.sendall(framed([b"x" * 50], 7))
    with pytest.raises(NotUnderstood, match="larger"):
        line.next()


def test_a_silent_server_is_taken_for_gone(ends: tuple[Frames, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    line, theirs = ends
    line.wait(0)
    monkeypatch.setattr(frames, "SILENCE_S", -1.0)
    with pytest.raises(Retryable, match="heartbeat"):
        line.wait(0)
    theirs.sendall(b"x")
    line.wait(10)


def test_the_driver_has_what_the_dump_uses() -> None:
    """Names that PyMySQL does not promise to keep: https://github.com/PyMySQL/PyMySQL."""
    connection = pymysql.connections.Connection(defer_connect=True)
    assert callable(connection._execute_command) and callable(connection._force_close)
    assert connection._sock is None

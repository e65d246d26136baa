"""The decoder against an encoder written from the specification's tables."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.engines.postgres import pgoutput
from replicator.errors import NotUnderstood
from replicator.model.values import MISSING

CELL = st.one_of(st.none(), st.just(MISSING), st.binary(max_size=40))
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


def encoded(cells: list[object]) -> bytes:
    out = pack(">h", len(cells))
    for cell in cells:
        if cell is None:
            out += b"n"
        elif cell is MISSING:
            out += b"u"
        else:
            assert isinstance(cell, bytes)
            out += b"t" + pack(">I", len(cell)) + cell
    return out


@given(st.lists(CELL, max_size=30), st.binary(max_size=10), st.binary(max_size=10))
def test_tuples(cells: list[object], before: bytes, after: bytes) -> None:
    message = before + encoded(cells) + after
    values, end = pgoutput.row(message, len(before), [bytes] * len(cells))
    assert values == cells
    assert end == len(message) - len(after)


def test_a_tuple_of_another_width_is_not_understood() -> None:
    with pytest.raises(NotUnderstood, match="2 columns"):
        pgoutput.row(encoded([b"1", b"2"]), 0, [bytes])


def test_binary_values_are_not_understood() -> None:
    with pytest.raises(NotUnderstood, match="kind 98"):
        pgoutput.row(pack(">h", 1) + b"b" + pack(">I", 1) + b"x", 0, [bytes])


def test_the_broken_column_is_found() -> None:
    message = encoded([b"1", None, MISSING, b"x", b"2"])
    assert pgoutput.broken_column(message, 0, [int] * 5) == 3


@given(NAMES, NAMES, st.lists(st.tuples(st.booleans(), NAMES, st.integers(0, 2**32 - 1), st.integers(-1, 2**31 - 1))))
def test_relations(schema: str, name: str, columns: list[tuple[bool, str, int, int]]) -> None:
    message = b"R" + pack(">I", 7) + schema.encode() + b"\0" + name.encode() + b"\0" + b"f" + pack(">h", len(columns))
    for key, column, oid, modifier in columns:
        message += pack(">B", key) + column.encode() + b"\0" + pack(">Ii", oid, modifier)
    found = pgoutput.relation(message)
    assert (found.oid, found.schema, found.name, found.identity) == (7, schema, name, "f")
    assert [(c.key, c.name, c.type_oid, c.modifier) for c in found.columns] == columns


def test_begin_commit_and_truncate() -> None:
    begin = pgoutput.begin(b"B" + pack(">QqI", 0x1_0000_0002, 1_000_000, 99))
    assert begin == (0x1_0000_0002, 946_684_801.0, 99)
    commit = pgoutput.commit(b"C" + pack(">BQQq", 0, 10, 20, -1_000_000))
    assert commit == (10, 20, 946_684_799.0)
    truncate = pgoutput.truncate(b"T" + pack(">IB", 2, 3) + pack(">II", 5, 6))
    assert truncate == ((5, 6), True, True)

"""Random histories through the applier end where a plain replay ends (design rule 9).

Histories have key moves, swaps of a second unique column (deferrable at the source: the rule holds at commit only),
updates with values that were not sent, deletes followed by inserts of the same key, and batches cut anywhere.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicator.model.builder import Builder, Limits
from replicator.model.change import Batch, Change, Rows, StreamMark
from replicator.model.values import MISSING, Row
from tests.unit.streams import ITEMS, LOOSE, Number, stream

KEYS = st.integers(1, 5)
UNIQUES = st.one_of(st.none(), st.integers(1, 5))
OPERATIONS = st.one_of(
    st.tuples(st.just("insert"), KEYS, UNIQUES, st.text("ab", max_size=2)),
    st.tuples(st.just("update"), KEYS, UNIQUES, st.one_of(st.none(), st.text("ab", max_size=2))),
    st.tuples(st.just("move"), KEYS, KEYS, st.booleans()),
    st.tuples(st.just("swap"), KEYS, KEYS, st.booleans()),
    st.tuples(st.just("delete"), KEYS, st.none(), st.none()),
    st.tuples(st.just("commit"), st.none(), st.none(), st.none()),
)


class Source:
    """A table with a primary key and a deferrable unique column, and the log that its changes leave."""

    def __init__(self, limits: Limits) -> None:
        self.rows: dict[int, tuple[int | None, str]] = {}
        self.committed: dict[int, tuple[int | None, str]] = {}
        self.builder = Builder(limits)
        self.batches: list[Batch] = []
        self.position = 0
        for key in (1, 2, 3):
            self.do("insert", key, key, "xyz"[key - 1])
        self.commit()
        self.drain()

    def do(self, op: str, key: int, other: object, value: object) -> None:
        self.builder.begin()
        if op == "insert" and key not in self.rows:
            assert other is None or isinstance(other, int)
            self.rows[key] = (other, str(value))
            self._log("insert", (key, other, str(value)), None)
        elif op == "update" and key in self.rows:
            assert other is None or isinstance(other, int)
            kept = self.rows[key][1]
            self.rows[key] = (other, kept if value is None else str(value))
            self._log("update", (key, other, MISSING if value is None else str(value)), (key,))
        elif op == "move" and key in self.rows and isinstance(other, int) and other not in self.rows:
            row = self.rows[other] = self.rows.pop(key)
            self._log("update", (other, row[0], MISSING if value else row[1]), (key,))
        elif op == "swap" and key in self.rows and other in self.rows and key != other:
            assert isinstance(other, int)
            (a, text_a), (b, text_b) = self.rows[key], self.rows[other]
            self.rows[key], self.rows[other] = (b, text_a), (a, text_b)
            self._log("update", (key, b, MISSING if value else text_a), (key,))
            self._log("update", (other, a, MISSING if value else text_b), (other,))
        elif op == "delete" and key in self.rows:
            del self.rows[key]
            self._log("delete", None, (key,))

    def _log(self, op: str, row: Row | None, key: Row | None) -> None:
        self.builder.row(ITEMS, op, row, key, 1)  # type: ignore[arg-type]
        if self.builder.full and (part := self.builder.take()) is not None:
            self.batches.append(part)

    @property
    def valid(self) -> bool:
        taken = [u for u, _ in self.rows.values() if u is not None]
        return len(taken) == len(set(taken))

    def commit(self) -> None:
        """A transaction that leaves the unique column broken could not commit; it is not ended yet."""
        if self.builder.open and self.valid:
            self.position += 1
            self.builder.commit(Number(self.position), 0.0, 1)
            self.committed = dict(self.rows)

    def drain(self) -> None:
        while (batch := self.builder.take()) is not None:
            self.batches.append(batch)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OPERATIONS, max_size=30), st.integers(1, 40), st.booleans())
def test_net_effect_is_the_replay(operations: list[tuple[str, int, object, object]], limit: int, eager: bool) -> None:
    source = Source(Limits(rows=limit))
    for op, key, other, value in operations:
        if op == "commit":
            source.commit()
            if eager:
                source.drain()
        else:
            source.do(op, key, other, value)
    while not source.valid:
        source.do("delete", next(iter(source.rows)), None, None)
    source.commit()
    source.drain()
    with tempfile.TemporaryDirectory() as directory, stream(Path(directory) / "t.db", ITEMS) as target:
        for batch in source.batches:
            target.applier.apply(batch)
        found = target._session.execute("SELECT id, u, v FROM items").fetchall()  # type: ignore[union-attr]
        assert {key: (u, v) for key, u, v in found} == source.committed
        mark = target.ledger.peek("test")
        assert mark is not None and mark.mark == str(source.position)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("iud"), st.integers(0, 2), st.integers(0, 2)), max_size=25))
def test_rows_without_a_key_change_one_by_one(operations: list[tuple[str, int, int]]) -> None:
    bag: list[tuple[int, str | None]] = []
    changes: list[Change] = []
    for op, a, b in operations:
        text = None if b == 0 else str(b)
        if op == "i":
            bag.append((a, text))
            changes.append(Rows(LOOSE, "insert", [(a, text)], []))
        elif bag:
            old = bag.pop(b % len(bag))
            if op == "u":
                bag.append((a, text))
                changes.append(Rows(LOOSE, "update", [(a, text)], [old]))
            else:
                changes.append(Rows(LOOSE, "delete", [], [old]))
    with tempfile.TemporaryDirectory() as directory, stream(Path(directory) / "t.db", LOOSE) as target:
        target.applier.apply(Batch(tuple(changes), (), StreamMark(Number(1))))
        found = target._session.execute("SELECT a, b FROM loose").fetchall()  # type: ignore[union-attr]
        assert sorted(map(repr, found)) == sorted(map(repr, bag))

"""Batches: whole transactions, or a part of one that is too large."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replicator.model.builder import Builder, Limits
from replicator.model.change import Batch, Rows, StreamMark, Truncate
from replicator.model.values import Row
from tests.unit.streams import ITEMS, LOOSE, Number

CHANGES = st.sampled_from(["a", "b", "t"])


@given(st.lists(st.lists(CHANGES, max_size=12), max_size=8), st.integers(1, 15), st.integers(1, 4))
def test_every_change_comes_once_and_in_order(transactions: list[list[str]], limit: int, every: int) -> None:
    """Whatever the limits, and whenever the batches are taken."""
    builder = Builder(Limits(rows=limit))
    batches: list[Batch] = []
    expected: list[object] = []
    step = 0

    def take() -> None:
        while (batch := builder.take()) is not None:
            batches.append(batch)

    for number, changes in enumerate(transactions, start=1):
        builder.begin()
        for kind in changes:
            step += 1
            if kind == "t":
                builder.truncate((ITEMS,))
                expected.append("truncate")
            else:
                table = ITEMS if kind == "a" else LOOSE
                builder.row(table, "insert", (step,), None, 1)
                expected.append((table.name.name, step))
            if builder.full:
                take()
        builder.commit(Number(number), 0.0, number)
        expected.append(f"commit {number}")
        if step % every == 0:
            take()
    take()

    assert [item for batch in batches for item in _flowed(batch)] == expected


def _flowed(batch: Batch) -> list[object]:
    """The batch's changes and, where they stand among them, its commits."""
    assert batch.complete == (batch.mark is not None)
    items: list[object] = []
    for change in batch.changes:
        if isinstance(change, Truncate):
            items.append("truncate")
        else:
            assert isinstance(change, Rows)
            items += [(change.table.name.name, row[0]) for row in change.rows]
    assert len(items) == batch.rows
    for commit in reversed(batch.commits):
        items.insert(commit.end, f"commit {commit.xid}")
    return items


def test_parts_carry_no_mark_and_the_last_one_does() -> None:
    builder = Builder(Limits(rows=2))
    builder.begin()
    parts = []
    for n in range(5):
        builder.row(ITEMS, "insert", (n,), None, 1)
        if builder.full and (part := builder.take()):
            parts.append(part)
    builder.commit(Number(7), 1.0, 3)
    last = builder.take()
    assert last is not None
    assert [part.complete for part in parts] == [False, False]
    assert last.complete and last.mark == StreamMark(Number(7))
    assert builder.take() is None


def test_runs_span_transactions() -> None:
    builder = Builder(Limits())
    for n in (1, 2):
        builder.begin()
        builder.row(ITEMS, "insert", (n,), None, 1)
        builder.commit(Number(n), 0.0, n)
    batch = builder.take()
    assert batch is not None
    (run,) = batch.changes
    assert isinstance(run, Rows) and run.rows == [(1,), (2,)]
    assert [commit.end for commit in batch.commits] == [1, 2]


@given(st.lists(st.booleans(), min_size=1, max_size=20), st.data())
def test_a_transaction_cut_anywhere_and_read_again_is_whole(followed: list[bool], data: st.DataObject) -> None:
    """`followed`: is each change for us? The mark of a cut counts all of them; a reader that starts there passes on the
    rest, whatever was cut before."""
    applied: list[object] = []
    within = 0
    while within < len(followed):
        cut = data.draw(st.integers(within, len(followed)))
        builder = Builder(Limits())
        builder.skip(within)
        builder.begin()
        for number, ours in enumerate(followed):
            if builder.passes() and ours:
                builder.row(ITEMS, "insert", (number,), None, 1)
            if builder.within == cut:
                batch = builder.cut(Number(7))
                assert (batch.mark, batch.complete, batch.commits) == (StreamMark(Number(7), cut), True, ())
                applied += [row[0] for row in _rows(batch)]
                break
        if cut == within:
            break
        within = cut
    builder = Builder(Limits())
    builder.skip(within)
    for position, changes in ((8, followed), (9, [True])):  # only the first transaction is one that was begun
        builder.begin()
        for number, ours in enumerate(changes):
            if builder.passes() and ours:
                builder.row(ITEMS, "insert", (number + 100 * (position - 8),), None, 1)
        builder.commit(Number(position), 0.0, position)
    last = builder.take()
    assert last is not None and last.mark == StreamMark(Number(9))
    applied += [row[0] for row in _rows(last)]
    assert applied == [number for number, ours in enumerate(followed) if ours] + [100]


def _rows(batch: Batch) -> list[Row]:
    return [row for change in batch.changes if isinstance(change, Rows) for row in change.rows]

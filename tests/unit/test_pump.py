"""The pump between a scripted log and a real SQLite file, with an applier that fails."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from replicator.errors import Fenced, Retryable
from replicator.model.builder import Builder, Limits
from replicator.model.change import Batch
from replicator.model.position import Position
from replicator.model.stream import Followed, Identity
from replicator.pipeline import pump as pump_module
from replicator.pipeline.progress import Report
from replicator.pipeline.pulse import Pulse
from replicator.pipeline.pump import Pump
from replicator.pipeline.retry import until_done
from replicator.pipeline.stop import Stop
from tests.support.faults import FaultyApplier
from tests.unit.streams import ITEMS, Number, followed, stream

IDENTITY = Identity("test", "0" * 32)


class Log:
    """Transactions of single inserts; a reader of it starts after any position and notes what is confirmed."""

    def __init__(self, transactions: int, rows: int = 1) -> None:
        self.batches: list[Batch] = []
        self.confirmed: list[int] = []
        builder = Builder(Limits(rows=5))
        key = 0
        for number in range(1, transactions + 1):
            builder.begin()
            for _ in range(rows):
                key += 1
                builder.row(ITEMS, "insert", (key, key, "x"), None, 100)
                if builder.full and (part := builder.take()):
                    self.batches.append(part)
            builder.commit(Number(number), time.time(), number)
            batch = builder.take()
            assert batch is not None
            self.batches.append(batch)
        self.rows = key


class Reader:
    def __init__(self, log: Log) -> None:
        self.log = log
        self.ticks = 0
        self.closed = False

    def start(self, position: Position, tables: Collection[Followed], within: int = 0) -> None:
        assert isinstance(position, Number)
        skipped = 0
        self.next = 0
        for at, batch in enumerate(self.log.batches):
            if batch.mark is not None:
                skipped += 1
                if skipped <= position.value:
                    self.next = at + 1

    def read(self, timeout: float, idle_after: float) -> Batch | None:
        if self.next == len(self.log.batches):
            time.sleep(timeout)
            return None
        self.next += 1
        return self.log.batches[self.next - 1]

    def seen(self) -> Position:
        return Number(0)

    def tick(self) -> None:
        self.ticks += 1

    def confirm(self, position: Position) -> None:
        assert isinstance(position, Number)
        self.log.confirmed.append(position.value)

    def close(self) -> None:
        self.closed = True


class Run:
    """One stream, pumped as often as `until_done` wants it."""

    def __init__(self, path: Path, log: Log, stop: Stop | None = None) -> None:
        self.path = path
        self.log = log
        self.stop = stop or Stop()
        self.faulty: FaultyApplier | None = None
        self.attempts = 0
        self.readers: list[Reader] = []

    def attempt(self, until: int | None, target: Any) -> None:
        self.attempts += 1
        assert self.faulty is not None
        state = target.ledger.peek("test")
        assert state is not None and state.mark is not None
        reader = Reader(self.log)
        self.readers.append(reader)
        source = SimpleNamespace(head=lambda: Number(0))
        wrapped = SimpleNamespace(ledger=target.ledger, applier=self.faulty.around(target.applier))
        end = None if until is None else Number(until)
        pump = Pump(source, reader, wrapped, self.stop, Report(), Pulse("test"), end)
        try:
            pump.run(Number(int(state.mark)), [followed(ITEMS)])
        except Retryable:
            target.applier.rollback()
            raise


def keys(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [key for (key,) in connection.execute("SELECT id FROM items ORDER BY id")]


Arrange = Callable[[FaultyApplier], object]


@pytest.mark.parametrize("rows", [1, 23], ids=["small transactions", "transactions in parts"])
@pytest.mark.parametrize(
    "arrange",
    [
        lambda faulty: None,
        lambda faulty: faulty.reject(2, lambda: Retryable("rejected")),
        lambda faulty: faulty.fail_after(1, lambda: Retryable("unknown outcome")),
        lambda faulty: faulty.fail_after(3, lambda: Retryable("unknown outcome")),
    ],
    ids=["no fault", "rejected", "written, then failed", "written later, then failed"],
)
def test_every_row_arrives_once(tmp_path: Path, arrange: Arrange, rows: int) -> None:
    log = Log(10, rows)
    run = Run(tmp_path / "t.db", log)
    with stream(run.path, ITEMS) as target:
        run.faulty = FaultyApplier(target.applier).slow(0.01)
        arrange(run.faulty)
        until_done(lambda: run.attempt(10, target), lambda: 0, run.stop, 30.0)
    assert keys(run.path) == list(range(1, log.rows + 1))
    assert run.attempts == (1 if not run.faulty.applied or run.attempts == 1 else 2)
    assert all(reader.closed for reader in run.readers)


def test_nothing_is_confirmed_beyond_what_is_durable(tmp_path: Path) -> None:
    log = Log(50, rows=23)  # five parts each
    run = Run(tmp_path / "t.db", log)
    with stream(run.path, ITEMS) as target:
        run.faulty = FaultyApplier(target.applier)
        gate = run.faulty.hold(7)
        thread = threading.Thread(target=lambda: run.attempt(50, target))
        thread.start()
        assert run.faulty.holding.wait(10)
        time.sleep(0.3)
        assert len(keys(run.path)) == 23
        assert log.confirmed == [1]
        gate.set()
        thread.join(10)
    assert log.confirmed[-1] == 50


def test_a_full_queue_holds_the_reader_back_and_ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "QUEUE_BYTES", 500)
    log = Log(100)
    run = Run(tmp_path / "t.db", log)
    with stream(run.path, ITEMS) as target:
        run.faulty = FaultyApplier(target.applier)
        gate = run.faulty.hold(1)
        thread = threading.Thread(target=lambda: run.attempt(100, target))
        thread.start()
        assert run.faulty.holding.wait(10)
        time.sleep(0.5)
        (reader,) = run.readers
        assert reader.next < 20
        assert reader.ticks > 1
        gate.set()
        thread.join(10)
    assert len(keys(run.path)) == 100


def test_a_stop_inside_a_transaction_in_parts_rolls_it_back(tmp_path: Path) -> None:
    log = Log(1, rows=50)
    run = Run(tmp_path / "t.db", log)
    with stream(run.path, ITEMS) as target:
        run.faulty = FaultyApplier(target.applier)
        gate = run.faulty.hold(3)
        thread = threading.Thread(target=lambda: run.attempt(1, target))
        thread.start()
        assert run.faulty.holding.wait(10)
        run.stop.request()
        gate.set()
        thread.join(10)
        state = target.ledger.peek("test")
        assert state is not None and state.mark == "0"
    assert keys(run.path) == []
    assert log.confirmed == []


def test_an_error_that_will_not_pass_is_raised_at_once(tmp_path: Path) -> None:
    run = Run(tmp_path / "t.db", Log(5))
    with stream(run.path, ITEMS) as target:
        run.faulty = FaultyApplier(target.applier).reject(1, lambda: Fenced("taken"))
        with pytest.raises(Fenced):
            until_done(lambda: run.attempt(5, target), lambda: 0, run.stop, 30.0)
    assert run.attempts == 1


def test_joined_batches_keep_their_commits(tmp_path: Path) -> None:
    batches = [replace(batch) for batch in Log(3).batches]
    joined = pump_module._join(batches)
    assert [commit.end for commit in joined.commits] == [1, 2, 3]
    assert joined.mark == batches[-1].mark and joined.rows == 3

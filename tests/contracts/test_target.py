"""What every target promises as one connection: looking, opening, and giving up."""

from __future__ import annotations

import threading
from contextlib import closing

from replicator.engine import Objects
from replicator.errors import Retryable
from replicator.model.change import Rows
from replicator.model.stream import Beat
from tests.contracts.engines import TargetUnderTest
from tests.contracts.streams import ITEMS, Stream, batch, insert

MANY = 5_000


def test_before_it_is_opened_nothing_is_made(landing: TargetUnderTest) -> None:
    before = landing.inventory()
    with closing(landing.make()) as target:
        assert [f for f in target.findings() if f.level == "refuse"] == []
        if target.look():
            assert target.ledger.names() == []
        assert not target.same_as("{}")
        assert not target.held("s")
    assert landing.inventory() == before


def test_look_reads_what_is_there(stream: Stream) -> None:
    before = stream.end.inventory()
    with closing(stream.end.make()) as target:
        assert target.look()
        assert target.ledger.names() == ["s"]
        assert [f for f in target.findings() if f.level == "refuse"] == []
        assert target.ledger.names() == ["s"]
    assert stream.end.inventory() == before


def test_open_makes_what_is_needed_and_no_bookkeeping(landing: TargetUnderTest) -> None:
    with closing(landing.make()) as target:
        target.open("s")
        assert target.ledger.names() == []
    with closing(landing.make()) as other:
        assert other.look() and other.ledger.names() == []


def test_a_stream_is_held_while_its_run_lives(stream: Stream) -> None:
    with closing(stream.end.make()) as other:
        assert other.look()
        before = stream.end.inventory()
        assert other.held("s")
        assert not other.held("other")
        assert stream.end.inventory() == before
        stream.target.close()
        assert not other.held("s")


def test_a_closed_run_leaves_the_stream_to_the_next(stream: Stream) -> None:
    stream.target.applier.apply(batch(1, insert(1)))
    stream.target.close()
    stream.target.close()  # once more does nothing
    with closing(stream.end.make()) as second:
        second.open("s")
        assert second.held("s")
        assert second.ledger.claim("s", "{}", Objects(), ()).mark == "1"


def test_open_again_is_a_new_connection(stream: Stream) -> None:
    """What was open at its end is given up, as by `close`."""
    stream.target.applier.apply(batch(1, insert(1), complete=False))
    stream.target.open("s")
    stream.target.ledger.claim("s", "{}", Objects(), ())
    stream.target.applier.prepare([stream.items])
    stream.target.applier.apply(batch(1, insert(2)))
    assert (stream.keys(), stream.state().mark) == ([2], "1")


def test_two_streams_write_by_turns(stream: Stream) -> None:
    with closing(stream.end.make()) as other:
        other.open("other")
        other.ledger.claim("other", "{}", Objects(), ())
        stream.target.applier.apply(batch(1, insert(1)))
        other.ledger.record([], source="now")
        stream.target.applier.apply(batch(2, insert(2)))
        assert stream.state("other").source == "now"
    assert stream.keys() == [1, 2]


def test_cancel_ends_what_is_running(stream: Stream) -> None:
    """From another thread, which says it until it is heard: between two statements there is nothing to end."""
    errors: list[BaseException] = []
    rows = Rows(ITEMS, "insert", [(key, key, "x" * 50) for key in range(MANY)], [])

    def apply() -> None:
        try:
            for part in range(1000):
                rows.rows[:] = [(key + MANY * part, key + MANY * part, "x") for key in range(MANY)]
                stream.target.applier.apply(batch(1, rows, complete=False))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=apply)
    thread.start()
    while thread.is_alive():
        stream.target.cancel()
        thread.join(0.002)
    (error,) = errors
    assert isinstance(error, Retryable)
    assert (stream.keys(), stream.state().mark) == ([], "0")
    stream.another_run().applier.apply(batch(1, insert(1)))
    assert stream.keys() == [1]


def test_cancel_where_nothing_runs_does_nothing(landing: TargetUnderTest) -> None:
    with closing(landing.make()) as target:
        target.cancel()
        target.open("s")
        target.cancel()


def test_forget_leaves_nothing_of_the_stream(landing: TargetUnderTest) -> None:
    with closing(landing.make()) as first:
        first.open("kept")
        before = landing.inventory()
        with closing(landing.make()) as target:
            target.open("s")
            target.ledger.claim("s", "{}", Objects(), ())
            target.ledger.beat("s", Beat(1, "here", 1.0, 2.0))
            target.forget()
        assert landing.inventory() == before
        assert not first.held("s")

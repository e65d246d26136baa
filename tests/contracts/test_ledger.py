"""What every ledger promises: the bookkeeping at the target, and the fence."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from replicator.engine import Objects, Target
from replicator.errors import Fenced, PositionLost
from replicator.model.options import TableOptions
from replicator.model.position import NEVER
from replicator.model.schema import Name
from replicator.model.stream import Beat, Followed, Identity, StreamState
from replicator.sql.tables import LedgerTables
from tests.contracts.engines import TargetUnderTest
from tests.contracts.streams import ITEMS, LOOSE, Number, Stream, batch, chunk, insert, landed

BEAT = Beat(4711, "here", 1700000000.25, 1700000005.5, "13", 1 << 40, "the connection was lost", 1.5)


class Unsayable(Number):
    """A position that fails when it is written down."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


def claim(target: Target, name: str = "s", **more: Any) -> StreamState:
    return target.ledger.claim(name, "{}", Objects(), (), **more)


def test_reading_of_nothing_makes_nothing(landing: TargetUnderTest) -> None:
    before = landing.inventory()
    target = landing.make()
    assert [f for f in target.findings() if f.level == "refuse"] == []
    assert target.ledger.names() == []
    assert target.ledger.peek("s") is None
    assert target.ledger.heard("s") is None
    assert target.ledger.owners("s") == {}
    assert landing.inventory() == before
    target.open("s")
    before = landing.inventory()
    assert (target.ledger.names(), target.ledger.peek("s"), target.ledger.heard("s")) == ([], None, None)
    assert target.ledger.owners("s") == {}
    assert landing.inventory() == before


def test_reading_of_a_stream_changes_nothing(stream: Stream) -> None:
    stream.target.ledger.beat("s", BEAT)
    before = stream.end.inventory()
    target = stream.end.make()
    assert target.look()
    for ledger in (target.ledger, stream.target.ledger):
        assert ledger.names() == ["s"]
        state = ledger.peek("s")
        assert state is not None and set(state.tables) == {ITEMS.name, LOOSE.name}
        assert ledger.heard("s") == BEAT
        assert ledger.peek("other") is None and ledger.heard("other") is None
    assert stream.end.inventory() == before


def test_a_new_stream_has_its_row(opened: Target) -> None:
    state = opened.ledger.claim("s", '{"url": "a source"}', Objects("publication", "slot"), ())
    assert (state.phase, state.mark, state.within, state.tables) == ("preparing", None, 0, {})
    assert state.identity == Identity("s", state.identity.uid, "publication", "slot")
    assert state.source == '{"url": "a source"}'
    assert opened.ledger.peek("s") == state
    assert claim(opened, "copies", first="backfill").phase == "backfill"
    assert opened.ledger.names() == ["copies", "s"]


def test_the_uid_is_random_and_stays(opened: Target) -> None:
    state = claim(opened)
    other = claim(opened, "other")
    assert len(state.identity.uid) == 32 and int(state.identity.uid, 16)
    assert state.identity.uid[:8] != other.identity.uid[:8]
    assert claim(opened).identity == state.identity


def test_a_claim_raises_the_epoch_and_nothing_else(stream: Stream) -> None:
    before = stream.state()
    after = claim(stream.target)
    assert after.epoch > before.epoch
    assert replace(after, epoch=0, tables={}) == replace(before, epoch=0, tables={})
    assert {n: f.phase for n, f in after.tables.items()} == {n: f.phase for n, f in before.tables.items()}
    kept = stream.target.ledger.claim("s", "another", Objects("p", "q"), (), first="backfill")
    assert (kept.source, kept.phase, kept.identity) == (before.source, "streaming", before.identity)


def test_while_preparing_the_users_objects_may_change(opened: Target) -> None:
    claim(opened)
    state = opened.ledger.claim("s", "{}", Objects("p", "q"), ())
    assert (state.identity.publication, state.identity.slot) == ("p", "q")


Write = Callable[[Stream], object]
WRITES: dict[str, Write] = {
    "record": lambda s: s.target.ledger.record([replace(s.items, floor="9")]),
    "record mark": lambda s: s.target.ledger.record([], mark=Number(9)),
    "record source": lambda s: s.target.ledger.record([], source="other"),
    "begin_copy": lambda s: s.target.ledger.begin_copy(replace(s.items, phase="copying")),
    "renew": lambda s: s.target.ledger.renew("other"),
    "forget": lambda s: s.target.ledger.forget(),
    "forget all": lambda s: s.target.forget(),
    "apply": lambda s: s.target.applier.apply(batch(1, insert(9))),
    "apply a part": lambda s: s.target.applier.apply(batch(1, insert(9), complete=False)),
    "create": lambda s: s.target.structure.create([landed(s.end, replace(ITEMS, name=Name("public", "new")))], ()),
    "remake": lambda s: s.target.structure.create([s.items], [ITEMS.name]),
    "finish": lambda s: s.target.structure.finish([replace(s.loose, options=TableOptions(digest_column=True))]),
    "drop": lambda s: s.target.structure.drop([s.items]),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_later_claim_fences_every_write(stream: Stream, write: Write) -> None:
    stream.target.applier.apply(batch(1, insert(1)))
    second = stream.another_run()
    before = stream.end.inventory()
    with pytest.raises(Fenced):
        write(stream)
    stream.target.applier.rollback()
    assert stream.end.inventory() == before
    second.applier.apply(batch(2, insert(2)))
    assert (stream.keys(), stream.state().mark) == ([1, 2], "2")


def test_a_later_claim_fences_the_parts_of_a_copy(stream: Stream) -> None:
    stream.target.ledger.begin_copy(replace(stream.items, phase="copying"))
    stream.target.applier.apply(chunk(ITEMS, 1))
    second = stream.another_run()
    with pytest.raises(Fenced):
        stream.target.applier.apply(chunk(ITEMS, 2))
    stream.target.applier.rollback()
    second.applier.apply(chunk(ITEMS, 2, done=True))
    assert stream.keys() == [1, 2]


def test_a_claim_of_another_stream_fences_nothing(stream: Stream) -> None:
    other = stream.end.make()
    other.open("other")
    claim(other, "other")
    stream.target.applier.apply(batch(1, insert(1)))
    assert stream.state().mark == "1"


def test_a_retry_takes_nothing_back(stream: Stream) -> None:
    held = stream.state().epoch
    again = claim(stream.target, held=held)
    assert again.epoch > held
    second = stream.another_run()
    with pytest.raises(Fenced):
        claim(stream.target, held=again.epoch)
    second.applier.apply(batch(1, insert(1)))
    assert stream.state().mark == "1"


def test_a_retry_of_a_stream_that_is_gone_makes_none(stream: Stream) -> None:
    held = stream.state().epoch
    stream.target.ledger.forget()
    with pytest.raises(PositionLost):
        claim(stream.target, held=held)
    assert stream.target.ledger.names() == []


def test_a_live_run_keeps_its_stream(stream: Stream) -> None:
    second = stream.end.make()
    with pytest.raises(Fenced):
        second.open("s")
        claim(second)
    stream.target.applier.apply(batch(1, insert(1)))
    assert stream.state().mark == "1"


def test_tables_that_leave_do_so_with_the_claim(stream: Stream) -> None:
    never = landed(stream.end, replace(LOOSE, name=Name("public", "never")), phase="chosen", floor=None)
    stream.target.ledger.record([never])
    state = stream.target.ledger.claim("s", "{}", Objects(), [LOOSE.name, never.table.name])
    assert stream.state().epoch == state.epoch
    for found in (state, stream.state()):
        assert set(found.tables) == {ITEMS.name, LOOSE.name}
        assert (found.tables[LOOSE.name].phase, found.tables[LOOSE.name].floor) == ("left", str(NEVER))
        assert (found.tables[ITEMS.name].phase, found.tables[ITEMS.name].floor) == ("live", "0")


def test_what_is_recorded_comes_back(stream: Stream) -> None:
    mine = replace(
        stream.items,
        phase="copied",
        floor="7",
        made=False,
        may_empty=False,
        policies={"v": {"as": "text"}},
        carried="a token",
        options=TableOptions(insert_only=True, digest_column=True),
        as_of="2026-01-01T00:00:00.000000Z",
    )
    stream.target.ledger.record([mine])
    found = stream.state().tables[ITEMS.name]
    assert replace(found, table=ITEMS) == mine
    table = found.table
    assert (table.name, table.columns, table.key, table.id, table.uniques) == (
        ITEMS.name,
        ITEMS.columns,
        ITEMS.key,
        ITEMS.id,
        ITEMS.uniques,
    )


def test_record_is_one_transaction(stream: Stream) -> None:
    before = stream.end.inventory()
    with pytest.raises(KeyboardInterrupt):
        stream.target.ledger.record([replace(stream.items, floor="9")], mark=Unsayable(9), phase="backfill", source="x")
    assert stream.end.inventory() == before


def test_record_ends_preparing_with_the_first_mark(opened: Target) -> None:
    claim(opened)
    opened.ledger.record([], source="as it calls itself now")
    state = opened.ledger.peek("s")
    assert state is not None
    assert (state.phase, state.mark, state.source) == ("preparing", None, "as it calls itself now")
    opened.ledger.record([], mark=Number(5), phase="streaming")
    state = opened.ledger.peek("s")
    assert state is not None
    assert (state.phase, state.mark, state.source) == ("streaming", "5", "as it calls itself now")


def test_a_stream_without_its_mark_is_not_guessed_at(opened: Target) -> None:
    claim(opened)
    opened.ledger.record([], phase="streaming")
    with pytest.raises(PositionLost):
        claim(opened)


def test_renew_begins_anew(stream: Stream) -> None:
    fresh = landed(stream.end, replace(LOOSE, name=Name("public", "fresh")), phase="chosen", floor=None)
    stream.target.ledger.record([replace(stream.items, carried="a token"), fresh])
    old = stream.target.ledger.claim("s", "{}", Objects("p"), [LOOSE.name])
    state = stream.target.ledger.renew("the server now")
    assert replace(state, tables={}) == replace(stream.state(), tables={})
    assert state.identity.uid != old.identity.uid and state.identity.name == "s"
    assert (state.phase, state.mark, state.within, state.source) == ("preparing", None, 0, "the server now")
    again = state.tables[ITEMS.name]
    assert (again.phase, again.floor, again.carried) == ("returning", str(NEVER), "")
    assert state.tables[LOOSE.name].phase == "left"
    assert state.tables[fresh.table.name].phase == "chosen"
    stream.target.ledger.record([], mark=Number(3), phase="streaming")
    stream.target.applier.apply(batch(4, insert(1)))
    assert stream.state().mark == "4"


def test_forget_removes_what_is_kept_of_one_stream(stream: Stream) -> None:
    other = stream.end.make()
    other.open("other")
    claim(other, "other")
    theirs = landed(stream.end, replace(ITEMS, name=Name("public", "theirs")))
    other.ledger.begin_copy(theirs)
    other.ledger.beat("other", BEAT)
    before = other.ledger.peek("other")
    stream.target.ledger.beat("s", BEAT)
    stream.target.ledger.begin_copy(stream.items)
    stream.target.ledger.forget()
    ledger = other.ledger
    assert (ledger.names(), ledger.peek("s"), ledger.heard("s")) == (["other"], None, None)
    after = ledger.peek("other")
    assert before is not None and after is not None
    assert (after.identity, after.epoch, set(after.tables)) == (before.identity, before.epoch, set(before.tables))
    assert ledger.heard("other") == BEAT
    assert ledger.owners("s") == {theirs.target: "other"} and ledger.owners("other") == {}
    other.applier.prepare([theirs])
    new = claim(stream.target)
    assert new.tables == {} and new.phase == "preparing"


def test_after_the_last_stream_the_bookkeeping_is_gone(landing: TargetUnderTest, opened: Target) -> None:
    other = landing.make()
    other.open("other")
    before = landing.inventory()
    for target, name in ((opened, "s"), (other, "other")):
        claim(target, name)
        target.ledger.beat(name, BEAT)
        target.ledger.begin_copy(landed(landing, ITEMS))
    opened.ledger.forget()
    assert landing.inventory() != before
    other.ledger.forget()
    assert landing.inventory() == before
    assert claim(opened).phase == "preparing"  # and it can be made again


@pytest.mark.parametrize("dropping", [False, True])
@pytest.mark.parametrize("count", range(1, 6))
def test_a_run_ended_while_it_made_or_dropped_the_bookkeeping(
    landing: TargetUnderTest, dropping: bool, count: int
) -> None:
    """Where DDL commits by itself. Nothing was kept yet, or any more: it counts as none, and is made whole."""
    target = landing.make()
    target.open("s")
    tables = LedgerTables(landing.places.schemas).metadata.sorted_tables

    def rows() -> list[object]:
        landing.query(f"UPDATE {tables[4]} SET uid = 'x'")  # which is random
        return [landing.query(f"SELECT * FROM {table}") for table in tables]

    claim(target)
    whole = rows()
    for table in tables:
        if not (dropping and str(table).endswith("format")):
            landing.query(f"DELETE FROM {table}")
    for table in reversed(tables[count:]):
        landing.query(f"DROP TABLE {table}")
    before = landing.inventory()
    assert (target.ledger.names(), target.ledger.peek("s"), target.ledger.heard("s")) == ([], None, None)
    assert target.ledger.owners("s") == {} and landing.inventory() == before
    assert claim(target).epoch == 1
    assert rows() == whole


def test_owners_are_the_other_streams(stream: Stream) -> None:
    items, loose = stream.items.target, stream.loose.target
    assert stream.target.ledger.owners("other") == {items: "s", loose: "s"}
    assert stream.target.ledger.owners("s") == {}
    stream.target.ledger.claim("s", "{}", Objects(), [LOOSE.name])
    assert stream.target.ledger.owners("other") == {items: "s"}  # what has left may be another's


def test_begin_copy_puts_each_table_before_its_first_row(stream: Stream) -> None:
    begun = [replace(f, phase="copying", floor="3") for f in (stream.items, stream.loose)]
    with pytest.raises(PositionLost):
        stream.target.applier.apply(chunk(ITEMS, 1))
    stream.target.applier.rollback()
    stream.target.ledger.begin_copy(*begun)
    assert {(f.phase, f.floor) for f in stream.state().tables.values()} == {("copying", "3")}
    stream.target.applier.apply(chunk(ITEMS, 1))
    stream.target.applier.apply(chunk(ITEMS, 2, done=True))
    assert stream.state().tables[ITEMS.name].phase == "copied"
    # Begun anew, the part stands before the first row again, for another run too.
    stream.target.ledger.begin_copy(begun[0])
    assert stream.state().tables[ITEMS.name].phase == "copying"
    assert stream.state().mark == "0"
    stream.target.applier.apply(chunk(ITEMS, 3))
    second = stream.another_run()
    second.applier.apply(chunk(ITEMS, 4))
    assert stream.keys() == [1, 2, 3, 4]


def test_begin_copy_of_a_table_that_was_not_there(stream: Stream) -> None:
    new = landed(stream.end, replace(LOOSE, name=Name("public", "new")), phase="copying", floor=None)
    stream.target.structure.create([new], ())
    stream.target.ledger.begin_copy(new)
    found: Followed = stream.state().tables[new.table.name]
    assert (found.phase, found.floor) == ("copying", None)


def test_a_beat_is_heard(stream: Stream) -> None:
    stream.target.ledger.beat("s", Beat(1, "there", 1.0, 2.0))
    assert stream.target.ledger.heard("s") == Beat(1, "there", 1.0, 2.0)
    stream.target.ledger.beat("s", BEAT)
    assert stream.target.ledger.heard("s") == BEAT


def test_a_beat_is_not_behind_the_fence(stream: Stream) -> None:
    second = stream.another_run()
    stream.target.ledger.beat("s", BEAT)
    assert second.ledger.heard("s") == BEAT


def test_a_beat_never_waits_long_and_never_fails(stream: Stream) -> None:
    """Another run is inside a transaction; then the bookkeeping is gone."""
    other = stream.another_run()
    other.applier.apply(batch(1, insert(1), complete=False))
    began = time.monotonic()
    stream.target.ledger.beat("s", BEAT)
    assert time.monotonic() - began < 5.0
    other.applier.rollback()
    other.ledger.forget()
    stream.target.ledger.beat("s", BEAT)
    assert stream.target.ledger.names() == []

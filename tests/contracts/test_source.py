"""What every engine with a log promises as a source: its objects, its snapshots, and the guard over the position."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from replicator.engine import ALREADY_MADE, Objects, Prepared
from replicator.errors import Fenced, PositionLost
from replicator.model.change import StreamMark
from replicator.model.position import Position
from replicator.model.stream import Followed, Identity, StreamState
from tests.contracts.engines import SourceUnderTest
from tests.contracts.streams import (
    IDENTITY,
    eventually,
    following,
    next_batch,
    prepare,
    read_until,
    read_view,
    reading,
    rows_of,
    table_of,
)


@pytest.fixture
def made(logged: SourceUnderTest) -> Prepared:
    """A stream of `t`, its snapshot closed."""
    prepared = prepare(logged)
    prepared.snapshot.close()
    return prepared


def state_of(logged: SourceUnderTest, mark: Position, identity: Identity = IDENTITY) -> StreamState:
    """As the ledger would have it, with the tokens of now."""
    source = logged.source
    tokens = source.carried(identity)
    tables = {f.table.name: replace(f, carried=tokens[f.table.name]) for f in following(table_of(logged))}
    return StreamState(identity, source.identity(), "streaming", 1, str(mark), 0, tables)


def test_a_source_that_is_ready_is_not_refused_and_not_touched(logged: SourceUnderTest) -> None:
    before = logged.inventory()
    for tables in ([], following(table_of(logged), table_of(logged, "other"))):
        for objects in (Objects(), Objects(slot=ALREADY_MADE)):
            assert [f for f in logged.source.findings(tables, objects) if f.level == "refuse"] == []
    assert logged.inventory() == before


def test_what_is_not_ready_is_refused_with_its_remedy(logged: SourceUnderTest) -> None:
    before = logged.inventory()
    found = logged.source.findings(following(table_of(logged)), Objects("absent", "absent"))
    refused = [finding for finding in found if finding.level == "refuse"]
    assert refused and all(finding.remedy for finding in refused)
    assert logged.inventory() == before


def test_snapshot_and_log_meet_at_one_point(logged: SourceUnderTest) -> None:
    table = table_of(logged)
    prepared = prepare(logged)
    logged.execute("INSERT INTO t VALUES (4, 'd')")
    assert prepared.snapshot.position is not None and prepared.snapshot.position.covers(prepared.mark)
    assert sorted(read_view(prepared.snapshot, table)) == [(1, "a"), (2, "b"), (3, None)]
    floor = prepared.snapshot.position
    prepared.snapshot.close()
    head = logged.source.head()
    with reading(logged.source, prepared.mark, following(table, floor=floor)) as reader:
        assert rows_of(read_until(reader, head)) == [(4, "d")]


def test_made_again_nothing_of_the_attempt_before_is_left(logged: SourceUnderTest, made: Prepared) -> None:
    there = logged.inventory()
    logged.execute("INSERT INTO t VALUES (4, 'd')")
    again = prepare(logged)
    again.snapshot.close()
    assert logged.inventory() == there
    logged.execute("INSERT INTO t VALUES (5, 'e')")
    head = logged.source.head()
    with reading(logged.source, again.mark, following(table_of(logged), floor=again.snapshot.position)) as reader:
        assert rows_of(read_until(reader, head)) == [(5, "e")]


def test_drop_removes_what_was_made_and_says_so(logged: SourceUnderTest) -> None:
    before = logged.inventory()
    assert logged.source.drop(IDENTITY) == []
    prepare(logged).snapshot.close()
    assert logged.inventory() != before
    assert logged.source.drop(IDENTITY) != []
    assert logged.inventory() == before
    assert logged.source.drop(IDENTITY) == []


def test_drop_leaves_other_streams(logged: SourceUnderTest, made: Prepared) -> None:
    there = logged.inventory()
    other = Identity("contract", "f" * 32)
    prepare(logged, "other", identity=other).snapshot.close()
    assert logged.source.drop(other) != []
    assert logged.inventory() == there


def test_a_running_reader_keeps_its_objects(logged: SourceUnderTest, made: Prepared) -> None:
    there = logged.inventory()
    with reading(logged.source, made.mark, following(table_of(logged))):
        with pytest.raises(Fenced):
            logged.source.drop(IDENTITY)
        assert logged.inventory() == there
        assert logged.source.strays("contract") == []
    eventually(lambda: logged.source.strays("contract") != [])
    eventually(lambda: not fenced(logged))


def fenced(logged: SourceUnderTest) -> bool:
    try:
        logged.source.drop(IDENTITY)
    except Fenced:
        return True
    return False


def test_what_the_user_made_is_used_and_left(logged: SourceUnderTest) -> None:
    objects = logged.theirs(("t",))
    before = logged.inventory()
    table = table_of(logged)
    assert [f for f in logged.source.findings(following(table), objects) if f.level == "refuse"] == []
    named = replace(IDENTITY, publication=objects.publication, slot=objects.slot)
    logged.execute("INSERT INTO t VALUES (4, 'd')")
    prepared = logged.source.prepare(named, following(table))
    position = prepared.snapshot.position
    assert len(read_view(prepared.snapshot, table)) == 4
    assert position is not None and position.covers(prepared.mark)
    prepared.snapshot.close()
    logged.execute("INSERT INTO t VALUES (5, 'e')")
    head = logged.source.head()
    with reading(logged.source, prepared.mark, following(table, floor=position), identity=named) as reader:
        assert rows_of(read_until(reader, head)) == [(5, "e")]
    logged.source.follow(named, [])
    assert logged.source.drop(named) == []
    assert logged.source.strays("contract") == []
    assert logged.inventory() == before


def test_strays_are_named_with_what_removes_them(logged: SourceUnderTest) -> None:
    prepare(logged, identity=Identity("contract_x", "e" * 32)).snapshot.close()
    before = logged.inventory()
    assert logged.source.strays("contract") == []
    prepare(logged).snapshot.close()
    prepare(logged, "other", identity=Identity("contract", "f" * 32)).snapshot.close()
    assert logged.source.strays("contr") == []
    for statement in logged.source.strays("contract"):
        logged.execute(statement)
    assert logged.inventory() == before
    assert logged.source.strays("contract") == []


def test_a_mark_that_can_be_served_is_let_pass(logged: SourceUnderTest, made: Prepared) -> None:
    before = logged.inventory()
    logged.source.guard(state_of(logged, made.mark), made.mark)
    logged.execute("INSERT INTO t VALUES (4, 'd')")
    head = logged.source.head()
    with reading(logged.source, made.mark, following(table_of(logged))) as reader:
        mark = read_until(reader, head)[-1].mark
    assert isinstance(mark, StreamMark)
    logged.source.guard(state_of(logged, mark.position), mark.position)
    assert logged.inventory() == before


def test_a_stream_whose_objects_are_gone_is_lost(logged: SourceUnderTest, made: Prepared) -> None:
    state = state_of(logged, made.mark)
    logged.source.drop(IDENTITY)
    with pytest.raises(PositionLost) as caught:
        logged.source.guard(state, made.mark)
    assert caught.value.remedy


def test_objects_that_were_made_again_prove_nothing(logged: SourceUnderTest, made: Prepared) -> None:
    state = state_of(logged, made.mark)
    logged.execute("INSERT INTO t VALUES (4, 'd')")
    prepare(logged).snapshot.close()
    with pytest.raises(PositionLost):
        logged.source.guard(state, made.mark)


def test_what_guard_lets_pass_the_source_still_gives(logged: SourceUnderTest, made: Prepared) -> None:
    """Once a later mark is confirmed, an earlier one may be lost; then guard says so, and nothing is skipped."""
    logged.execute("INSERT INTO t VALUES (4, 'd')")
    followed = following(table_of(logged))
    with reading(logged.source, made.mark, followed) as reader:
        read_until(reader, logged.source.head())
        time.sleep(0.3)
    try:
        logged.source.guard(state_of(logged, made.mark), made.mark)
    except PositionLost:
        return
    with reading(logged.source, made.mark, followed) as reader:
        assert rows_of(read_until(reader, logged.source.head())) == [(4, "d")]


def test_a_table_that_was_not_carried_for_a_while_is_lost(logged: SourceUnderTest, made: Prepared) -> None:
    state = state_of(logged, made.mark)
    logged.source.guard(state, made.mark)
    logged.source.follow(IDENTITY, [])
    with pytest.raises(PositionLost):
        logged.source.guard(state, made.mark)
    logged.source.follow(IDENTITY, following(table_of(logged)))
    with pytest.raises(PositionLost):
        logged.source.guard(state, made.mark)
    logged.source.guard(state_of(logged, made.mark), made.mark)


def test_the_log_of_a_left_table_is_not_asked_for(logged: SourceUnderTest, made: Prepared) -> None:
    state = state_of(logged, made.mark)
    left = {name: replace(found, phase="left") for name, found in state.tables.items()}
    logged.source.follow(IDENTITY, [])
    logged.source.guard(replace(state, tables=left), made.mark)


def test_carried_says_what_the_log_has_now(logged: SourceUnderTest, made: Prepared) -> None:
    t, other = table_of(logged), table_of(logged, "other")
    first = logged.source.carried(IDENTITY)
    assert set(first) == {t.name} and all(first.values())
    logged.source.follow(IDENTITY, following(t, other))
    both = logged.source.carried(IDENTITY)
    assert set(both) == {t.name, other.name} and both[t.name] == first[t.name]
    logged.source.follow(IDENTITY, following(t))
    assert logged.source.carried(IDENTITY) == first
    logged.source.follow(IDENTITY, following(t, other))
    assert logged.source.carried(IDENTITY)[other.name] != both[other.name]
    logged.source.drop(IDENTITY)
    assert logged.source.carried(IDENTITY) == {}


def test_from_follow_on_the_log_carries_those_tables(logged: SourceUnderTest, made: Prepared) -> None:
    t, other = table_of(logged), table_of(logged, "other")
    logged.source.follow(IDENTITY, following(t, other))
    there = logged.inventory()
    logged.source.follow(IDENTITY, following(t, other))
    assert logged.inventory() == there
    logged.execute("INSERT INTO other VALUES (9)")
    head = logged.source.head()
    with reading(logged.source, made.mark, following(t, other)) as reader:
        assert rows_of(read_until(reader, head)) == [(9,)]


def test_a_later_snapshot_has_a_later_position(logged: SourceUnderTest, made: Prepared) -> None:
    there = logged.inventory()
    logged.execute("INSERT INTO t VALUES (4, 'd')")
    later = logged.source.snapshot()
    try:
        assert later.position is not None and made.snapshot.position is not None
        assert later.position.covers(made.snapshot.position)
        assert not made.snapshot.position.covers(later.position)
        assert len(read_view(later, table_of(logged))) == 4
    finally:
        later.close()
    logged.execute("INSERT INTO t VALUES (5, 'e')")
    head = logged.source.head()
    with reading(logged.source, made.mark, following(table_of(logged), floor=later.position)) as reader:
        assert rows_of(read_until(reader, head)) == [(5, "e")]
    eventually(lambda: logged.inventory() == there)


def test_head_covers_every_commit(logged: SourceUnderTest, made: Prepared) -> None:
    reached, start = logged.source.head(), made.mark
    for key in range(10, 13):
        logged.execute(f"INSERT INTO t VALUES ({key}, NULL)")
        head = logged.source.head()
        assert head.covers(reached) and not reached.covers(head)
        with reading(logged.source, start, following(table_of(logged))) as reader:
            batch = next_batch(reader)
            assert rows_of([batch]) == [(key, None)]
            assert isinstance(batch.mark, StreamMark) and head.covers(batch.mark.position)
            reader.confirm(batch.mark.position)
        reached, start = head, batch.mark.position


def test_the_log_that_is_kept_is_measured(logged: SourceUnderTest, made: Prepared) -> None:
    before = logged.source.retained_bytes(IDENTITY)
    assert before is not None and before >= 0
    for key in range(10, 20):
        logged.execute(f"INSERT INTO t VALUES ({key}, 'x')")
    time.sleep(0.05)
    after = logged.source.retained_bytes(IDENTITY)
    assert after is not None and after > before
    assert logged.source.retained_bytes(Identity("absent", "f" * 32)) is None


def test_a_followed_table_has_its_floor_as_text(logged: SourceUnderTest, made: Prepared) -> None:
    """`never`: nothing of it is passed on, whatever the log carries."""
    logged.execute("INSERT INTO t VALUES (4, 'd')")
    head = logged.source.head()
    table = table_of(logged)
    with reading(logged.source, made.mark, [Followed(table, table.name, "copying", "never")]) as reader:
        assert rows_of(read_until(reader, head)) == []

"""What every engine with a log promises as a source: its objects, its snapshots, and the guard over the position."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from replicator.engine import ALREADY_MADE, Objects, Prepared, Retention
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


@pytest.fixture
def kept(keeping: SourceUnderTest) -> Prepared:
    """The same where a stream makes objects."""
    prepared = prepare(keeping)
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


def test_drop_removes_what_was_made_and_says_so(keeping: SourceUnderTest) -> None:
    before = keeping.inventory()
    assert keeping.source.drop(IDENTITY) == []
    prepare(keeping).snapshot.close()
    assert keeping.inventory() != before
    assert keeping.source.drop(IDENTITY) != []
    assert keeping.inventory() == before
    assert keeping.source.drop(IDENTITY) == []


def test_drop_leaves_other_streams(keeping: SourceUnderTest, kept: Prepared) -> None:
    there = keeping.inventory()
    other = Identity("contract", "f" * 32)
    prepare(keeping, "other", identity=other).snapshot.close()
    assert keeping.source.drop(other) != []
    assert keeping.inventory() == there


def test_where_nothing_is_needed_nothing_is_made(untouched: SourceUnderTest) -> None:
    before = untouched.inventory()
    prepared = prepare(untouched)
    assert untouched.inventory() == before
    with reading(untouched.source, prepared.mark, following(table_of(untouched))):
        assert untouched.inventory() == before
        assert untouched.source.drop(IDENTITY) == untouched.source.strays("contract") == []
    prepared.snapshot.close()
    untouched.source.give_up(IDENTITY)
    assert untouched.inventory() == before


def test_a_running_reader_keeps_its_objects(keeping: SourceUnderTest, kept: Prepared) -> None:
    there = keeping.inventory()
    with reading(keeping.source, kept.mark, following(table_of(keeping))):
        with pytest.raises(Fenced):
            keeping.source.drop(IDENTITY)
        assert keeping.inventory() == there
        assert keeping.source.strays("contract") == []
    eventually(lambda: keeping.source.strays("contract") != [])
    eventually(lambda: not fenced(keeping))


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


def test_a_stream_whose_objects_are_gone_is_lost(keeping: SourceUnderTest, kept: Prepared) -> None:
    state = state_of(keeping, kept.mark)
    keeping.source.drop(IDENTITY)
    with pytest.raises(PositionLost) as caught:
        keeping.source.guard(state, kept.mark)
    assert caught.value.remedy


def test_objects_that_were_made_again_prove_nothing(keeping: SourceUnderTest, kept: Prepared) -> None:
    state = state_of(keeping, kept.mark)
    keeping.execute("INSERT INTO t VALUES (4, 'd')")
    prepare(keeping).snapshot.close()
    with pytest.raises(PositionLost):
        keeping.source.guard(state, kept.mark)


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


def test_a_table_that_was_not_carried_for_a_while_is_lost(keeping: SourceUnderTest, kept: Prepared) -> None:
    state = state_of(keeping, kept.mark)
    keeping.source.guard(state, kept.mark)
    keeping.source.follow(IDENTITY, [])
    with pytest.raises(PositionLost):
        keeping.source.guard(state, kept.mark)
    keeping.source.follow(IDENTITY, following(table_of(keeping)))
    with pytest.raises(PositionLost):
        keeping.source.guard(state, kept.mark)
    keeping.source.guard(state_of(keeping, kept.mark), kept.mark)


def test_the_log_of_a_left_table_is_not_asked_for(logged: SourceUnderTest, made: Prepared) -> None:
    state = state_of(logged, made.mark)
    left = {name: replace(found, phase="left") for name, found in state.tables.items()}
    logged.source.follow(IDENTITY, [])
    logged.source.guard(replace(state, tables=left), made.mark)


def test_carried_says_what_the_log_has_now(keeping: SourceUnderTest, kept: Prepared) -> None:
    t, other = table_of(keeping), table_of(keeping, "other")
    first = keeping.source.carried(IDENTITY)
    assert set(first) == {t.name} and all(first.values())
    keeping.source.follow(IDENTITY, following(t, other))
    both = keeping.source.carried(IDENTITY)
    assert set(both) == {t.name, other.name} and both[t.name] == first[t.name]
    keeping.source.follow(IDENTITY, following(t))
    assert keeping.source.carried(IDENTITY) == first
    keeping.source.follow(IDENTITY, following(t, other))
    assert keeping.source.carried(IDENTITY)[other.name] != both[other.name]
    keeping.source.drop(IDENTITY)
    assert keeping.source.carried(IDENTITY) == {}


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


def test_the_log_that_is_kept_is_measured(keeping: SourceUnderTest, kept: Prepared) -> None:
    before = keeping.source.retention(IDENTITY, kept.mark)
    assert before.bytes is not None and before.bytes >= 0 and before.danger == ""
    for key in range(10, 20):
        keeping.execute(f"INSERT INTO t VALUES ({key}, 'x')")
    time.sleep(0.05)
    after = keeping.source.retention(IDENTITY, kept.mark)
    assert after.bytes is not None and after.bytes > before.bytes
    assert keeping.source.retention(Identity("absent", "f" * 32), kept.mark) == Retention()


def test_a_log_that_is_given_up_is_not_kept(keeping: SourceUnderTest, kept: Prepared) -> None:
    """Once the reader is closed; the position is then lost."""
    with reading(keeping.source, kept.mark, following(table_of(keeping))) as reader:
        reader.read(0.1, 10.0)
    state = state_of(keeping, kept.mark)
    keeping.source.give_up(IDENTITY)
    assert keeping.source.retention(IDENTITY, kept.mark) == Retention()
    with pytest.raises(PositionLost):
        keeping.source.guard(state, kept.mark)
    keeping.source.give_up(IDENTITY)


def test_a_followed_table_has_its_floor_as_text(logged: SourceUnderTest, made: Prepared) -> None:
    """`never`: nothing of it is passed on, whatever the log carries."""
    logged.execute("INSERT INTO t VALUES (4, 'd')")
    head = logged.source.head()
    table = table_of(logged)
    with reading(logged.source, made.mark, [Followed(table, table.name, "copying", "never")]) as reader:
        assert rows_of(read_until(reader, head)) == []

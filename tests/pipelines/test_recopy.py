"""`recopy`: tables of a stopped stream again, or all of them under a new slot; then `sync` goes on."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from replicator.engine import find
from replicator.model.stream import Followed
from replicator.pipeline.options import End, Options
from replicator.pipeline.progress import Report
from replicator.pipeline.stop import Stop
from replicator.pipeline.sync import Sync
from tests.support.faults import run_replicator
from tests.support.pair import Pair

TABLES = """
CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE b (id int PRIMARY KEY, v text UNIQUE);
CREATE TABLE bare (x int);
ALTER TABLE bare REPLICA IDENTITY FULL;
INSERT INTO a SELECT i, 'a' FROM generate_series(1, 12000) i;
INSERT INTO b SELECT i, 'b' || i FROM generate_series(1, 300) i;
INSERT INTO bare SELECT i % 3 FROM generate_series(1, 30) i;
"""
CHANGES = """
UPDATE a SET v = 'later' WHERE id % 2 = 0; DELETE FROM a WHERE id % 5 = 0; INSERT INTO a VALUES (0, 'new');
UPDATE b SET v = v || '!'; DELETE FROM bare WHERE ctid IN (SELECT ctid FROM bare LIMIT 3); INSERT INTO bare VALUES (9);
"""


@pytest.fixture
def synced(pair18: Pair) -> Pair:
    pair18.database.execute(TABLES)
    pair18.once()
    return pair18


def spoil(pair: Pair, *statements: str) -> None:
    with closing(sqlite3.connect(pair.path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_spoiled_table_is_mended_and_the_log_is_not_applied_twice(synced: Pair) -> None:
    """Changes from before the recopy are in its snapshot; those of the other tables come from the log."""
    synced.database.execute(CHANGES)
    spoil(synced, "DELETE FROM a WHERE id % 3 = 0", "UPDATE bare SET x = 77")
    before = synced.mark()
    said = synced.run("recopy", "a", "public.bar*")
    assert "copied again: public.a, public.bare" in said and synced.mark() == before
    synced.database.execute("UPDATE a SET v = 'last' WHERE id = 1; INSERT INTO bare VALUES (10)")
    synced.once()
    synced.assert_equal()
    assert len(synced.slots()) == 1


@pytest.mark.parametrize("all_tables", [False, True])
@pytest.mark.parametrize(
    "failpoint", ["slot_created", "snapshot_exported", "chunk_before_commit", "chunk_after_commit:2"]
)
def test_a_recopy_that_is_killed_is_gone_on_with(synced: Pair, failpoint: str, all_tables: bool) -> None:
    synced.database.execute(CHANGES)
    spoil(synced, "DELETE FROM a WHERE id % 3 = 0")
    which = ("--all",) if all_tables else ("a", "b")
    synced.run("recopy", *which, code=-9, failpoint=f"{failpoint}=kill")
    synced.database.execute("INSERT INTO b VALUES (1000, 'meanwhile')")
    synced.once()
    synced.assert_equal()
    assert len(synced.slots()) == 1 and len(synced.publications()) == 2


def test_a_conflict_names_the_row_the_position_and_the_way_out(synced: Pair) -> None:
    spoil(synced, "DELETE FROM b WHERE id = 7")
    synced.database.execute("UPDATE b SET v = 'new' WHERE id = 7")
    before = synced.saved()
    said = synced.once(code=5)
    assert "public.b (key id=7): the update found no such row" in said and synced.saved() == before
    assert f"the position stays at {before[0][2]}" in said
    assert "copy the table anew: replicator recopy SOURCE TARGET 'public.b'" in said
    synced.run("recopy", "public.b")
    synced.once()
    synced.assert_equal()


def test_a_changed_shape(synced: Pair) -> None:
    """The stop names the command that mends it; the target table, which we made, is made anew."""
    synced.database.execute(
        "ALTER TABLE a ADD COLUMN n int; UPDATE a SET n = id;"
        "ALTER TABLE b DROP COLUMN v; UPDATE b SET id = -id WHERE id = 7"
    )
    assert "replicator recopy SOURCE TARGET 'public.a'" in synced.once(code=5)
    synced.run("recopy", "public.a")
    assert "replicator recopy SOURCE TARGET 'public.b'" in synced.once(code=5)
    synced.run("recopy", "public.b")
    synced.once()
    synced.assert_equal()


def test_a_table_that_was_made_again_while_another_one_is_gone(synced: Pair) -> None:
    synced.database.execute("DROP TABLE a, bare; CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (5)")
    said = synced.run("recopy", "a", "bare", code=3)
    assert "not at the source any more: public.bare" in said and "--exclude" in said
    synced.run("recopy", "a")
    synced.once()
    synced.assert_equal(["public.a", "public.b"])


@pytest.mark.parametrize("lost", ["slot", "publication", "both"])
def test_s024_a_lost_position_and_the_way_out(synced: Pair, lost: str) -> None:
    if lost != "publication":
        synced.database.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    if lost != "slot":
        synced.database.execute(f"DROP PUBLICATION {synced.publications()[0]}")
    synced.database.execute(CHANGES)
    said = synced.once(code=4)
    assert "replicator recopy SOURCE TARGET --all" in said
    assert synced.run("recopy", "a", code=4)
    ((uid,),) = synced.rows("SELECT uid FROM _replicator_streams")
    synced.run("recopy", "--all")
    assert synced.rows("SELECT uid FROM _replicator_streams") != [(uid,)]
    synced.database.execute("INSERT INTO a VALUES (-1, 'after')")
    synced.once()
    synced.assert_equal()
    assert len(synced.slots()) == 1 and len(synced.publications()) == 2


def test_what_is_followed_stays_whatever_options_are_given(synced: Pair) -> None:
    """The selection, the places and the settings are the ledger's."""
    synced.path.with_name("c.toml").write_text('exclude = ["public.b"]\n[map]\n"public.a" = "elsewhere"\n')
    synced.run("recopy", "b", "--config", str(synced.path.with_name("c.toml")))
    synced.database.execute("INSERT INTO b VALUES (2000, 'x')")
    synced.once()
    synced.assert_equal()


def test_mistakes(synced: Pair) -> None:
    assert "name the tables" in synced.run("recopy", code=2)
    assert "name the tables" in synced.run("recopy", "a", "--all", code=2)
    assert "no followed table matches 'c'" in synced.run("recopy", "c", code=3)
    assert "there is no stream 'other'" in synced.run("recopy", "a", "--name", "other", code=3)
    running = synced.following()
    assert "is already running" in synced.run("recopy", "a", code=3)
    assert running.running()


def test_appended_tables_are_refused(pair18: Pair) -> None:
    pair18.database.execute(TABLES)
    spoil(pair18, "CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT)", "INSERT INTO a VALUES (-1, 'mine')")
    pair18.once("--append")
    for which in ("a", "--all"):
        assert "cannot be copied again" in pair18.run("recopy", which, code=3)
    assert pair18.rows("SELECT v FROM a WHERE id < 0") == [("mine",)]
    pair18.run("recopy", "b")
    pair18.once()


def test_a_slot_and_a_publication_of_the_user(pair18: Pair) -> None:
    pair18.database.execute(TABLES + "CREATE PUBLICATION mine FOR TABLE a, b, bare")
    pair18.database.query("SELECT pg_create_logical_replication_slot('mine', 'pgoutput')")
    config = pair18.path.with_name("c.toml")
    config.write_text('publication = "mine"\nslot = "mine"\n')
    pair18.once("--config", str(config))
    pair18.database.execute(CHANGES)
    spoil(pair18, "DELETE FROM a", "DELETE FROM b")
    pair18.run("recopy", "a")
    pair18.run("recopy", "--all")
    pair18.once("--config", str(config))
    pair18.assert_equal()
    assert pair18.slots() == ["mine"] and pair18.publications() == ["mine"]


def test_a_policy_is_chosen_after_a_stop(pair18: Pair) -> None:
    """In the middle of the first copy, and in the stream: each stop is mended by what is printed."""
    pair18.database.execute("CREATE TABLE f (id int PRIMARY KEY, x float8); INSERT INTO f VALUES (1, 'NaN')")
    config = pair18.path.with_name("c.toml")
    config.write_text("")
    assert "choose a policy" in pair18.once("--config", str(config), code=5)
    config.write_text('[columns."public.f.x"]\nnan = "null"\n')
    pair18.once("--config", str(config))
    pair18.database.execute("INSERT INTO f VALUES (2, '-0')")
    assert "choose a policy" in pair18.once("--config", str(config), code=5)
    config.write_text('[columns."public.f.x"]\nnan = "null"\nnegative_zero = "zero"\n')
    assert "replicator recopy --config FILE" in pair18.once("--config", str(config), code=3)
    assert "copied again" in pair18.run("recopy", "f", "--config", str(config))
    pair18.database.execute("INSERT INTO f VALUES (3, 'NaN'), (4, 0.5)")
    pair18.once("--config", str(config))
    assert pair18.rows("SELECT id, x FROM f ORDER BY id") == [(1, None), (2, 0.0), (3, None), (4, 0.5)]


def test_the_ends_may_stand_in_the_file(synced: Pair) -> None:
    config = synced.path.with_name("c.toml")
    config.write_text(f'source = "{synced.url}"\ntarget = "{synced.target}"\n')
    spoil(synced, "DELETE FROM b")
    with run_replicator(["recopy", "--config", str(config), "public.b"]) as running:
        assert running.wait(60) == 0, running.stderr()
    synced.once()
    synced.assert_equal()


@pytest.mark.parametrize("which", ["a", "--all"])
@pytest.mark.parametrize("failpoint", ["slot_created", "snapshot_exported"])
def test_a_changed_shape_and_a_kill_before_the_table_is_made_anew(synced: Pair, which: str, failpoint: str) -> None:
    """The ledger has the new shape, the target still the old one. A made table of the same shape keeps its indexes."""
    synced.database.execute("ALTER TABLE a ADD COLUMN n int NOT NULL DEFAULT 7; UPDATE a SET n = id WHERE id < 9")
    spoil(synced, "CREATE INDEX mine ON b (v)")
    synced.run("recopy", which, code=-9, failpoint=f"{failpoint}=kill")
    synced.once()
    synced.assert_equal()
    assert synced.rows("SELECT count(*) FROM sqlite_master WHERE name = 'mine'") == [(1,)]


def test_a_kill_before_a_unique_index_of_earlier_settings_is_gone(synced: Pair) -> None:
    """The ledger has the new settings by then, and the table's own statement is the same."""
    config = synced.path.with_name("c.toml")
    config.write_text('[table_options."public.b"]\ninsert_only = true\n')
    synced.run("recopy", "b", "--config", str(config), code=-9, failpoint="snapshot_exported=kill")
    synced.once("--config", str(config))
    synced.database.execute("DELETE FROM b WHERE id = 1; INSERT INTO b VALUES (1000, 'b1')")
    synced.once("--config", str(config))
    assert synced.rows("SELECT id FROM b WHERE v = 'b1' ORDER BY 1") == [(1,), (1000,)]


def test_a_kill_before_a_unique_index_that_the_source_dropped_is_gone(synced: Pair) -> None:
    synced.database.execute("ALTER TABLE b DROP CONSTRAINT b_v_key")
    synced.run("recopy", "b", code=-9, failpoint="snapshot_exported=kill")
    synced.database.execute("INSERT INTO b VALUES (1000, 'b1')")
    synced.once()
    synced.assert_equal()


def test_a_column_that_its_policy_makes_one_is_there_for_a_recopy_of_another_table(pair18: Pair) -> None:
    pair18.database.execute(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, r regclass);"
        "INSERT INTO b SELECT i, 'pg_class' FROM generate_series(1, 12000) i"
    )
    config = pair18.path.with_name("c.toml")
    config.write_text('[columns."public.b.r"]\nas = "text"\n')
    pair18.once("--config", str(config))
    pair18.run("recopy", "b", code=-9, failpoint="chunk_after_commit=kill")
    pair18.run("recopy", "a")
    pair18.once("--config", str(config))
    assert pair18.rows("SELECT count(r) FROM b") == [(12000,)]


def test_a_recopy_between_another_runs_look_and_its_start(synced: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What that run has read of the ledger is out of date: with the older floors it would apply changes twice."""
    synced.hand_over()
    source, target = (End(find(url), find(url).endpoint(url, None)) for url in (synced.url, synced.target))
    look = Sync._choose
    times: list[int] = []

    def slow(self: Sync, *args: Any) -> list[Followed]:
        tables = look(self, *args)
        times.append(len(times))
        if len(times) == 1:
            synced.database.execute("INSERT INTO bare VALUES (9)")
            synced.run("recopy", "bare")
        return tables

    monkeypatch.setattr(Sync, "_choose", slow)
    Sync(source, target, Options("default", once=True), Stop(), Report()).run()
    assert len(times) == 2
    synced.assert_equal()

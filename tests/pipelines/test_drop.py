"""`drop`: what the tool made goes, what it did not make stays, and what cannot be reached is printed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.databases import PostgresDatabase
from tests.support.faults import run_replicator
from tests.support.pair import Pair
from tests.support.servers.postgres import private_postgres

TABLES = """
CREATE TABLE a (id int PRIMARY KEY, v text UNIQUE); INSERT INTO a VALUES (1, 'x'), (2, NULL);
CREATE TABLE b (id int PRIMARY KEY);
"""


@pytest.fixture
def synced(pair18: Pair) -> Pair:
    pair18.database.execute(TABLES)
    pair18.once()
    return pair18


def bookkeeping(pair: Pair) -> list[str]:
    return [n for (n,) in pair.rows("SELECT name FROM sqlite_master WHERE type = 'table'") if n.startswith("_repl")]


def test_s126_drop_removes_what_was_made_and_twice_is_once(synced: Pair) -> None:
    slot, (publication, inserts) = synced.slots()[0], synced.publications()
    said = synced.run("drop")
    for what in (f"replication slot {slot}", f"publication {publication}", f"publication {inserts}", "bookkeeping"):
        assert f"removed {what}" in said or f"removed the {what}" in said, said
    assert "the copied tables stay: a, b" in said
    assert synced.slots() == [] and synced.publications() == [] and bookkeeping(synced) == []
    assert not synced.path.with_name("copy.db-default.lock").exists()
    synced.assert_equal(["public.a", "public.b"])
    assert "nothing of 'default' to drop" in synced.run("drop")
    # And all can be begun anew.
    assert "not empty" in synced.once(code=3)
    synced.once("--truncate")
    synced.assert_equal()


def test_s126_the_source_is_away(tmp_path: Path) -> None:
    with (
        private_postgres(18) as own,
        PostgresDatabase(own.server) as database,
        Pair(database, tmp_path / "copy.db") as pair,
    ):
        database.execute(TABLES)
        pair.once()
        slot, publications = pair.slots()[0], pair.publications()
        own.stop()
        with run_replicator(["drop", pair.url, pair.target]) as running:
            assert running.wait(60) == 8, running.stderr()
            said = running.stderr()
        statements = [line.strip() for line in said.splitlines() if line.strip().endswith(";")]
        assert statements == [
            f"SELECT pg_drop_replication_slot('{slot}');",
            *(f'DROP PUBLICATION IF EXISTS "{name}";' for name in publications),
        ]
        assert "disk is full" in said and "_replicator_streams" in bookkeeping(pair)
        # Nothing was forgotten: with the source back, the same command ends the work.
        own.start()
        with run_replicator(["drop", pair.url, pair.target]) as running:
            assert running.wait(60) == 0, running.stderr()
        assert pair.slots() == [] and pair.publications() == [] and bookkeeping(pair) == []


def test_s126_the_source_is_gone_for_ever(synced: Pair) -> None:
    url = synced.url.replace(f":{synced.database.server.port}/", ":1/")
    statements = []
    with run_replicator(["drop", url, synced.target, "--leave-source"]) as running:
        assert running.wait(60) == 8, running.stderr()
        statements = [line.strip() for line in running.stderr().splitlines() if line.strip().endswith(";")]
    assert bookkeeping(synced) == [] and len(synced.slots()) == 1
    for statement in statements:
        synced.database.execute(statement)
    assert synced.slots() == [] and synced.publications() == []


def test_s126_the_target_is_gone(synced: Pair) -> None:
    """Only the ledger knows which objects are a stream's: those of its name are printed, and stay."""
    synced.path.unlink()
    said = synced.run("drop", code=8)
    assert f"SELECT pg_drop_replication_slot('{synced.slots()[0]}');" in said and "nobody can tell" in said
    assert len(synced.slots()) == 1 and len(synced.publications()) == 2 and not synced.path.exists()


@pytest.mark.parametrize("removed", ["slot", "publications", "everything"])
def test_s126_some_of_it_is_gone_already(synced: Pair, removed: str) -> None:
    if removed != "publications":
        synced.database.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    if removed != "slot":
        for name in synced.publications():
            synced.database.execute(f"DROP PUBLICATION {name}")
    synced.run("drop")
    assert synced.slots() == [] and synced.publications() == [] and bookkeeping(synced) == []


def test_s126_streams_of_the_servers_other_databases_are_left_alone(synced: Pair, tmp_path: Path) -> None:
    """They have the same name by default, and their slots are in the same list of the server's."""
    with PostgresDatabase(synced.database.server) as other, Pair(other, tmp_path / "other.db") as pair:
        pair.database.execute(TABLES)
        assert "nothing of 'default' to drop" in pair.run("drop")
        assert "another stream" not in pair.once()
    with run_replicator(["drop", synced.url, f"sqlite:///{tmp_path / 'third.db'}"]) as running:
        assert running.wait(60) == 8 and "if no other target has a stream of this name" in running.stderr()
    assert len(synced.slots()) == 1


def test_a_running_stream_is_left_alone(synced: Pair) -> None:
    running = synced.following()
    assert "is already running" in synced.run("drop", code=3)
    synced.database.execute("INSERT INTO a VALUES (3, 'y')")
    synced.catch_up(running)
    synced.assert_equal()


def test_what_the_user_made_stays(pair18: Pair) -> None:
    pair18.database.execute(TABLES + "CREATE PUBLICATION mine FOR TABLE a, b")
    pair18.database.query("SELECT pg_create_logical_replication_slot('mine', 'pgoutput')")
    config = pair18.path.with_name("c.toml")
    config.write_text('publication = "mine"\nslot = "mine"\n')
    pair18.once("--config", str(config))
    pair18.run("drop")
    assert pair18.slots() == ["mine"] and pair18.publications() == ["mine"] and bookkeeping(pair18) == []


def test_tables_are_dropped_when_asked_for_and_agreed_to(synced: Pair) -> None:
    assert "add --yes" in synced.run("drop", "--tables", code=2)
    assert len(synced.slots()) == 1 and bookkeeping(synced)
    said = synced.run("drop", "--tables", "--yes")
    assert "removed target table a" in said
    assert synced.rows("SELECT name FROM sqlite_master") == []


def test_tables_that_we_did_not_make_are_not_dropped(pair18: Pair) -> None:
    pair18.database.execute(TABLES)
    with closing(sqlite3.connect(pair18.path)) as connection, connection:
        connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT)")
    pair18.once()
    said = pair18.run("drop", "--tables", "--yes")
    assert "removed target table b" in said and "the copied tables stay: a" in said
    assert pair18.rows("SELECT name FROM sqlite_master") == [("a",)]


def test_one_stream_of_two(synced: Pair) -> None:
    """The other's objects and bookkeeping stay; `b` of it is in its own place."""
    other = ("--name", "other", "--table", "b", "--map", "public.b=b2")
    synced.once(*other)
    synced.run("drop", "--name", "other")
    assert len(synced.slots()) == 1 and "_replicator_streams" in bookkeeping(synced)
    synced.database.execute("INSERT INTO b VALUES (7)")
    synced.once()
    synced.assert_equal(["public.a", "public.b"])


def test_a_stream_of_another_source(synced: Pair) -> None:
    with (
        PostgresDatabase(synced.database.server) as other,
        run_replicator(["drop", other.url, synced.target]) as running,
    ):
        assert running.wait(60) == 3 and "belongs to another source" in running.stderr()
    assert len(synced.slots()) == 1 and bookkeeping(synced)


def test_rights_that_are_gone_leave_the_statement(synced: Pair) -> None:
    """The role owns its publications no more: the slot goes, the rest is printed."""
    name = synced.publications()[0]
    synced.database.execute(f"ALTER PUBLICATION {name} OWNER TO CURRENT_USER")
    said = synced.run("drop", code=8)
    assert f'DROP PUBLICATION IF EXISTS "{name}";' in said and bookkeeping(synced)
    synced.database.execute(f"DROP PUBLICATION {name}")
    synced.run("drop")
    assert synced.publications() == [] and bookkeeping(synced) == []


def test_a_place_that_was_left_to_another_stream(synced: Pair) -> None:
    synced.once("--exclude", "public.b")
    synced.database.execute("INSERT INTO b VALUES (5)")
    synced.once("--table", "public.b", "--truncate", "--name", "two")
    said = synced.run("drop", "--tables", "--yes")
    assert "removed target table a" in said and "the copied tables stay: b\n" in said
    synced.once("--table", "public.b", "--name", "two")
    assert synced.rows("SELECT id FROM b") == [(5,)]


def test_a_table_that_somebody_made_after_a_kill(pair18: Pair) -> None:
    pair18.database.execute(TABLES)
    pair18.once(code=-9, failpoint="ddl_before=kill")
    with closing(sqlite3.connect(pair18.path)) as connection, connection:
        connection.execute("CREATE TABLE b (id INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO b VALUES (7)")
    pair18.run("drop", "--tables", "--yes")
    assert pair18.rows("SELECT id FROM b") == [(7,)]


def test_a_kill_leaves_the_tables_and_the_bookkeeping_together(pair18: Pair) -> None:
    pair18.database.execute(TABLES)
    pair18.run("backfill")
    pair18.run("drop", "--tables", "--yes", code=-9, failpoint="chunk_before_commit=kill")
    assert "2 tables are complete" in pair18.run("backfill")
    pair18.assert_equal(["public.a", "public.b"])
    pair18.run("drop", "--tables", "--yes")
    assert bookkeeping(pair18) == []

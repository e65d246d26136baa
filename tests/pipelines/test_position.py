"""A saved position that the source can no longer serve, or nobody can prove: exit 4, and nothing is guessed."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from replicator.demo.embedded import EmbeddedPostgres
from tests.support.databases import PostgresDatabase
from tests.support.faults import run_program
from tests.support.pair import Pair
from tests.support.servers import OwnServer
from tests.support.servers.postgres import private_postgres

TABLE = "CREATE TABLE t (id int PRIMARY KEY, x text); INSERT INTO t VALUES (1, 'x')"


@pytest.fixture
def synced(pair18: Pair) -> Pair:
    """A stream that has copied and followed, and is at rest; something is to be read."""
    pair18.database.execute(TABLE)
    pair18.once()
    pair18.database.execute("INSERT INTO t VALUES (2, 'x')")
    return pair18


def lost(pair: Pair, *texts: str, args: tuple[str, ...] = ()) -> None:
    """Both forms of `sync` exit 4 with these texts; slots, position and rows stay as they are."""
    before = pair.saved(), pair.rows("SELECT * FROM t ORDER BY id"), pair.slots()
    for output in (pair.once(*args, code=4), pair.sync_to_end(4, *args)):
        for text in (*texts, "remedy: "):
            assert text in output, output
    assert (pair.saved(), pair.rows("SELECT * FROM t ORDER BY id"), pair.slots()) == before


def slot(pair: Pair) -> str:
    (name,) = pair.slots()
    return name


def test_s024_the_slot_was_dropped(synced: Pair) -> None:
    name = slot(synced)
    synced.database.query("SELECT pg_drop_replication_slot(%s)", name)
    lost(synced, f"replication slot '{name}' does not exist", "are lost")


def test_s025_the_slot_was_dropped_and_made_again(synced: Pair) -> None:
    name = slot(synced)
    synced.database.query("SELECT pg_drop_replication_slot(%s)", name)
    synced.database.query("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", name)
    lost(synced, f"replication slot '{name}' stands at", "are gone")


def test_s025_the_slot_was_advanced_by_somebody(synced: Pair) -> None:
    synced.database.query("SELECT pg_replication_slot_advance(%s, pg_current_wal_lsn())", slot(synced))
    lost(synced, "stands at", "are gone")


def test_s025_the_slot_is_of_another_kind(synced: Pair) -> None:
    name = slot(synced)
    synced.database.query("SELECT pg_drop_replication_slot(%s)", name)
    synced.database.query("SELECT pg_create_physical_replication_slot(%s, true)", name)
    lost(synced, "is not a logical pgoutput slot of this database")


def test_s028_the_slot_is_in_use(synced: Pair) -> None:
    bindir = synced.database.server.bindir
    assert bindir is not None
    publication = synced.publications()[0]
    reading = [str(bindir / "pg_recvlogical"), "-d", synced.database.url, "-S", slot(synced), "--start", "-f", "-"]
    with run_program([*reading, "-o", "proto_version=1", "-o", f"publication_names={publication}"]) as other:
        running = synced.sync()
        output = running.wait_for_text("trying again")
        assert "is active for PID" in output
        other.kill()
        synced.catch_up(running)
    synced.assert_equal()


@pytest.mark.parametrize("version", [15, 18])
def test_s026_the_slot_was_invalidated(version: int, tmp_path: Path) -> None:
    settings = {"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB"}
    with (
        private_postgres(version, settings) as own,
        PostgresDatabase(own.server) as database,
        Pair(database, tmp_path / "copy.db") as pair,
    ):
        database.execute(TABLE)
        pair.once()
        for _ in range(4):
            database.query("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000)), pg_switch_wal()")
            database.execute("CHECKPOINT")
        lost(pair, "can no longer access replication slot", "max_slot_wal_keep_size")


def test_s011_the_target_was_restored(synced: Pair) -> None:
    """Its position is older than what the slot was told."""
    with closing(sqlite3.connect(synced.path)) as live, closing(sqlite3.connect(f"{synced.path}.backup")) as copy:
        live.backup(copy)
    synced.once()
    synced.database.execute("INSERT INTO t VALUES (3, 'x')")
    synced.once()
    for end in ("", "-wal", "-shm"):
        Path(f"{synced.path}{end}").unlink(missing_ok=True)
    shutil.copy(f"{synced.path}.backup", synced.path)
    lost(synced, "stands at", "was the target restored")


@pytest.mark.parametrize(
    "spoil",
    [
        "DELETE FROM _replicator_streams",
        "UPDATE _replicator_streams SET position = NULL",
    ],
)
def test_s010_the_position_is_gone(synced: Pair, spoil: str) -> None:
    with closing(sqlite3.connect(synced.path)) as connection, connection:
        connection.execute(spoil)
    lost(synced, "no saved position for stream default; refusing to guess")


def test_s010_all_bookkeeping_is_gone(synced: Pair) -> None:
    with closing(sqlite3.connect(synced.path)) as connection, connection:
        for table in ("format", "streams", "tables", "parts", "beats", "prepared"):
            connection.execute(f"DROP TABLE _replicator_{table}")
    slots = synced.slots()
    assert "refusing to guess" in synced.once(code=3)
    assert synced.slots() == slots and synced.rows("SELECT * FROM t") == [(1, "x")]


def test_a_name_that_belongs_to_another_source(synced: Pair) -> None:
    with PostgresDatabase(synced.database.server) as other:
        other.execute(TABLE)
        saved = synced.saved()
        output = synced.once(code=3, source=other.url)
        assert "belongs to another source" in output and "--name" in output
        assert synced.saved() == saved
        assert other.query("SELECT 1 FROM pg_replication_slots WHERE database = current_database()") == []


@pytest.fixture
def own() -> Iterator[OwnServer]:
    with private_postgres(18) as server:
        yield server


def stopped_and(own: OwnServer, change: Callable[[Path], None]) -> None:
    assert isinstance(own.process, EmbeddedPostgres)
    own.stop()
    change(own.process.data)
    own.start()


@pytest.mark.rotating
def test_s012_the_source_was_restored_from_a_copy(own: OwnServer, tmp_path: Path) -> None:
    def keep(data: Path) -> None:
        shutil.copytree(data, data.with_name("kept"), symlinks=True)

    def restore(data: Path) -> None:
        shutil.rmtree(data)
        data.with_name("kept").rename(data)
        owner = data.parent.stat()
        for path in (data, *data.rglob("*")):
            shutil.chown(path, owner.st_uid, owner.st_gid)

    with PostgresDatabase(own.server) as database, Pair(database, tmp_path / "copy.db") as pair:
        database.execute(TABLE)
        pair.once()
        stopped_and(own, keep)
        for number in range(10, 14):
            database.execute(f"INSERT INTO t VALUES ({number}, 'after the backup')")
            pair.once()
        stopped_and(own, restore)
        lost(pair, "the source is behind the saved position")


def test_s012_the_server_behind_the_url_is_another_one(own: OwnServer, tmp_path: Path) -> None:
    assert isinstance(own.process, EmbeddedPostgres)
    with (
        PostgresDatabase(own.server) as database,
        Pair(database, tmp_path / "copy.db", url=database.url) as pair,
    ):
        database.execute(TABLE)
        pair.once()
        secret = own.process.password
        stopped_and(own, shutil.rmtree)
        with closing(psycopg2.connect(own.process.url())) as connection:
            connection.autocommit = True
            connection.cursor().execute(f"ALTER ROLE postgres PASSWORD '{secret}'")
            connection.cursor().execute(f"CREATE DATABASE {database.name}")
        database.execute(TABLE)
        output = pair.once(code=4)
        assert "the source is another server" in output and "system identifier" in output
        assert pair.slots() == [] and pair.publications() == []


def test_s054_the_publication_loses_a_table_while_it_is_followed(pair18: Pair) -> None:
    pair18.database.execute(TABLE + "; CREATE TABLE u (id int PRIMARY KEY)")
    running = pair18.following()
    pair18.database.execute(f"ALTER PUBLICATION {pair18.publications()[0]} DROP TABLE t; INSERT INTO t VALUES (2, 'x')")
    assert running.wait(60) == 4, running.stderr()
    assert "table public.t is not in publication" in running.stderr() and "remedy: " in running.stderr()
    lost(pair18, "public.t is not in publication")


def test_s054_the_publication_is_dropped(synced: Pair) -> None:
    synced.database.execute(f"DROP PUBLICATION {synced.publications()[0]}")
    lost(synced, "the publication", "does not exist any more")


def test_s102_a_table_is_dropped_and_made_again(synced: Pair) -> None:
    saved = synced.saved()
    synced.database.execute("DROP TABLE t; " + TABLE + "; INSERT INTO t VALUES (5, 'another table')")
    output = synced.once(code=5)
    assert "public.t: it was dropped and made again" in output
    assert synced.saved() == saved and synced.rows("SELECT * FROM t") == [(1, "x")]


@pytest.mark.parametrize(
    ("ddl", "text"),
    [
        ("ALTER TABLE t ADD y int", "column y was added"),
        ("ALTER TABLE t DROP x", "column x is gone"),
        ("ALTER TABLE t RENAME x TO z", "column z was added"),
        ("ALTER TABLE t ALTER x TYPE varchar(9)", "column x changed its type"),
        ("ALTER TABLE t RENAME TO s; CREATE TABLE t (LIKE s INCLUDING ALL)", "t"),
    ],
)
def test_s098_a_changed_shape_stops_at_the_first_row_of_it(synced: Pair, ddl: str, text: str) -> None:
    """What came before the change is applied; the position then stays, and says where."""
    synced.database.execute(ddl)
    synced.hand_over()
    synced.database.execute("INSERT INTO t (id) VALUES (70)")
    output = synced.sync("--once")
    code = output.wait(60)
    assert code in (4, 5), output.stderr()
    assert text in output.stderr() and "remedy: " in output.stderr(), output.stderr()
    assert synced.rows("SELECT id FROM t WHERE id = 70") == []

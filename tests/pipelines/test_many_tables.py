"""Very many small tables, on a server with room for few locks."""

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.pipelines.test_load import peak_mb
from tests.support.databases import PostgresDatabase
from tests.support.faults import OWN_PROCESS
from tests.support.pair import Pair
from tests.support.servers.postgres import private_postgres

MEMORY_MB = 300
SMALL = {
    "max_connections": "20",
    "max_wal_senders": "5",
    "max_replication_slots": "5",
    "max_prepared_transactions": "0",
}
MAKE = """DO $$BEGIN FOR i IN 1..{count} LOOP
EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, body text%s)', i, CASE WHEN i % 50 = 0 THEN ' UNIQUE' END);
IF i % 30 = 0 THEN EXECUTE format('INSERT INTO t%s VALUES (1, ''a''), (2, ''b''), (3, NULL)', i); END IF;
IF i % 100 = 0 THEN COMMIT; END IF; END LOOP; END$$"""
ROWS = [(1, "a"), (2, "b"), (3, None)]


@pytest.fixture
def cramped(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """A server whose sessions share room for as few locks as its settings allow; or for what they are by default."""
    version, locks = request.param
    with (
        private_postgres(version, {**SMALL, "max_locks_per_transaction": str(locks)}) as own,
        PostgresDatabase(own.server) as database,
        Pair(database, tmp_path / "copy.db") as made,
    ):
        yield made


def contents(path: Path) -> dict[str, list[tuple[int, str | None]]]:
    """All rows of all tables but ours, by one connection: each reads the whole schema first."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        found = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'"
        )
        return {
            name: connection.execute(f'SELECT id, body FROM "{name}" ORDER BY id').fetchall()
            for (name,) in found.fetchall()
        }


def many_tables(pair: Pair, count: int) -> None:
    """Made by their owner: to hand this many over would itself need a lock for each."""
    pair.database.execute(f'GRANT CREATE ON SCHEMA public TO "{pair.database.name}_sync"')
    with pair.database.connect(pair.url).cursor() as owner:
        owner.execute(MAKE.replace("{count}", str(count)))
        expected = {f"t{i}": list(ROWS) if i % 30 == 0 else [] for i in range(1, count + 1)}
        assert pair.sync(failpoint="slot_created=kill").wait(120) == -9  # its publication is removed and made again
        began = time.monotonic()
        running = pair.following(env=OWN_PROCESS)
        print(f"{count} tables: the log is followed after {time.monotonic() - began:.1f} s;", end=" ")
        owner.execute("INSERT INTO t7 VALUES (1, 'new'); UPDATE t60 SET body = 'c' WHERE id = 3; DELETE FROM t30")
        expected |= {"t7": [(1, "new")], "t60": [(1, "a"), (2, "b"), (3, "c")], "t30": []}
        pair.catch_up(running)
        assert contents(pair.path) == expected
        ((indexes,),) = pair.rows(
            "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND sql LIKE 'CREATE UNIQUE%'"
        )
        assert indexes == count // 50
        peak = peak_mb(psutil.Process(running.pid))
        running.signal(signal.SIGTERM)
        assert running.wait(30) == 0
        owner.execute("CREATE TABLE later (id int PRIMARY KEY, body text); INSERT INTO later VALUES (1, 'x')")
        owner.execute("INSERT INTO t8 VALUES (1, 'between')")
        began = time.monotonic()
        running = pair.following(env=OWN_PROCESS)
        print(f"a restart took {time.monotonic() - began:.1f} s;", end=" ")
        owner.execute("INSERT INTO later VALUES (2, 'y'); INSERT INTO t9 VALUES (1, 'after')")
        expected |= {"later": [(1, "x"), (2, "y")], "t8": [(1, "between")], "t9": [(1, "after")]}
        pair.catch_up(running)
        assert contents(pair.path) == expected
        peak = max(peak, peak_mb(psutil.Process(running.pid)))
        print(f"peak memory {peak:.0f} MB")
        assert peak <= MEMORY_MB
        running.signal(signal.SIGTERM)
        assert running.wait(30) == 0
    pair.once("--exclude", "t1?")
    assert len(pair.slots()) == 1


@pytest.mark.rotating
@pytest.mark.parametrize("cramped", [(18, 10), (15, 10)], indirect=True, ids=["18", "15"])
def test_s062_a_thousand_tables_and_room_for_few_locks(cramped: Pair) -> None:
    many_tables(cramped, 1000)


@pytest.mark.rotating
@pytest.mark.timeout(600)
@pytest.mark.parametrize("cramped", [(18, 64), (15, 64)], indirect=True, ids=["18", "15"])
def test_s062_ten_thousand_tables(cramped: Pair) -> None:
    many_tables(cramped, 10_000)

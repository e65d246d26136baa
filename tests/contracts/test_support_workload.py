"""The load does all that it promises and knows what it did; the samplers see what they are there to see."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import oracle, workload_items
from tests.support.databases import PostgresDatabase
from tests.support.proxy import FaultProxy
from tests.support.servers import Server
from tests.support.wait import until
from tests.support.workload import TABLES, BankSampler, SlotSampler, Workload

CHANGES = (
    *("insert", "insert_delete", "update", "same_values", "short_only", "long_only", "many_updates"),
    *("update_all", "move_key", "swap_keys", "swap_codes", "swap_places", "shift_places", "delete"),
    *("delete_insert", "savepoint"),
)


def test_every_kind_of_change_happens(database: PostgresDatabase) -> None:
    load = Workload(database.url, workers=2, seed=1).create().run(250)
    missing = [name for name in (*CHANGES, "tally", "transfers", "rolled_back") if not load.counts[name]]
    assert not missing
    assert all(hasattr(workload_items.Items, name) for name in CHANGES)
    load.check_source()
    ((rows, long, nulls),) = database.query(
        "SELECT count(*), count(*) FILTER (WHERE length(body) >= 20000), count(*) FILTER (WHERE note IS NULL)"
        " FROM items"
    )
    assert rows > 10
    assert long > 0
    assert nulls > 0


def test_one_seed_is_one_load(postgres: Server) -> None:
    dumps = []
    for seed in (7, 7, 8):
        with PostgresDatabase(postgres) as database:
            Workload(database.url, workers=2, seed=seed).create().run(60)
            dumps.append([oracle.dump_postgres(database.url, table) for table in TABLES])
    assert dumps[0] == dumps[1]
    assert dumps[1] != dumps[2]


def test_a_second_load_goes_on_where_the_first_ended(database: PostgresDatabase) -> None:
    first = Workload(database.url, workers=2, seed=1).create().run(80)
    second = Workload(database.url, workers=2, seed=2).run(80)
    assert not set(first.tally_ids()) & set(second.tally_ids())


def test_writers_side_by_side(database: PostgresDatabase) -> None:
    load = Workload(database.url, workers=4, seed=3).create()
    with load:
        load.wait_for(200)
    load.check_source()
    done = load.counts["transactions"]
    with load:
        load.wait_for(20)
    assert load.counts["transactions"] >= done + 20
    load.check_source()
    assert load.counts["tally"] == len(load.tally_ids())


def test_a_writer_that_fails_is_heard(database: PostgresDatabase) -> None:
    load = Workload(database.url, workers=1).create()
    database.execute("DROP TABLE bank")
    load.start()
    with pytest.raises(AssertionError, match="a writer has stopped"):
        load.wait_for(1000)
    with pytest.raises(Exception, match="bank"):
        load.stop()


def test_lost_connections_and_lost_commits_are_accounted_for(database: PostgresDatabase) -> None:
    with FaultProxy(database.server.host, database.server.port) as proxy:
        load = Workload(proxy.url(database.url), workers=3, seed=5, resilient=True).create()
        with load:
            for _ in range(5):
                lost = proxy.lose_reply(b"COMMIT")
                held = proxy.swallow(b"COMMIT")
                lost.wait()
                held.wait()
                proxy.reset()
                load.wait_for(20)
        load.check_source()
        assert load.counts["unknown"] >= 5
        assert load.counts["lost"] >= 5


def test_the_bank_sampler_sees_torn_transactions_only(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    with BankSampler(path, accounts=3, total=30) as sampler:
        time.sleep(0.05)
        with closing(sqlite3.connect(path, isolation_level=None)) as target:
            target.execute("PRAGMA journal_mode = wal")
            target.execute("CREATE TABLE bank (id INTEGER PRIMARY KEY, balance INTEGER) STRICT")
            target.execute("INSERT INTO bank VALUES (1, 10), (2, 10)")
            time.sleep(0.05)
            assert not sampler.complete.is_set()
            target.execute("INSERT INTO bank VALUES (3, 10)")
            until(lambda: sampler.samples > 3, 10, "samples")
            target.execute("BEGIN")
            target.execute("UPDATE bank SET balance = 5 WHERE id = 1")
            seen = sampler.samples
            until(lambda: sampler.samples > seen + 3, 10, "samples")
            target.execute("UPDATE bank SET balance = 15 WHERE id = 2")
            target.execute("COMMIT")
            seen = sampler.samples
            until(lambda: sampler.samples > seen + 3, 10, "samples")
            sampler.assert_clean(at_least=9)
            target.execute("UPDATE bank SET balance = 5 WHERE id = 3")
            until(lambda: sampler.torn, 10, "a torn sum to be seen")
            target.execute("DELETE FROM bank WHERE id = 3")
            until(lambda: sampler.shrunk, 10, "a missing account to be seen")
    with pytest.raises(AssertionError, match="torn"):
        sampler.assert_clean()


def test_the_slot_sampler_sees_a_slot_ahead_of_its_mark(database: PostgresDatabase) -> None:
    slot = f"replicator_{database.name}"
    ((start,),) = database.query(
        "SELECT (lsn - '0/0')::bigint FROM pg_create_logical_replication_slot(%s, 'pgoutput')", slot
    )
    marks: list[int | None] = [None]
    with SlotSampler(database.url, lambda: marks[-1]) as sampler:
        time.sleep(0.05)
        assert sampler.samples == 0
        marks.append(start)
        until(lambda: sampler.samples > 3, 10, "samples")
        sampler.assert_clean(at_least=3)
        database.execute("CREATE TABLE t AS SELECT 1")
        database.query("SELECT pg_replication_slot_advance(%s, pg_current_wal_lsn())", slot)
        until(lambda: sampler.violations, 10, "the slot ahead of its mark to be seen")
    with pytest.raises(AssertionError, match="ahead of its mark"):
        sampler.assert_clean()
    assert sampler.highest > start


def test_a_sampler_that_fails_is_heard(database: PostgresDatabase) -> None:
    slot = f"replicator_{database.name}"
    database.query("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", slot)
    sampler = SlotSampler(database.url, lambda: 1 // 0)
    sampler.start()
    sampler.join(10)
    with pytest.raises(ZeroDivisionError):
        sampler.stop()

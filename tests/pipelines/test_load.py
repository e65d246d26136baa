"""Much at once: many transactions, many writers, many kills, and one transaction larger than memory."""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.databases import PostgresDatabase
from tests.support.faults import OWN_PROCESS
from tests.support.pair import Pair
from tests.support.servers.postgres import private_postgres
from tests.support.wait import until
from tests.support.workload import TABLES, BankSampler, SlotSampler, Workload

MEMORY_MB = 200


def killed_again_and_again(pair: Pair, rng: random.Random, rows: int, transactions: int, kills: int) -> None:
    began = time.monotonic()
    pair.database.execute("CREATE TABLE bulk (id bigint PRIMARY KEY, a int, b text, c timestamptz)")
    load = Workload(pair.database.url, workers=4, seed=rng.randrange(10**6), pause=0.002).create().run(20)
    size = rows // transactions
    pair.database.execute(
        f"""DO $$BEGIN FOR i IN 0..{transactions - 1} LOOP INSERT INTO bulk
        SELECT i * {size} + n, n, md5(n::text), '2024-01-01'::timestamptz + n * interval '1 s'
        FROM generate_series(1, {size}) n; COMMIT; END LOOP; END$$"""
    )
    bank = BankSampler(pair.path, load.accounts, load.total)
    slot = SlotSampler(pair.database.url, pair.mark)
    with bank, slot, load:
        for _ in range(kills):
            running = pair.sync()
            alive = rng.uniform(0.3, 3.0)
            end = time.monotonic() + alive
            until(lambda e=end: time.monotonic() > e, alive + 30, "the time of the kill")  # type: ignore[misc]
            assert running.running(), running.stderr()
            running.signal(signal.SIGKILL)
            running.close()
        running = pair.sync()
        until(lambda: pair.mark(), 120, "a mark")
        pair.catch_up(running, 240)
        loaded = load.counts["transactions"]
    pair.catch_up(running, 240)
    running.signal(signal.SIGTERM)
    assert running.wait(30) == 0
    load.check_source()
    pair.assert_equal([*TABLES, "public.bulk"])
    ids = [number for (number,) in pair.rows("SELECT op_id FROM tally ORDER BY op_id")]
    assert ids == load.tally_ids()
    bank.assert_clean(10)
    slot.assert_clean(10)
    took = time.monotonic() - began
    print(f"{rows} rows, {kills} kills, {loaded} transactions under load, {took:.0f} s;", end=" ")
    print(f"{bank.samples} bank and {slot.samples} slot samples")


@pytest.mark.rotating
def test_four_writers_and_five_kills(pair18: Pair, rng: random.Random) -> None:
    killed_again_and_again(pair18, rng, rows=100_000, transactions=100, kills=5)


@pytest.mark.rotating
@pytest.mark.timeout(900)
def test_four_writers_and_twenty_kills(pair: Pair, rng: random.Random) -> None:
    killed_again_and_again(pair, rng, rows=500_000, transactions=500, kills=20)


@pytest.fixture(params=[15, 18])
def impatient(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """A source that ends a connection of which it hears nothing for 2 s."""
    settings = {"wal_sender_timeout": "2s", "logical_decoding_work_mem": "4MB", "max_wal_size": "4GB"}
    with (
        private_postgres(request.param, settings) as own,
        PostgresDatabase(own.server) as database,
        Pair(database, tmp_path / "copy.db") as made,
    ):
        yield made


def peak_mb(process: psutil.Process) -> float:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("this system does not tell a process's peak memory")


def one_large_transaction(pair: Pair, rows: int, held_s: float) -> None:
    """Applied row by row, and held up in its middle for many times the server's patience."""
    pair.database.execute("CREATE TABLE big (id int PRIMARY KEY, x int); CREATE TABLE small (id int PRIMARY KEY)")
    running = pair.following(failpoint=f"row_applied:{rows // 2}=sleep:{held_s}", env=OWN_PROCESS)
    process = psutil.Process(running.pid)
    began = time.monotonic()
    pair.database.execute(
        f"BEGIN; INSERT INTO small VALUES (1); INSERT INTO big SELECT i, -i FROM generate_series(1, {rows}) i; COMMIT"
    )
    committed = time.monotonic()

    def arrived() -> bool:
        ((big,),) = pair.rows("SELECT count(*) FROM (SELECT 1 FROM big LIMIT 1)")
        ((small,),) = pair.rows("SELECT count(*) FROM small")
        if not running.running():
            raise AssertionError(running.stderr())
        return bool(big and small)

    until(arrived, 280, "the whole transaction", pause=0.1)
    took = time.monotonic() - committed
    pair.catch_up(running)
    peak = peak_mb(process)
    print(f"{rows} rows in one transaction: committed in {committed - began:.1f} s, at the target {took:.1f} s later,")
    print(f"held for {held_s:g} s of it; peak memory {peak:.0f} MB")
    assert took > held_s and "trying again" not in running.stderr(), running.stderr()
    assert peak <= MEMORY_MB
    assert pair.rows("SELECT count(*), sum(id), sum(x) FROM big") == [
        (rows, rows * (rows + 1) // 2, -rows * (rows + 1) // 2)
    ]


@pytest.mark.parametrize("impatient", [18], indirect=True)
def test_s008_s084_a_large_transaction_and_a_slow_target(impatient: Pair) -> None:
    one_large_transaction(impatient, 300_000, 6)


@pytest.mark.rotating
def test_s008_s084_two_million_rows_in_one_transaction(impatient: Pair) -> None:
    one_large_transaction(impatient, 2_000_000, 20)

"""`sync --once` on an idle source ends at once, wherever the log stands."""

from __future__ import annotations

import random
import statistics
import time

import pytest

from replicator.engine import find
from replicator.model.selection import Selection
from replicator.pipeline.options import End, Options
from replicator.pipeline.progress import Report
from replicator.pipeline.stop import Stop
from replicator.pipeline.sync import Sync
from tests.support.databases import PostgresDatabase
from tests.support.pair import Pair

LIMIT_S = 2.0


def once(pair: Pair) -> float:
    """One run inside this process; how long it took."""
    ends = [End(find(url), find(url).endpoint(url, None)) for url in (pair.url, pair.target)]
    sync = Sync(ends[0], ends[1], Options("default", Selection(), once=True), Stop(), Report())
    began = time.monotonic()
    sync.run()
    return time.monotonic() - began


def anywhere(database: PostgresDatabase, rng: random.Random) -> None:
    """Move the log's end to any place of a page, by messages that no subscriber asked for."""
    connection = database.connect()
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        for _ in range(rng.randrange(1, 4)):
            cursor.execute("SELECT pg_logical_emit_message(false, 'test', repeat('x', %s))", (rng.randrange(1, 9000),))
    connection.close()


def many(pair: Pair, rng: random.Random, runs: int, synchronous_commit: str) -> None:
    pair.database.execute(f'ALTER DATABASE "{pair.database.name}" SET synchronous_commit = {synchronous_commit}')
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    pair.hand_over()
    once(pair)
    took = []
    for number in range(runs):
        if number % 3 == 0:
            anywhere(pair.database, rng)
        if number % 10 == 0:
            connection = pair.database.connect()
            connection.cursor().execute("INSERT INTO t VALUES (%s)", (number,))
            connection.close()
        took.append(once(pair))
    print(f"{runs} runs: median {statistics.median(took):.3f} s, longest {max(took):.3f} s")
    assert max(took) < LIMIT_S
    pair.assert_equal(["public.t"])


@pytest.mark.parametrize("synchronous_commit", ["on", "off"])
def test_once_ends_under_two_seconds(pair: Pair, rng: random.Random, synchronous_commit: str) -> None:
    many(pair, rng, 25, synchronous_commit)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("synchronous_commit", ["on", "off"])
def test_once_ends_under_two_seconds_a_thousand_times(pair: Pair, rng: random.Random, synchronous_commit: str) -> None:
    many(pair, rng, 500, synchronous_commit)


def test_once_as_a_process(pair18: Pair) -> None:
    """With the start of Python and all imports."""
    pair18.database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    pair18.once()
    began = time.monotonic()
    output = pair18.once()
    assert "everything is applied, at " in output
    assert time.monotonic() - began < 2 * LIMIT_S

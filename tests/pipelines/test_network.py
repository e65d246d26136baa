"""The source goes away and comes back: stopped, crashed, and behind a network that breaks."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import PostgresDatabase
from tests.support.faults import FaultProxy
from tests.support.pair import Pair
from tests.support.servers import OwnServer
from tests.support.servers.postgres import private_postgres
from tests.support.wait import until
from tests.support.workload import TABLES, Workload


@pytest.fixture(params=[15, 18])
def own(request: pytest.FixtureRequest) -> Iterator[OwnServer]:
    with private_postgres(request.param, {"wal_sender_timeout": "4s"}) as server:
        yield server


def equal(pair: Pair, load: Workload) -> None:
    load.check_source()
    pair.assert_equal(TABLES)
    ids = [number for (number,) in pair.rows("SELECT op_id FROM tally ORDER BY op_id")]
    assert ids == load.tally_ids()


def test_s017_s018_the_server_stops_and_crashes_and_comes_back(
    own: OwnServer, tmp_path: Path, rng: random.Random
) -> None:
    with PostgresDatabase(own.server) as database, Pair(database, tmp_path / "copy.db") as pair:
        load = Workload(database.url, workers=2, seed=rng.randrange(10**6), resilient=True, pause=0.002).create()
        running = pair.following()
        with load:
            for end in (own.stop, own.kill, own.kill, own.stop):
                load.wait_for(20)
                end()
                own.start()
            load.wait_for(20)
        pair.catch_up(running)
        assert running.running()
        equal(pair, load)
        assert len(pair.slots()) == 1


def test_s017_a_server_that_is_away_for_a_while_is_waited_for(own: OwnServer, tmp_path: Path) -> None:
    with PostgresDatabase(own.server) as database, Pair(database, tmp_path / "copy.db") as pair:
        database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        running = pair.following()
        own.stop()
        running.wait_for_text("no server answers")
        own.start()
        database.execute("INSERT INTO t VALUES (1)")
        pair.catch_up(running)
        pair.assert_equal()


@pytest.mark.rotating
def test_a_server_that_does_not_come_back_is_given_up(own: OwnServer, tmp_path: Path) -> None:
    with PostgresDatabase(own.server) as database, Pair(database, tmp_path / "copy.db") as pair:
        database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        pair.once()
        saved = pair.saved()
        running = pair.following("--give-up-after", "3")
        own.stop()
        code = running.wait(60)
        own.start()
        assert code == 6, running.stderr()
        assert "no server answers" in running.stderr() and "remedy" in running.stderr()
        assert pair.saved()[0][:2] == saved[0][:2]


def through(pair: Pair) -> FaultProxy:
    return FaultProxy(pair.database.server.host, pair.database.server.port)


@pytest.mark.rotating
def test_s019_connections_are_reset_at_random_bytes(pair: Pair, rng: random.Random) -> None:
    """Cuts fall into the stream, and into the logins and questions that follow a cut."""
    load = Workload(pair.database.url, workers=2, seed=rng.randrange(10**6), pause=0.005).create().run(30)
    with through(pair) as proxy:
        running = pair.following(source=proxy.url(pair.url))
        with load:
            for _ in range(12):
                seen = proxy.accepted
                proxy.cut_after(rng.randrange(20_000), rng.choice(("down", "down", "up")))
                until(lambda n=seen: proxy.accepted > n or not running.running(), 60, "a new connection")  # type: ignore[misc]
            proxy.passing()
        pair.catch_up(running)
        equal(pair, load)


def test_s019_all_connections_are_reset_again_and_again(pair18: Pair, rng: random.Random) -> None:
    load = Workload(pair18.database.url, workers=2, seed=rng.randrange(10**6), pause=0.005).create().run(30)
    with through(pair18) as proxy:
        running = pair18.following(source=proxy.url(pair18.url))
        with load:
            for _ in range(8):
                load.wait_for(rng.randrange(5, 40))
                proxy.reset()
        pair18.catch_up(running)
        equal(pair18, load)


def test_s022_a_first_copy_that_is_cut_goes_on(pair18: Pair, rng: random.Random) -> None:
    pair18.database.execute(
        "CREATE TABLE a (id int PRIMARY KEY, x text); INSERT INTO a SELECT i, repeat('x', 200) FROM"
        " generate_series(1, 20000) i; CREATE TABLE b (LIKE a INCLUDING ALL); INSERT INTO b SELECT * FROM a"
    )
    with through(pair18) as proxy:
        running = pair18.sync(source=proxy.url(pair18.url))
        for _ in range(3):
            seen = proxy.accepted
            proxy.cut_after(proxy_bytes := rng.randrange(500_000, 2_000_000), "down")
            print(f"cut after {proxy_bytes} bytes")
            until(lambda n=seen: proxy.accepted > n or not running.running(), 60, "a new connection")  # type: ignore[misc]
        proxy.passing()
        pair18.database.execute("UPDATE a SET x = 'y' WHERE id < 100")
        pair18.catch_up(running)
        pair18.assert_equal()
        assert len(pair18.slots()) == 1


@pytest.mark.rotating
def test_s020_a_connection_that_goes_dead_is_noticed(own: OwnServer, tmp_path: Path) -> None:
    with PostgresDatabase(own.server) as database, Pair(database, tmp_path / "copy.db") as pair:
        database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        with through(pair) as proxy:
            running = pair.following(source=proxy.url(pair.url))
            pair.catch_up(running)
            proxy.blackhole()
            database.execute("INSERT INTO t VALUES (1)")
            running.wait_for_text("trying again", 90)
            proxy.passing()
            pair.catch_up(running)
            pair.assert_equal()


def test_s021_a_slow_network(pair18: Pair, rng: random.Random) -> None:
    load = Workload(pair18.database.url, workers=1, seed=rng.randrange(10**6)).create().run(3)
    with through(pair18) as proxy:
        proxy.delay(0.05, piece=7)
        running = pair18.following(source=proxy.url(pair18.url))
        load.run(3)
        pair18.catch_up(running)
        equal(pair18, load)

"""MySQL and MariaDB: killed anywhere, then started again: nothing lost, nothing doubled."""

from __future__ import annotations

import random
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.pipelines.conftest import ROTATION
from tests.support.faults import FAILPOINTS
from tests.support.mysql_database import MysqlDatabase
from tests.support.mysql_load import TABLES, MysqlLoad
from tests.support.mysql_pair import MysqlPair
from tests.support.servers import private_mysql

PLACES = tuple(name for name in FAILPOINTS if name != "slot_created")
"""There is no slot."""
PAIRS = tuple(ROTATION)
EACH = [(PAIRS[(n + more) % len(PAIRS)], place) for n, place in enumerate(PLACES) for more in (0, 3, 5)]
"""Each place with three of the pairs, each pair with some of the places."""


def loaded(pair: MysqlPair, rng: random.Random) -> MysqlLoad:
    return MysqlLoad(pair.source, rng.randrange(10**6)).run(10)


def check(pair: MysqlPair, load: MysqlLoad) -> None:
    """Equal by the oracle, and the tally's rows are those that were committed, each once."""
    pair.assert_equal(TABLES)
    assert [op for (op,) in pair.rows("SELECT op FROM tally ORDER BY op")] == sorted(load.committed)


def killed_under_load(pair: MysqlPair, load: MysqlLoad, failpoint: str, *args: str, must: bool = True) -> None:
    running = pair.sync(*args, failpoint=f"{failpoint}=kill")
    with load:
        code = running.wait(60)
    assert code == -9 or (code == 0 and not must), running.stdout() + running.stderr()


@pytest.mark.rotating
@pytest.mark.parametrize(("mysql_pair", "failpoint"), EACH, indirect=["mysql_pair"])
def test_s002_s003_killed_once_at_each_place(mysql_pair: MysqlPair, rng: random.Random, failpoint: str) -> None:
    load = loaded(mysql_pair, rng)
    killed_under_load(mysql_pair, load, failpoint, *(("--once",) if failpoint == "shutdown" else ()))
    load.run(2)
    mysql_pair.once()
    check(mysql_pair, load)


def several_kills(pair: MysqlPair, rng: random.Random, times: int) -> None:
    """In the copy and in the stream; the log's rows are applied one by one where that is where it is killed."""
    load = loaded(pair, rng)
    for _ in range(times):
        place = f"{rng.choice(PLACES)}:{rng.choice((1, 1, 2, 3, 5, 8, 40))}"
        print(place)
        killed_under_load(pair, load, place, "--once", must=False)
    pair.once()
    check(pair, load)


def test_killed_at_places_chosen_at_random(mysql_pair: MysqlPair, rng: random.Random) -> None:
    several_kills(mysql_pair, rng, 3)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_killed_many_times(mysql_pair: MysqlPair, rng: random.Random) -> None:
    several_kills(mysql_pair, rng, 30)


@pytest.mark.rotating
@pytest.mark.parametrize("engine", ["mysql", "mariadb"])
def test_s018_the_source_crashes_below_a_running_stream(engine: str, tmp_path: Path) -> None:
    """In the middle of a transaction that it then has not had, and after some that it has."""
    with ExitStack() as stack:
        own = stack.enter_context(private_mysql(engine))
        database = stack.enter_context(MysqlDatabase(own.server))
        pair = stack.enter_context(MysqlPair(database, tmp_path / "copy.db"))
        database.execute("CREATE TABLE marker (id int PRIMARY KEY)", "CREATE TABLE tally (op bigint)")
        with pair.following() as running:
            for number in range(2):
                database.execute(*(f"INSERT INTO tally VALUES ({number * 100 + n})" for n in range(50)))
                database.execute("BEGIN", "INSERT INTO tally SELECT op + 1000 FROM tally")
                own.kill()
                own.start()
                database.reconnect()
                database.execute(f"INSERT INTO tally VALUES ({-number})")
                pair.catch_up(running)
                pair.assert_equal()
            assert "trying again" in running.stderr()

"""Killed anywhere, then started again: nothing lost, nothing doubled, nothing left behind."""

import random

import pytest

from tests.support.faults import FAILPOINTS
from tests.support.pair import Pair
from tests.support.wait import until
from tests.support.workload import TABLES, Workload

SCENARIO = {"row_applied": "s001", "after_target_commit": "s002", "after_confirm": "s003", "before_confirm": "s002"}
NAMED = [pytest.param(name, id=f"{SCENARIO.get(name, 's117')}-{name}") for name in FAILPOINTS]


def loaded(pair: Pair, rng: random.Random) -> Workload:
    """Two writers' tables, with some rows in them."""
    return Workload(pair.database.url, workers=2, seed=rng.randrange(10**6), pause=0.005).create().run(12)


def check(pair: Pair, load: Workload) -> None:
    """Equal by the oracle, the tally's count exact, and one slot and its two publications in all."""
    load.check_source()
    pair.assert_equal(TABLES)
    ids = [number for (number,) in pair.rows("SELECT op_id FROM tally ORDER BY op_id")]
    assert ids == load.tally_ids()
    assert len(pair.slots()) == 1 and len(pair.publications()) == 2


def killed_under_load(pair: Pair, load: Workload, failpoint: str, *args: str) -> str:
    """Run `sync` until the failpoint has killed it, while the writers work; return what it printed."""
    running = pair.sync(*args, failpoint=failpoint)
    with load:
        code = running.wait(60)
    output = running.stdout() + running.stderr()
    assert code == -9, output
    return output


@pytest.mark.parametrize("failpoint", NAMED)
def test_s002_s003_killed_once_at_each_place(pair18: Pair, rng: random.Random, failpoint: str) -> None:
    one_kill(pair18, loaded(pair18, rng), failpoint)


@pytest.mark.rotating
@pytest.mark.parametrize("failpoint", NAMED)
def test_killed_once_at_each_place_with_the_older_server(pair15: Pair, rng: random.Random, failpoint: str) -> None:
    one_kill(pair15, loaded(pair15, rng), failpoint)


def one_kill(pair: Pair, load: Workload, failpoint: str) -> None:
    args = ("--once",) if failpoint == "shutdown" else ()
    killed_under_load(pair, load, f"{failpoint}=kill", *args)
    load.run(2)
    pair.once()
    check(pair, load)


def test_s001_killed_at_any_row(pair18: Pair, rng: random.Random) -> None:
    """In the copy and in the stream: with this failpoint armed each row is applied, and counted, by itself."""
    pair, load = pair18, loaded(pair18, rng)
    for n in (rng.randint(1, 30), rng.randint(30, 120), rng.randint(100, 300), rng.randint(1, 200)):
        print(f"row_applied:{n}")
        killed_under_load(pair, load, f"row_applied:{n}=kill")
    pair.once()
    check(pair, load)


def several_kills(pair: Pair, load: Workload, rng: random.Random, times: int) -> None:
    for _ in range(times):
        place = f"{rng.choice(FAILPOINTS)}:{rng.choice((1, 1, 1, 2, 3, 5, 8))}"
        print(place)
        running = pair.sync("--once", failpoint=f"{place}=kill")
        with load:
            code = running.wait(60)
        assert code in (0, -9), running.stderr()
    pair.once()
    check(pair, load)


def test_s004_killed_at_places_chosen_at_random(pair: Pair, rng: random.Random) -> None:
    several_kills(pair, loaded(pair, rng), rng, 5)


@pytest.mark.rotating
def test_s004_killed_many_times(pair: Pair, rng: random.Random) -> None:
    several_kills(pair, loaded(pair, rng), rng, 30)


@pytest.mark.rotating
@pytest.mark.parametrize("failpoint", [name for name in FAILPOINTS if name != "shutdown"])
def test_an_error_at_each_place_is_tried_again_in_the_same_process(
    pair18: Pair, rng: random.Random, failpoint: str
) -> None:
    load18 = loaded(pair18, rng)
    running = pair18.sync(failpoint=f"{failpoint}=raise")
    with load18:
        running.wait_for_text(f"failpoint {failpoint}; trying again")
        load18.wait_for(4)
    pair18.catch_up(running)
    check(pair18, load18)


@pytest.mark.parametrize("chunk", [3, 4])
def test_s117_killed_in_the_second_of_three_tables(pair: Pair, chunk: int) -> None:
    """Each table comes in a chunk of 64 rows and one of the others; the first commit empties it, too."""
    for table in "abc":
        pair.database.execute(
            f"CREATE TABLE {table} (id int PRIMARY KEY, x text UNIQUE);"
            f"INSERT INTO {table} SELECT i, 'x' || i FROM generate_series(1, 100) i"
        )
    running = pair.sync(failpoint=f"chunk_after_commit:{chunk}=kill")
    assert running.wait(60) == -9
    assert pair.rows("SELECT count(*) FROM a") == [(100,)]
    for table in "abc":
        pair.database.execute(
            f"UPDATE {table} SET id = id + 1000 WHERE id <= 50; DELETE FROM {table} WHERE id = 60;"
            f"UPDATE {table} SET x = 'y' WHERE id = 70; INSERT INTO {table} VALUES (1, 'x60'), (5000, NULL)"
        )
    output = pair.once()
    assert "copied public.a" not in output and "copied public.c" in output
    pair.assert_equal()
    assert len(pair.slots()) == 1


def test_a_table_left_out_changed_and_taken_in_again(pair: Pair) -> None:
    pair.database.execute(
        "CREATE TABLE stays (id int PRIMARY KEY, x int); CREATE TABLE leaves (id int PRIMARY KEY, x int UNIQUE);"
        "INSERT INTO stays SELECT i, i FROM generate_series(1, 300) i;"
        "INSERT INTO leaves SELECT i, i FROM generate_series(1, 300) i"
    )
    pair.once()
    before = pair.rows("SELECT * FROM leaves ORDER BY id")
    running = pair.following("--exclude", "leaves")
    pair.database.execute(
        """DO $$BEGIN FOR i IN 1..1000 LOOP
        IF i % 3 = 0 THEN UPDATE leaves SET id = id + 1000 WHERE id = i; UPDATE stays SET x = -i WHERE id = i;
        ELSIF i % 3 = 1 THEN DELETE FROM leaves WHERE id = i; INSERT INTO leaves VALUES (i + 5000, -i);
        ELSE UPDATE leaves SET x = x + 100000 WHERE id = i; INSERT INTO stays VALUES (i + 7000, i); END IF;
        COMMIT; END LOOP; END$$"""
    )
    pair.catch_up(running)
    pair.assert_equal(["public.stays"])
    assert pair.rows("SELECT * FROM leaves ORDER BY id") == before, "a table that is left out was touched"
    running.kill()
    pair.database.execute("ALTER TABLE leaves ADD more text DEFAULT 'd'; UPDATE leaves SET x = 0 WHERE id = 1000")
    output = pair.once()
    assert "copied public.leaves" in output and "copied public.stays" not in output
    pair.assert_equal()
    pair.database.execute("UPDATE leaves SET more = 'e'; DELETE FROM stays WHERE id < 100")
    pair.once()
    pair.assert_equal()
    assert len(pair.slots()) == 1


def test_a_new_table_is_copied_and_a_kill_in_its_copy_is_harmless(pair: Pair) -> None:
    pair.database.execute("CREATE TABLE old (id int PRIMARY KEY); INSERT INTO old VALUES (1)")
    pair.once()
    pair.database.execute(
        "CREATE TABLE new (id int PRIMARY KEY, x int); INSERT INTO new SELECT i, i FROM generate_series(1, 500) i"
    )
    for place in ("slot_created", "snapshot_exported", "chunk_before_commit:2", "chunk_after_commit:3"):
        assert pair.sync(failpoint=f"{place}=kill").wait(60) == -9
        pair.database.execute(
            "INSERT INTO old SELECT max(id) + 1 FROM old; DELETE FROM new WHERE id = (SELECT max(id)"
            " FROM new); UPDATE new SET x = x + 1"
        )

    def temporary() -> bool:
        return bool(
            pair.database.query("SELECT 1 FROM pg_replication_slots WHERE temporary AND database = current_database()")
        )

    until(lambda: not temporary(), 30, "the end of temporary slots")
    pair.once()
    pair.assert_equal()
    assert len(pair.slots()) == 1

"""Every type, at its edges: the copy, an insert and an update give the same bytes; and random changes of all of
them."""

from __future__ import annotations

import random

import pytest

from tests.support.mysql_pair import MysqlPair
from tests.support.mysql_types import any_row, rows, table, types

UPDATED, INSERTED = 200, 100


def test_copy_insert_and_update_give_the_same_bytes(mysql_pair: MysqlPair) -> None:
    pair = mysql_pair
    engine, source = pair.source.server.engine, pair.source
    every = rows(engine)
    source.execute("SET SESSION sql_mode = ''", table(engine, "every"))
    for number, row in enumerate(every):
        source.execute(f"INSERT INTO every VALUES ({number}, {', '.join(row)})")
        source.execute(f"INSERT INTO every (id) VALUES ({number + UPDATED})")
    pair.once()
    for number, row in enumerate(every):
        source.execute(f"INSERT INTO every VALUES ({number + INSERTED}, {', '.join(row)})")
        sets = ", ".join(f"c{n} = {value}" for n, value in enumerate(row))
        source.execute(f"UPDATE every SET {sets} WHERE id = {number + UPDATED}")
    pair.once()
    pair.assert_equal()
    shown = ", ".join(pair.whole(f"c{n}") for n in range(len(types(engine))))
    found = {row[0]: row[1:] for row in pair.rows(f"SELECT id, {shown} FROM every")}
    for number in range(len(every)):
        assert found[number] == found[number + INSERTED] == found[number + UPDATED]


IMAGES = ("FULL", "MINIMAL", "NOBLOB")


def random_changes(pair: MysqlPair, rng: random.Random, transactions: int) -> int:
    """Changes of every kind in transactions of every size; how many there were."""
    engine, source, count = pair.source.server.engine, pair.source, 0
    for _ in range(transactions):
        source.execute(f"SET SESSION binlog_row_image = '{rng.choice(IMAGES)}'")
        if engine == "mysql":
            source.execute(f"SET SESSION binlog_transaction_compression = {rng.random() < 0.3}")
        elif rng.random() < 0.1:
            source.execute(f"SET SESSION gtid_domain_id = {rng.randrange(3)}")
        source.execute("BEGIN")
        for _ in range(rng.choice((1, 1, 2, 5, 30))):
            source.execute(change(engine, rng))
            count += 1
            if rng.random() < 0.05:
                source.execute("SAVEPOINT s", change(engine, rng), "ROLLBACK TO s")
        source.execute("COMMIT" if rng.random() < 0.9 else "ROLLBACK")
    return count


def change(engine: str, rng: random.Random) -> str:
    key, at = rng.randrange(1, 300), rng.randrange(len(types(engine)))
    values = any_row(engine, rng)
    match rng.randrange(8):
        case 0 | 1:
            return f"REPLACE INTO every VALUES ({key}, {', '.join(values)})"
        case 2:
            return f"INSERT IGNORE INTO every (id, c{at}) VALUES ({key}, {values[at]})"
        case 3:
            return f"UPDATE every SET c{at} = {values[at]} WHERE id BETWEEN {key} AND {key + 5}"
        case 4:
            return f"DELETE FROM every WHERE id = {key}"
        case 5:
            return f"UPDATE IGNORE every SET id = {rng.randrange(1, 300)} WHERE id = {key}"
        case 6:
            return f"INSERT INTO loose SELECT id, LEFT(c30, 20) FROM every WHERE id > {key} ORDER BY id LIMIT 2"
        case _:
            # Few rows at once and in all: without a key each one is looked for among all of them.
            return rng.choice(("DELETE FROM loose ORDER BY a LIMIT 3", "UPDATE loose SET a = a + 1 ORDER BY a LIMIT 2"))


def follow_random_changes(pair: MysqlPair, rng: random.Random, changes: int) -> None:
    engine, source = pair.source.server.engine, pair.source
    source.execute("SET SESSION sql_mode = ''", table(engine, "every"), "CREATE TABLE loose (a int, b varchar(40))")
    source.execute("CREATE TABLE marker (id int PRIMARY KEY)", "INSERT INTO loose VALUES (1, 'x'), (1, 'x')")
    random_changes(pair, rng, 20)
    with pair.following() as running:
        made = 0
        while made < changes:
            made += random_changes(pair, rng, 50)
        source.execute("SET SESSION binlog_row_image = 'FULL'")
        pair.catch_up(running, timeout=300.0)
        pair.assert_equal()


def test_random_changes(mysql_pair: MysqlPair, rng: random.Random) -> None:
    follow_random_changes(mysql_pair, rng, 1_000)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_twenty_thousand_random_changes(mysql_pair: MysqlPair, rng: random.Random) -> None:
    follow_random_changes(mysql_pair, rng, 20_000)


def test_many_rows_at_once_are_the_same_values(mysql_pair: MysqlPair) -> None:
    """By whatever way a target takes many rows."""
    pair, source = mysql_pair, mysql_pair.source
    engine = source.server.engine
    source.execute("SET SESSION sql_mode = ''", table(engine, "every"), "CREATE TABLE marker (id int PRIMARY KEY)")
    pair.once()
    numbered = [f"({number}, {', '.join(row)})" for number, row in enumerate(rows(engine) * 20)]
    source.execute("SET SESSION sql_mode = ''", f"INSERT INTO every VALUES {', '.join(numbered)}")
    pair.once()
    pair.assert_equal()
    source.execute("UPDATE every SET id = id + 1000", "DELETE FROM every WHERE id % 3 = 0")
    pair.once()
    pair.assert_equal()

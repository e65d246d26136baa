"""Every literal of the faker is one that PostgreSQL takes, on the oldest and the newest server alike."""

from __future__ import annotations

import random

from tests.support import faker, oracle
from tests.support.databases import PostgresDatabase

UNUSUAL = {"xml"}


def test_edge_values_are_all_accepted(database: PostgresDatabase) -> None:
    types = faker.prepare(database)
    assert set(faker.PG_TYPES) - set(types) <= UNUSUAL
    columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(types))
    database.execute(f"CREATE TABLE edges (n int, {columns})")
    refused = []
    for number, (kind, literals) in enumerate(types.items()):
        for literal in literals:
            try:
                database.execute(f"INSERT INTO edges (n, c{number}) VALUES ({number}, {literal})")
            except Exception as error:
                refused.append(f"{kind} {literal[:60]}: {error}")
    assert not refused, "\n".join(refused)
    rows = [line.split("\t") for line in oracle.dump_postgres(database.url, "edges")]
    for number, literals in enumerate(types.values()):
        values = [row[number + 1] for row in rows if row[0] == str(number)]
        assert len(values) == len(literals)
        assert values.count("\\N") == 1, "only the literal NULL is NULL"


def test_unrepresentable_values_are_accepted_by_postgres(database: PostgresDatabase) -> None:
    faker.prepare(database)
    for kind, literals in faker.UNREPRESENTABLE.items():
        for literal in literals:
            assert database.query(f"SELECT {literal} IS NOT NULL") == [(True,)], kind
            assert literal not in faker.PG_TYPES[kind]


def test_random_literals_are_all_accepted(database: PostgresDatabase) -> None:
    types = faker.prepare(database)
    rng = random.Random(4)
    for kind in types:
        if kind in faker.PG_TYPES:
            for _ in range(15):
                literal = faker.random_literal(rng, kind)
                try:
                    database.query(f"SELECT pg_typeof({literal})")
                except Exception as error:
                    raise AssertionError(f"{kind}: {literal[:200]}") from error


def test_random_tables_live(database: PostgresDatabase) -> None:
    types = [kind for kind in faker.prepare(database) if kind in faker.PG_TYPES]
    keys = set()
    for seed in range(25):
        rng = random.Random(seed)
        table = faker.random_table(rng, types=types)
        keys.add(len(table.key))
        for statement in table.ddl:
            database.execute(statement)
        database.execute(table.insert(rng, 10))
        for _ in range(10):
            database.execute(table.update(rng, 8))
            database.execute(rng.choice((table.delete(rng, 8), table.insert(rng))))
        ((rows,),) = database.query(f"SELECT count(*) FROM {table.quoted}")
        assert len(oracle.dump_postgres(database.url, f"public.{table.name}")) == rows
    assert keys == {0, 1, 2, 3}


def test_one_seed_is_one_table() -> None:
    made = [faker.random_table(random.Random(seed)) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    rows = [made[0].insert(random.Random(seed), 3) for seed in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]

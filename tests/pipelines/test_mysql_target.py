"""PostgreSQL into MySQL and MariaDB: every value, every place of a kill, and the documented rights."""

from __future__ import annotations

import random
import re

from tests.pipelines.test_values import COPIED, FROM_NULL, FROM_OTHER, INSERTED, groups, insert, matrix, update
from tests.support.faker import KEY_TYPES, prepare, random_literal
from tests.support.into_mysql import PostgresIntoMysql

NOT_THERE = {
    "real": "Infinity",
    "ratio": "Infinity",
    "double precision": "Infinity",
    "date": "BC|infinity|'10000|'5874897",
    "timestamp": "BC|infinity|'10000|'294276",
    "instant": "BC|infinity",
    "json": r"'-0'|1e400|12345678901234567890|\"a\": 1, \"a\": 2",
    "jsonb": "12345678901234567890",
    "numeric(10,2)": "NaN",
    "numeric[]": "12345678901234567890.5",
    "json[]": "'-0'",
}
"""By type, the values that these servers cannot hold: each stops the stream."""
TEXT_THERE = ("json", "jsonb", "numeric[]", "json[]")
"""MariaDB keeps the text of JSON."""


def held(types: dict[str, list[str]], engine: str) -> dict[str, list[str]]:
    found = {}
    for kind, literals in types.items():
        base = "timestamp" if kind.startswith("timestamp") and not kind.endswith("]") else kind
        pattern = NOT_THERE.get(base, "$^")
        if engine == "mariadb" and kind in TEXT_THERE:
            pattern = "$^"
        found[kind] = [text for text in literals if not re.search(pattern, text)]
    return found


def test_s105_copy_insert_and_update_give_the_same_bytes(into: PostgresIntoMysql) -> None:
    pair = into
    types = held(matrix(pair), pair.into.server.engine)
    tables = dict(groups(types))
    for table, kinds in tables.items():
        columns = ", ".join(f"c{at} {kind}" for at, kind in enumerate(kinds))
        pair.database.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, {columns})")
        pair.database.execute(insert(table, kinds, types, COPIED))
        pair.database.execute(f"INSERT INTO {table} (id) SELECT id + {FROM_NULL} FROM {table} WHERE id < 1000")
        pair.database.execute(insert(table, kinds, types, FROM_OTHER, shift=1))
    running = pair.following()
    for table, kinds in tables.items():
        pair.database.execute(insert(table, kinds, types, INSERTED))
        pair.database.execute(update(table, kinds, FROM_NULL))
        pair.database.execute(update(table, kinds, FROM_OTHER))
    pair.catch_up(running)
    pair.assert_equal()
    for table, kinds in tables.items():
        for at in range(len(kinds)):
            distinct = f"SELECT id % 1000 FROM {table} GROUP BY id % 1000 HAVING count(DISTINCT HEX(c{at})) > 1"
            assert pair.rows(distinct) == [], kinds[at]


def test_s119_every_type_as_a_key(into: PostgresIntoMysql, rng: random.Random) -> None:
    pair = into
    prepare(pair.database)
    kinds = [*KEY_TYPES, "macaddr", "bit(12)", "varbit", "int4range", "jsonb", '"char"']
    for number, kind in enumerate(kinds):
        pair.database.execute(f"CREATE TABLE k{number} (part int, k {kind}, x int, PRIMARY KEY (k, part))")
        values = [random_literal(rng, kind) for _ in range(200)]
        fit = [text for text in values if len(text) <= 300 and not re.search("infinity|BC|[1-9][0-9]{4}-", text)][:100]
        rows = ", ".join(f"({1 + at // len(fit)}, {text}, {at})" for at, text in enumerate([*fit, *fit]))
        pair.database.execute(f"INSERT INTO k{number} VALUES {rows} ON CONFLICT DO NOTHING")
    running = pair.following()
    for number in range(len(kinds)):
        pair.database.execute(f"UPDATE k{number} SET x = -x WHERE part = 1 AND x % 2 = 0")
        pair.database.execute(f"DELETE FROM k{number} WHERE part = 2 AND x % 3 = 0")
        pair.database.execute(f"UPDATE k{number} SET part = part + 10 WHERE x % 5 = 0")
    pair.catch_up(running)
    pair.assert_equal()


def test_decimal_keys_that_are_one_double(into: PostgresIntoMysql) -> None:
    """As a primary key, and in a table whose unique index the server has no reason to use."""
    pair = into
    pair.database.execute(
        "CREATE TABLE t (k numeric(30,10) PRIMARY KEY, x int); CREATE TABLE u (k numeric(20,0), x int)"
    )
    pair.database.execute("ALTER TABLE u ADD PRIMARY KEY (k)")
    rows = ", ".join(f"(12345678901234567890.12345678{at:02d}, {at})" for at in range(60))
    pair.database.execute(f"INSERT INTO t VALUES {rows}")
    pair.database.execute("INSERT INTO u SELECT 18446744073709551615 - i, i FROM generate_series(0, 60) i")
    running = pair.following()
    pair.database.execute("UPDATE t SET x = 100 + x; UPDATE u SET x = 100 + x WHERE x % 2 = 0")
    pair.database.execute("DELETE FROM t WHERE x % 3 = 0; DELETE FROM u WHERE x % 3 = 0")
    pair.catch_up(running)
    pair.assert_equal()


def test_s081_keys_that_differ_in_case_accents_and_spaces_stay_apart(into: PostgresIntoMysql) -> None:
    pair = into
    pair.database.execute("CREATE TABLE t (k text PRIMARY KEY, u varchar(20) UNIQUE, x int)")
    texts = ("a", "A", "é", "e", "E", "a ", " a", "", "ß", "ss")
    pair.database.execute("INSERT INTO t VALUES " + ", ".join(f"('{each}', '{each}', 1)" for each in texts))
    running = pair.following()
    pair.database.execute("UPDATE t SET x = 2 WHERE k IN ('A', 'e', 'a '); DELETE FROM t WHERE k = 'E'")
    pair.database.execute("UPDATE t SET k = 'B' WHERE k = 'A'; UPDATE t SET k = 'A' WHERE k = 'a'")
    pair.catch_up(running)
    pair.assert_equal()


def test_rows_without_a_key(into: PostgresIntoMysql) -> None:
    pair = into
    pair.database.execute(
        "CREATE TABLE loose (a text, f float8, r real, n numeric, j jsonb, b bytea, t timestamptz, bits bit(5));"
        "ALTER TABLE loose REPLICA IDENTITY FULL"
    )
    row = "'a', 0.1, 0.1, 1.0, '{\"b\": 1, \"aa\": [1.5]}', '\\x00ff', '2024-02-29 12:00:00.5+00', B'10101'"
    others = [("1.0,", "1.00,"), ("'a'", "'A'"), ("'a'", "'a '"), ("0.1, 0.1", "0.1, 3.4e38")]
    rows = [row, row, *(row.replace(*other) for other in others), "NULL" + ", NULL" * 7]
    pair.database.execute("INSERT INTO loose VALUES " + ", ".join(f"({each})" for each in rows))
    running = pair.following()
    one = "ctid = (SELECT ctid FROM loose WHERE"
    pair.database.execute(f"DELETE FROM loose WHERE {one} n::text = '1.0' AND a = 'a' LIMIT 1)")
    pair.database.execute("UPDATE loose SET b = '' WHERE n::text = '1.00'; UPDATE loose SET f = 1 WHERE a = 'a '")
    pair.database.execute("DELETE FROM loose WHERE a = 'A'; UPDATE loose SET a = 'z' WHERE a IS NULL")
    pair.database.execute("UPDATE loose SET bits = B'00001' WHERE r > 1")
    pair.catch_up(running)
    pair.assert_equal()

"""The value matrix: a value that is copied, inserted and updated to is the same bytes at the target each time."""

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import pytest

from tests.support.faker import KEY_TYPES, UNREPRESENTABLE, literal, prepare, random_literal
from tests.support.pair import Pair

COLUMNS = 30
LONGEST = 400  # of a value in an index
# Row numbers: copied, streamed as an insert, updated from NULL, updated from another value.
COPIED, INSERTED, FROM_NULL, FROM_OTHER = 0, 1000, 2000, 3000

DOMAINS = """
CREATE DOMAIN price AS money;
CREATE DOMAIN instant AS timestamptz;
CREATE DOMAIN flags AS boolean;
CREATE DOMAIN image AS bytea;
CREATE DOMAIN numbers AS int[];
CREATE DOMAIN prices AS money[];
CREATE DOMAIN ratio AS real;
CREATE DOMAIN feeling AS mood;
CREATE DOMAIN moments AS timestamptz[];
"""
OF_DOMAINS = {
    "price": ["-1234.50", "0.01"],
    "instant": ["2024-02-29 18:44:15.5+05:30", "0044-03-15 12:00:00+00 BC", "infinity"],
    "flags": ["t", "f"],
    "image": ["", "\\x00ff"],
    "numbers": ["{}", "{1,NULL}", "{{1},{2}}"],
    "prices": ["{-1.50,1234567.89}"],
    "ratio": ["0.1", "1e20", "Infinity"],
    "feeling": ["sad", 'it\'s "fine"'],
    "moments": ["{2024-02-29 18:44:15+05:30,NULL}"],
    "mood[]": ['{sad,"so so"}'],
    "price[]": ["{-1.50,1234567.89}"],
    "instant[]": ["{2024-02-29 18:44:15+05:30,NULL}"],
    "flags[]": ["{t,f,NULL}"],
    "hidden.mood": ["up", "down"],
    "hidden.mood[]": ["{up,NULL}"],
}


def matrix(pair: Pair) -> dict[str, list[str]]:
    """Every type of this server with its literals, NULL included, and domains over those that are converted."""
    types = prepare(pair.database)
    pair.database.execute(DOMAINS + "CREATE SCHEMA hidden; CREATE TYPE hidden.mood AS ENUM ('up', 'down');")
    for kind, texts in OF_DOMAINS.items():
        types.setdefault(kind, [*(literal(text, kind) for text in texts), f"NULL::{kind}"])
    return types


def groups(types: Mapping[str, list[str]]) -> Iterator[tuple[str, list[str]]]:
    """Tables of some types each: a statement for each single type would take minutes."""
    kinds = iter(sorted(types))
    number = 0
    while chosen := list(islice(kinds, COLUMNS)):
        number += 1
        yield f"m{number}", chosen


def value(literals: Sequence[str], at: int) -> str:
    return literals[at] if at < len(literals) else "NULL"


def insert(table: str, kinds: Sequence[str], types: Mapping[str, list[str]], base: int, shift: int = 0) -> str:
    """Row `base + i` has the i-th literal of each type, or with `shift` one after it."""
    rows = max(len(types[kind]) for kind in kinds)
    lines = [
        f"({base + i}, " + ", ".join(value(types[k], (i + shift) % max(len(types[k]), i + 1)) for k in kinds) + ")"
        for i in range(rows)
    ]
    return f"INSERT INTO {table} VALUES {', '.join(lines)}"


def update(table: str, kinds: Sequence[str], base: int) -> str:
    columns = ", ".join(f"c{at} = s.c{at}" for at in range(len(kinds)))
    return f"UPDATE {table} t SET {columns} FROM {table} s WHERE t.id = s.id + {base} AND s.id < 1000"


def test_s105_copy_insert_and_update_give_the_same_bytes(pair: Pair) -> None:
    types = matrix(pair)
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
    differing = []
    for table, kinds in tables.items():
        for at, kind in enumerate(kinds):
            found = pair.rows(
                f"SELECT id % 1000, id / 1000, typeof(c{at}) || hex(c{at}) || quote(c{at}) FROM {table} ORDER BY 1, 2"
            )
            for i in range(0, len(found), 4):
                copied, *others = found[i : i + 4]
                differing += [
                    f"{kind} {value(types[kind], copied[0])[:60]}: copied {copied[2][:80]}, way {way} {cell[:80]}"
                    for _, way, cell in others
                    if cell != copied[2]
                ]
    assert not differing, "\n".join(differing)
    pair.assert_equal()


def test_s119_every_type_as_a_key(pair: Pair, rng: random.Random) -> None:
    """Copied in chunks by key; then found again by it: updated, moved and deleted."""
    prepare(pair.database)
    kinds = [*KEY_TYPES, "interval", "macaddr", "bit(12)", "varbit", "int4range", "double precision", "jsonb", '"char"']
    for number, kind in enumerate(kinds):
        table = f"k{number}"
        pair.database.execute(f"CREATE TABLE {table} (part int, k {kind}, x int, PRIMARY KEY (k, part))")
        values = [text for text in (random_literal(rng, kind) for _ in range(150)) if len(text) <= LONGEST]
        rows = ", ".join(f"({1 + at // len(values)}, {text}, {at})" for at, text in enumerate([*values, *values]))
        pair.database.execute(f"INSERT INTO {table} VALUES {rows} ON CONFLICT DO NOTHING")
    running = pair.following()
    for number, kind in enumerate(kinds):
        table = f"k{number}"
        text = next(text for text in iter(lambda k=kind: random_literal(rng, k), "") if len(text) <= LONGEST)  # type: ignore[misc]
        pair.database.execute(f"UPDATE {table} SET x = -x WHERE part = 1 AND x % 2 = 0")
        pair.database.execute(f"DELETE FROM {table} WHERE part = 2 AND x % 3 = 0")
        pair.database.execute(f"UPDATE {table} SET part = part + 10 WHERE x % 5 = 0")
        pair.database.execute(
            f"UPDATE {table} SET k = {text}, part = 100 WHERE (k, part) ="
            f" (SELECT k, part FROM {table} ORDER BY x LIMIT 1)"
        )
    pair.catch_up(running)
    pair.assert_equal()


def test_a_key_that_changes_its_text_but_not_its_value(pair: Pair) -> None:
    """1.0 and 1.00 are one key to PostgreSQL and two to SQLite."""
    pair.database.execute(
        "CREATE TABLE n (k numeric PRIMARY KEY, x int); INSERT INTO n VALUES (1.0, 1), (2.00, 2), (3, 3)"
    )
    running = pair.following()
    pair.database.execute("UPDATE n SET k = 1.00 WHERE k = 1; UPDATE n SET x = 10 WHERE k = 1")
    pair.database.execute("BEGIN; UPDATE n SET k = 2 WHERE k = 2.0; UPDATE n SET x = 20 WHERE k = 2; COMMIT")
    pair.database.execute("DELETE FROM n WHERE k = 3.000; INSERT INTO n VALUES (3.0, 33); DELETE FROM n WHERE k = 1")
    pair.catch_up(running)
    pair.assert_equal()


FLOATING = ("real", "double precision")  # the reason has to say NaN or zero
REFUSED = [(kind, literals[0]) for kind, literals in UNREPRESENTABLE.items()]
REFUSED += [("double precision", "'-0'::double precision")]


@pytest.mark.parametrize(("kind", "text"), REFUSED, ids=lambda part: part if "'" not in part else "")
def test_s108_what_sqlite_cannot_hold_stops_the_stream(pair18: Pair, kind: str, text: str) -> None:
    """With table, column and key, and without the value; the position stays."""
    pair = pair18
    pair.database.execute(f"CREATE TABLE odd (id int PRIMARY KEY, secret {kind}, x int); INSERT INTO odd VALUES (1)")
    pair.once()
    pair.database.execute(f"INSERT INTO odd VALUES (76543, {text}, 1)")
    saved = pair.saved()
    output = pair.sync_to_end(5)
    assert "public.odd.secret" in output and "id=76543" in output and "remedy: " in output
    assert kind in FLOATING or text.split("'")[1] not in output, "the value itself was printed"
    assert pair.saved() == saved and pair.rows("SELECT id FROM odd") == [(1,)]
    pair.database.execute("CREATE TABLE copied (LIKE odd INCLUDING ALL); INSERT INTO copied SELECT * FROM odd")
    with Pair(pair.database, pair.path.with_name("other.db"), pair.database.url) as second:
        output = second.once("--table", "copied", code=5)
        assert "public.copied.secret" in output and "id=76543" in output
    assert len(pair.slots()) == 2


def test_s108_the_policies_that_the_remedy_names(pair18: Pair, tmp_path: Path) -> None:
    pair = pair18
    row = "(%s, 'NaN', '-0', '[2:3]={1,2}', 'NaN')"
    pair.database.execute(
        f"CREATE TABLE odd (id int PRIMARY KEY, n float8, z float4, a int[], t float8);INSERT INTO odd VALUES {row % 1}"
    )
    config = tmp_path / "policies.toml"
    config.write_text(
        '[columns."public.odd.n"]\nnan = "null"\n[columns."public.odd.z"]\nnegative_zero = "zero"\n'
        '[columns."public.odd.a"]\nas = "text"\n[columns."public.odd.t"]\nas = "text"\n'
    )
    pair.once("--config", str(config))
    pair.database.execute(f"INSERT INTO odd VALUES {row % 2}")
    pair.once("--config", str(config))
    expected = ("null", 0.0, "[2:3]={1,2}", "text")
    assert pair.rows("SELECT typeof(n), z, a, typeof(t) FROM odd") == [expected, expected]


def test_s016_the_locale_of_the_database_and_of_the_process_change_nothing(pair18: Pair) -> None:
    pair = pair18
    name = pair.database.name
    pair.database.execute(
        f"ALTER DATABASE {name} SET datestyle = 'German'; ALTER DATABASE {name} SET timezone = 'Asia/Kolkata';"
        f"ALTER DATABASE {name} SET extra_float_digits = 0; ALTER DATABASE {name} SET intervalstyle = 'sql_standard';"
        f"ALTER DATABASE {name} SET bytea_output = 'escape'; ALTER DATABASE {name} SET search_path = 'nowhere';"
        f"ALTER DATABASE {name} SET standard_conforming_strings = off; ALTER DATABASE {name} SET row_security = on"
    )
    pair.database.execute(
        "CREATE TABLE v (id int PRIMARY KEY, a timestamptz, b float8, c interval, d bytea, e date, f text)"
    )
    row = "'2024-02-29 18:44:15.5+05:30', 0.1::float8 + 0.2, '1 year -2 days', '\\x00ff5c', '2024-02-29', E'\\\\ ı'"
    pair.database.execute(f"INSERT INTO v SELECT i, {row} FROM generate_series(1, 100) i")
    env = {"TZ": "Asia/Kolkata", "LC_ALL": "tr_TR.UTF-8", "PYTHONUTF8": "0"}
    pair.once(env=env)
    pair.database.execute(f"INSERT INTO v SELECT i, {row} FROM generate_series(101, 200) i")
    pair.once(env=env)
    assert len(pair.rows("SELECT DISTINCT a, b, c, d, e, f FROM v")) == 1
    pair.assert_equal()

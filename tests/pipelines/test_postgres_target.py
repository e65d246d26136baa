"""PostgreSQL into PostgreSQL: every value, every place of a kill, and the documented rights."""

from __future__ import annotations

import random
import re
import signal

import pytest

from tests.pipelines.test_crash import killed_under_load, loaded
from tests.pipelines.test_values import COPIED, FROM_NULL, FROM_OTHER, INSERTED, groups, insert, matrix, update
from tests.support.databases import NASTY, TARGET_GRANTS, PostgresDatabase
from tests.support.faker import KEY_TYPES, prepare, random_literal
from tests.support.faults import FAILPOINTS
from tests.support.postgres_pair import PostgresPair
from tests.support.servers import Server
from tests.support.wait import until
from tests.support.workload import TABLES, Workload

INFINITE = re.compile("infinity|178956970")
SHAPES = """
CREATE SCHEMA "Other";
CREATE TABLE "Other"."T%s" ("a%%" int, "b""q" text, PRIMARY KEY ("b""q", "a%%"));
INSERT INTO "Other"."T%s" VALUES (1, E'tab\\t back\\\\ line\\n'), (2, '\\N'), (3, '');
CREATE TABLE plain (id int PRIMARY KEY, u int UNIQUE, v varchar(5), n numeric(8, 2));
INSERT INTO plain SELECT i, i, 'v  ', i * 0.5 FROM generate_series(1, 500) i;
CREATE TABLE keyless (n numeric, j json, p point, x box);
ALTER TABLE keyless REPLICA IDENTITY FULL;
INSERT INTO keyless VALUES (1.0, '{"a":1}', '(1,2)', '1,2,3,4'), (1.00, '{"a": 1}', '(1,2)', '1,2,3,4');
INSERT INTO keyless VALUES (NULL, NULL, NULL, NULL);
"""


def test_first_light(across: PostgresPair) -> None:
    pair = across
    pair.database.execute(SHAPES)
    everything = ("--table", "*.*")
    tables = ["Other.T%s", "public.plain", "public.keyless"]
    pair.once(*everything)
    pair.assert_equal(tables)
    running = pair.following(*everything)
    pair.database.execute("UPDATE plain SET u = -u, v = 'w'; UPDATE plain SET id = -id WHERE id > 490")
    pair.database.execute("DELETE FROM plain WHERE id BETWEEN 1 AND 100; INSERT INTO plain VALUES (1000, 1000, '', 0)")
    pair.database.execute("DELETE FROM keyless WHERE n::text = '1.00'; UPDATE keyless SET j = '[]' WHERE n IS NULL")
    pair.database.execute('UPDATE "Other"."T%s" SET "a%%" = 9; TRUNCATE keyless; INSERT INTO keyless VALUES (2.50)')
    pair.catch_up(running)
    pair.assert_equal(tables)
    assert "0 to mend first" in pair.run("check", *everything)


def test_s105_copy_insert_and_update_give_the_same_text(across: PostgresPair) -> None:
    pair = across
    types = matrix(pair)
    for kind in types:  # which only 17 and newer have, or read so
        types[kind] = [text for text in types[kind] if "interval" not in kind or not INFINITE.search(text)]
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


def test_s119_every_type_as_a_key(across: PostgresPair, rng: random.Random) -> None:
    pair = across
    prepare(pair.database)
    kinds = [*KEY_TYPES, "macaddr", "bit(12)", "varbit", "int4range", "double precision", "jsonb", '"char"']
    for number, kind in enumerate(kinds):
        pair.database.execute(f"CREATE TABLE k{number} (part int, k {kind}, x int, PRIMARY KEY (k, part))")
        values = [text for text in (random_literal(rng, kind) for _ in range(100)) if len(text) <= 400]
        rows = ", ".join(f"({1 + at // len(values)}, {text}, {at})" for at, text in enumerate([*values, *values]))
        pair.database.execute(f"INSERT INTO k{number} VALUES {rows} ON CONFLICT DO NOTHING")
    running = pair.following()
    for number in range(len(kinds)):
        pair.database.execute(f"UPDATE k{number} SET x = -x WHERE part = 1 AND x % 2 = 0")
        pair.database.execute(f"DELETE FROM k{number} WHERE part = 2 AND x % 3 = 0")
        pair.database.execute(f"UPDATE k{number} SET part = part + 10 WHERE x % 5 = 0")
    pair.catch_up(running)
    pair.assert_equal()


def test_a_type_that_the_target_has_is_kept(pg_pair: PostgresPair) -> None:
    """With the same labels; with others its text is kept, and checked."""
    pair = pg_pair
    for database in (pair.database, pair.copy):
        database.execute("CREATE TYPE same AS ENUM ('a', 'b'); CREATE DOMAIN small AS int CHECK (VALUE < 10)")
    pair.database.execute("CREATE TYPE other AS ENUM ('a', 'b'); CREATE TYPE pt AS (x int, y text)")
    pair.copy.execute("CREATE TYPE other AS ENUM ('a'); CREATE TYPE pt AS (x int, y varchar(1))")
    pair.database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, s same, o other, d small, l same[], m other[], c pt);"
        "INSERT INTO t VALUES (1, 'b', 'b', 7, '{a,b}', '{b}', '(1,long)')"
    )
    pair.once()
    pair.database.execute("INSERT INTO t VALUES (2, 'a', 'a', 8, '{a,NULL}', '{}', '(2,\"a b\")')")
    pair.once()
    pair.assert_equal()
    kinds = pair.rows(
        "SELECT array_agg(format_type(atttypid, atttypmod) ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = 't'::regclass AND attnum > 1"
    )
    assert kinds == [(["same", "text", "small", "same[]", "text", "text"],)]


@pytest.mark.rotating
@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_s002_s003_killed_once_at_each_place(pg_pair: PostgresPair, rng: random.Random, failpoint: str) -> None:
    pair, load = pg_pair, loaded(pg_pair, rng)
    args = ("--once",) if failpoint == "shutdown" else ()
    killed_under_load(pair, load, f"{failpoint}=kill", *args)
    load.run(2)
    pair.once()
    check(pair, load)


def test_killed_at_places_chosen_at_random(across: PostgresPair, rng: random.Random) -> None:
    load = loaded(across, rng)
    for _ in range(4):
        place = f"{rng.choice(FAILPOINTS)}:{rng.choice((1, 1, 2, 3, 5, 8))}"
        print(place)
        running = across.sync("--once", failpoint=f"{place}=kill")
        with load:
            code = running.wait(60)
        assert code in (0, -9), running.stderr()
    across.once()
    check(across, load)


def check(pair: PostgresPair, load: Workload) -> None:
    load.check_source()
    pair.assert_equal(TABLES)
    ids = [number for (number,) in pair.rows("SELECT op_id FROM tally ORDER BY op_id")]
    assert ids == load.tally_ids()
    assert len(pair.slots()) == 1 and len(pair.publications()) == 2


def test_s009_a_second_runner_is_refused(pg_pair: PostgresPair) -> None:
    pair = pg_pair
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)")
    first = pair.following()
    output = pair.once(code=3)
    assert (
        "stream 'default' is already running, by the session with pid " in output and "pg_terminate_backend" in output
    )
    pair.database.execute("UPDATE t SET v = 1")
    pair.catch_up(first)
    first.kill()
    first.wait(10)
    pair.database.execute("UPDATE t SET v = 2")
    pair.once()
    pair.assert_equal()


def test_s083_the_targets_sessions_are_ended(pg_pair: PostgresPair) -> None:
    """By an administrator, while it runs: it connects anew and goes on at its mark."""
    pair = pg_pair
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)")
    running = pair.following()
    for number in range(3):
        pair.database.execute("UPDATE t SET v = v + 1")
        pair.copy.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name = 'replicator'"
        )
        pair.database.execute("INSERT INTO t VALUES (%s, 0)", number + 10)
        pair.catch_up(running)
    pair.assert_equal()


def test_the_same_database_is_refused(pg_pair: PostgresPair) -> None:
    pair = pg_pair
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    other_name = pair.database.url.replace("127.0.0.1", "localhost")
    for target, code in ((pair.database.url, 2), (other_name, 3)):
        same = PostgresPair(pair.database, pair.copy, pair.database.url, target=target)
        assert "the same database" in same.run("sync", "--once", "--truncate", code=code)
    assert pair.database.query("SELECT id FROM t") == [(1,)]


# Rights


def test_s018_the_documented_rights_are_enough(pg_pair: PostgresPair) -> None:
    """`PostgresPair` has them; the password is one that breaks careless quoting."""
    pair = pg_pair
    pair.database.execute("CREATE SCHEMA b; CREATE TABLE b.t (id int PRIMARY KEY); INSERT INTO b.t VALUES (1)")
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    output = pair.once("--table", "*.*")
    assert NASTY not in output
    pair.assert_equal(["public.t", "b.t"])
    pair.run("recopy", "public.t")
    pair.run("drop", "--tables", "--yes")
    assert pair.rows("SELECT nspname FROM pg_namespace WHERE nspname IN ('replicator')") == []


REFUSED = {
    "no rights at all": ((), "GRANT CREATE ON DATABASE"),
    "no tables": (("CREATE ON DATABASE {database}",), "GRANT CREATE, USAGE ON SCHEMA"),
    "no bookkeeping": (("USAGE, CREATE ON SCHEMA public",), 'CREATE SCHEMA "replicator" AUTHORIZATION'),
}


@pytest.mark.parametrize(("grants", "remedy"), REFUSED.values(), ids=REFUSED)
def test_s018_what_is_missing_is_said(pg_pair: PostgresPair, grants: tuple[str, ...], remedy: str) -> None:
    pair = pg_pair
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    role = pair.copy.role(replication=False, grants=grants)
    with PostgresPair(pair.database, pair.copy, pair.url, target=role) as poor:
        output = poor.once(code=3)
        assert remedy in output
    pair.assert_nothing_made()


def test_s077_triggers_and_foreign_keys_do_not_act(pg_pair: PostgresPair) -> None:
    pair = pg_pair
    tables = (
        "CREATE TABLE p (id int PRIMARY KEY); "
        "CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE DEFERRABLE);"
    )
    pair.database.execute(tables + "INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (1, 1), (2, 2)")
    pair.copy.execute(
        tables + "CREATE TABLE audit (id int); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO public.audit VALUES (NEW.id); RETURN NEW; END $$;"
        "CREATE TRIGGER note AFTER INSERT OR UPDATE ON c FOR EACH ROW EXECUTE FUNCTION note()"
    )
    pair.copy.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON p, c TO "{pair.copy.name}_into"')
    pair.once()
    pair.database.execute("DELETE FROM p WHERE id = 1; INSERT INTO c VALUES (3, 2); UPDATE c SET p = NULL WHERE id = 2")
    pair.once()
    pair.assert_equal()
    assert pair.rows("SELECT * FROM audit") == []
    ledger = ("USAGE ON SCHEMA replicator", "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA replicator")
    mine = "SELECT, INSERT, UPDATE, DELETE ON p, c"
    plain = pair.copy.role(replication=False, grants=(*TARGET_GRANTS, *ledger, mine))
    with PostgresPair(pair.database, pair.copy, pair.url, "other", plain) as poor:
        output = poor.run("check", "--truncate", code=3)
        assert "GRANT SET ON PARAMETER session_replication_role TO" in output and "note" in output
    pair.copy.execute("ALTER TABLE c ENABLE ALWAYS TRIGGER note")
    with PostgresPair(pair.database, pair.copy, pair.url, "third", pair.target) as third:
        assert "ENABLE TRIGGER" in third.run("check", "--table", "c", code=3)


def test_s006_a_stop_while_the_target_is_locked(pg_pair: PostgresPair) -> None:
    pair = pg_pair
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)")
    running = pair.following()
    holder = pair.copy.connect()
    holder.autocommit = False
    holder.cursor().execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
    pair.database.execute("UPDATE t SET v = 1")
    until(
        lambda: pair.rows("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass") == [(1,)],
        30,
        "the apply to wait for the lock",
    )
    running.signal(signal.SIGTERM)
    assert running.wait(15) == 0, running.stderr()
    holder.rollback()
    pair.once()
    pair.assert_equal()


def test_s108_a_database_that_is_not_utf8_is_refused(pg_pair: PostgresPair, postgres18: Server) -> None:
    pair = pg_pair
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    other = PostgresDatabase(postgres18)
    pair.copy.execute(f"CREATE DATABASE {other.name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        with PostgresPair(pair.database, other, pair.url, target=other.url) as wrong:
            assert "encoding LATIN1" in wrong.once(code=3)
    finally:
        other.drop()

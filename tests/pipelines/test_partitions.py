"""Partitions, inheritance, and what the log does not carry: named at the start."""

from __future__ import annotations

from tests.pipelines.test_review_postgres import refused
from tests.support.pair import Pair

ROOT = """
CREATE SCHEMA far;
CREATE TABLE p (id int, day int, x text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE far."P 2" (x text, gone int, day int NOT NULL, id int NOT NULL);
ALTER TABLE far."P 2" DROP gone;
ALTER TABLE p ATTACH PARTITION far."P 2" FOR VALUES FROM (10) TO (20);
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30) PARTITION BY LIST (id);
CREATE TABLE far.p3a PARTITION OF p3 FOR VALUES IN (1, 2, 3);
CREATE TABLE p3b PARTITION OF p3 DEFAULT;
INSERT INTO p SELECT i, i % 30, 'x' || i FROM generate_series(1, 300) i;
"""


def test_s058_each_is_named_at_the_start(pair: Pair) -> None:
    pair.database.execute(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE UNLOGGED TABLE u (id int PRIMARY KEY); CREATE VIEW v AS SELECT 1;"
        "CREATE MATERIALIZED VIEW m AS SELECT 1; CREATE TEMPORARY TABLE tmp (id int PRIMARY KEY);"
        "CREATE FOREIGN DATA WRAPPER nobody; CREATE SERVER s FOREIGN DATA WRAPPER nobody;"
        "CREATE FOREIGN TABLE f (id int) SERVER s; CREATE SEQUENCE q; CREATE TYPE c AS (a int);" + ROOT
    )
    listed = {"u": "unlogged", "v": "a view", "m": "a materialized view", "tmp": "temporary", "f": "a foreign table"}
    output = pair.once()
    for name, what in listed.items():
        assert f"{name} is left out: it is {what}" in output, output
    assert "public.p is partitioned" in output and "DETACH" in output
    made = {name for (name,) in pair.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {name for name in made if not name.startswith("_replicator_")} == {"t", "p"}
    for name in listed:
        if name == "tmp":
            continue
        output = refused_again(pair, name)
        assert f"public.{name} is left out" in output and "no table matches" in output, output
    output = refused_again(pair, "p1")
    assert "public.p1 is left out: it is a partition of public.p" in output


def refused_again(pair: Pair, table: str) -> str:
    return pair.once("--table", table, "--name", "other", code=3)


def test_s058_every_change_of_a_root(pair: Pair) -> None:
    """Leaves in other schemas, with other column orders and of two levels; rows that move between them."""
    pair.database.execute(ROOT)
    running = pair.following()
    tables = {"public.p": "p"}
    pair.assert_equal(tables)
    for change in (
        "UPDATE p SET day = (day + 11) % 30",
        "BEGIN; UPDATE p SET day = 25, id = id + 1000 WHERE id < 40; UPDATE p SET day = 5, x = 'back' WHERE day = 25;"
        " DELETE FROM p WHERE id % 7 = 0; COMMIT",
        "UPDATE far.\"P 2\" SET x = x || x; INSERT INTO far.p3a (id, day, x) VALUES (1, 29, NULL), (3, 27, 'leaf')",
        "UPDATE p3 SET id = id + 1 WHERE id IN (1, 2, 3); DELETE FROM p1 WHERE id > 200",
        "BEGIN; UPDATE p SET id = -id; UPDATE p SET id = -id, x = 'twice'; COMMIT",
        "CREATE TABLE p4 PARTITION OF p FOR VALUES FROM (30) TO (40); INSERT INTO p VALUES (1, 33, 'new');"
        "UPDATE p SET day = 34 WHERE day = 5",
        "CREATE TABLE p5 (x text, id int NOT NULL, day int NOT NULL); ALTER TABLE p ATTACH PARTITION p5 FOR VALUES"
        " FROM (40) TO (50); INSERT INTO p VALUES (1, 44, 'attached empty'); UPDATE p SET x = 'seen' WHERE day = 44",
        "BEGIN; INSERT INTO p VALUES (5000, 1, 'before'); TRUNCATE p; INSERT INTO p VALUES (5001, 12, 'after'); COMMIT",
    ):
        pair.database.execute(change)
        pair.catch_up(running)
        pair.assert_equal(tables)


def test_s058_what_the_log_of_a_root_lacks(pair18: Pair) -> None:
    """As docs/explanation/known-limits.md has it: single partitions that come filled, go, or are emptied."""
    pair = pair18
    pair.database.execute(ROOT)
    running = pair.following()
    assert "TRUNCATE, DETACH and DROP of a single partition" in running.stderr()
    before = pair.rows("SELECT * FROM p ORDER BY id, day")
    pair.database.execute('TRUNCATE p1; ALTER TABLE p DETACH PARTITION far."P 2"; DROP TABLE p3b')
    pair.database.execute(
        "CREATE TABLE p6 (id int NOT NULL, day int NOT NULL, x text); INSERT INTO p6 VALUES (1, 60, 'silent');"
        "ALTER TABLE p ATTACH PARTITION p6 FOR VALUES FROM (60) TO (70)"
    )
    pair.database.execute("INSERT INTO far.\"P 2\" (id, day, x) VALUES (9, 15, 'a table of its own')")
    pair.catch_up(running)
    assert pair.rows("SELECT * FROM p ORDER BY id, day") == before
    pair.database.execute("INSERT INTO p VALUES (2, 61, 'carried')")
    pair.catch_up(running)
    assert pair.rows("SELECT id FROM p WHERE day >= 60") == [(2,)]
    pair.database.execute("UPDATE p SET x = 'unknown row' WHERE id = 1 AND day = 60")
    assert running.wait(60) == 5 and "public.p (key id=1, day=60)" in running.stderr()


def test_s058_partitions_without_a_key_and_of_inserts_alone(pair18: Pair) -> None:
    pair = pair18
    leaves = (
        "CREATE TABLE {0}1 PARTITION OF {0} FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE {0}2 (x text, day int); ALTER TABLE {0} ATTACH PARTITION {0}2 FOR VALUES FROM (10) TO (20);"
    )
    pair.database.execute(
        "CREATE TABLE w (day int, x text) PARTITION BY RANGE (day);"
        + leaves.format("w")
        + "ALTER TABLE w REPLICA IDENTITY FULL; INSERT INTO w SELECT i % 20, 'x' FROM generate_series(1, 100) i"
    )
    mixed = refused(pair, "partitions of public.w have another replica identity", "w1, public.w2")
    pair.database.execute(mixed.rpartition("remedy: ")[2])
    running = pair.following()
    assert "moves a row" not in running.stderr()
    for change in (
        "UPDATE w SET day = (day + 5) % 20, x = NULL WHERE ctid IN (SELECT min(ctid) FROM w GROUP BY tableoid)",
        "DELETE FROM w WHERE ctid IN (SELECT max(ctid) FROM w GROUP BY tableoid)",
        "UPDATE w SET day = 19 - day; INSERT INTO w VALUES (3, 'x'), (3, 'x')",
        "BEGIN; TRUNCATE w; INSERT INTO w VALUES (1, 'a'), (11, 'a'), (11, 'a'); COMMIT",
    ):
        pair.database.execute(change)
        pair.catch_up(running)
        pair.assert_equal(["public.w"])
    running.kill()
    pair.database.execute("CREATE TABLE o (day int, x text) PARTITION BY RANGE (day);" + leaves.format("o"))
    output = pair.once("--insert-only", "o")
    assert "public.o is partitioned: an update that moves a row to another partition" in output
    pair.database.execute("INSERT INTO o VALUES (1, 'a'), (12, 'b'); UPDATE o SET x = 'c'; TRUNCATE o1")
    pair.once("--insert-only", "o")
    assert pair.rows("SELECT day, x FROM o ORDER BY day") == [(1, "a"), (12, "b")]


def test_s057_partitions_of_a_root_that_has_an_index(pair18: Pair) -> None:
    """A partition's identity is its own to set, and is made the root's by what is printed."""
    pair = pair18
    pair.database.execute(
        "CREATE TABLE w (day int NOT NULL, x text) PARTITION BY RANGE (day); CREATE UNIQUE INDEX by_day ON w (day);"
        'CREATE SCHEMA "f r"; CREATE TABLE w1 PARTITION OF w FOR VALUES FROM (0) TO (10);'
        """CREATE TABLE "f r"."w'2" PARTITION OF w FOR VALUES FROM (10) TO (20) PARTITION BY LIST (day);"""
        """CREATE TABLE "f r".w3 PARTITION OF "f r"."w'2" DEFAULT; ALTER TABLE w REPLICA IDENTITY USING INDEX by_day;"""
        "INSERT INTO w SELECT i, 'x' FROM generate_series(1, 19) i"
    )
    mixed = refused(pair, "partitions of public.w have another replica identity", '"f r".w3, public.w1')
    pair.database.execute(mixed.rpartition("remedy: ")[2])
    running = pair.following()
    pair.database.execute("UPDATE w SET day = 19 WHERE day = 19; DELETE FROM w WHERE day = 5; UPDATE w SET x = NULL")
    pair.catch_up(running)
    pair.assert_equal(["public.w"])


def test_s057_a_partition_with_another_identity(pair18: Pair) -> None:
    """Attached or altered while it is followed: a change of it is applied rightly, or stops."""
    pair = pair18
    pair.database.execute(ROOT)
    running = pair.following()
    pair.database.execute("ALTER TABLE p1 REPLICA IDENTITY FULL; UPDATE p1 SET x = 'full', id = id + 5000;")
    pair.database.execute("DELETE FROM p1 WHERE id % 2 = 0")
    pair.catch_up(running)
    pair.assert_equal(["public.p"])
    pair.database.execute(
        'CREATE UNIQUE INDEX other ON far."P 2" (id); ALTER TABLE far."P 2" REPLICA IDENTITY USING INDEX other'
    )
    pair.database.execute("UPDATE far.\"P 2\" SET x = 'same key' WHERE id = 11")
    pair.catch_up(running)
    pair.assert_equal(["public.p"])
    before = pair.rows("SELECT * FROM p ORDER BY id, day")
    pair.database.execute('DELETE FROM far."P 2" WHERE id = 11')
    assert running.wait(60) == 5, running.stderr()
    assert "public.p" in running.stderr() and "replica identity" in running.stderr(), running.stderr()
    assert pair.rows("SELECT * FROM p ORDER BY id, day") == before


def test_s090_truncate_of_every_kind(pair18: Pair) -> None:
    pair = pair18
    pair.database.execute(
        """CREATE TABLE a (id serial PRIMARY KEY, x int); CREATE TABLE b (id int PRIMARY KEY REFERENCES a);
        CREATE TABLE c (id int PRIMARY KEY REFERENCES b); CREATE TABLE "D d" (id int PRIMARY KEY);
        CREATE TABLE parent (id int PRIMARY KEY, x int); CREATE TABLE child (y int, PRIMARY KEY (id)) INHERITS (parent);
        CREATE TABLE grandchild (z int, PRIMARY KEY (id)) INHERITS (child)"""
    )
    fill = (
        "INSERT INTO a (x) VALUES (1), (2); INSERT INTO b SELECT id FROM a ON CONFLICT DO NOTHING;"
        "INSERT INTO c SELECT id FROM b ON CONFLICT DO NOTHING;"
        'INSERT INTO "D d" SELECT 1 + coalesce(max(id), 0) FROM "D d";'
        "INSERT INTO parent SELECT 1 + coalesce(max(id), 0) FROM ONLY parent;"
        "INSERT INTO child SELECT 1 + coalesce(max(id), 0) FROM ONLY child;"
        "INSERT INTO grandchild SELECT 1 + coalesce(max(id), 0) FROM grandchild"
    )
    tables = {f"public.{n}": n for n in ("a", "b", "c", "D d", "grandchild")}
    pair.database.execute(fill)
    running = pair.following()
    for change in (
        "TRUNCATE a CASCADE",
        "TRUNCATE a RESTART IDENTITY CASCADE",
        'BEGIN; TRUNCATE a, b, c, "D d"; INSERT INTO a VALUES (100, 1); INSERT INTO b VALUES (100); COMMIT',
        f'BEGIN; {fill}; TRUNCATE c; UPDATE a SET x = x + 1; TRUNCATE "D d"; DELETE FROM b; COMMIT',
        f"BEGIN; SAVEPOINT s; TRUNCATE a CASCADE; INSERT INTO a VALUES (999, 9); ROLLBACK TO s; {fill}; COMMIT",
        f"BEGIN; TRUNCATE c; SAVEPOINT s; {fill}; TRUNCATE b CASCADE; RELEASE s; INSERT INTO a VALUES (998, 9); COMMIT",
        "TRUNCATE ONLY parent",
        "TRUNCATE child",
        "TRUNCATE parent",
        "BEGIN; TRUNCATE a CASCADE; TRUNCATE a CASCADE; INSERT INTO a VALUES (1, 1); TRUNCATE a CASCADE; COMMIT",
    ):
        pair.database.execute(fill)
        pair.database.execute(change)
        pair.catch_up(running)
        pair.assert_equal(tables)
        for table in ("parent", "child"):  # the children's rows are no rows of the parent's copy
            ours = pair.database.query(f"SELECT id FROM ONLY {table} ORDER BY id")
            assert pair.rows(f"SELECT id FROM {table} ORDER BY id") == ours, (change, table)

"""A table's replica identity, and what becomes of a stream when it is changed under way: never a wrong row."""

from __future__ import annotations

import pytest

from tests.pipelines.test_review_postgres import config, refused
from tests.support.pair import Pair

TABLE = """
CREATE TABLE t (id int PRIMARY KEY, code text NOT NULL, x int);
CREATE UNIQUE INDEX t_code ON t (code);
INSERT INTO t SELECT i, 'c' || i, 0 FROM generate_series(1, 9) i;
"""
PRIMARY = "ALTER TABLE t DROP CONSTRAINT t_pkey"
CHANGES = (
    "UPDATE t SET x = 1 WHERE code = 'c1'",
    "UPDATE t SET code = 'new' WHERE code = 'c2'",
    "UPDATE t SET id = 300 WHERE code = 'c3'",
    "UPDATE t SET id = 400, code = 'moved' WHERE code = 'c4'",
    "DELETE FROM t WHERE code = 'c5'",
    "INSERT INTO t VALUES (99, 'c99', 1)",
)
# What is done to the table, and a word of the error; none where the stream must go on.
IDENTITIES = {
    "full": ("ALTER TABLE t REPLICA IDENTITY FULL", ""),
    "nothing": ("ALTER TABLE t REPLICA IDENTITY NOTHING", "NOTHING"),
    "index": ("ALTER TABLE t REPLICA IDENTITY USING INDEX t_code", "replica identity is now (code)"),
    "index of the key": ("ALTER TABLE t REPLICA IDENTITY USING INDEX t_pkey", ""),
    "key remade": (f"{PRIMARY}; ALTER TABLE t ADD PRIMARY KEY (id)", ""),
    "key elsewhere": (f"{PRIMARY}; ALTER TABLE t ADD PRIMARY KEY (code)", "replica identity is now (code)"),
    "key wider": (f"{PRIMARY}; ALTER TABLE t ADD PRIMARY KEY (id, code)", "replica identity is now (code, id)"),
    "key gone": (PRIMARY, "replica identity is now (nothing)"),
    "key deferrable": (
        f"{PRIMARY}; ALTER TABLE t ADD PRIMARY KEY (id) DEFERRABLE",
        "replica identity is now (nothing)",
    ),
    "full and key gone": (f"{PRIMARY}; ALTER TABLE t REPLICA IDENTITY FULL", "is unique no more"),
    "index dropped": ("ALTER TABLE t REPLICA IDENTITY USING INDEX t_code; DROP INDEX t_code", "is now (nothing)"),
}


@pytest.mark.parametrize("kind", IDENTITIES)
def test_s057_the_identity_is_changed_under_way(pair18: Pair, kind: str) -> None:
    pair = pair18
    pair.database.execute(TABLE)
    running = pair.following()
    ddl, error = IDENTITIES[kind]
    pair.database.execute(ddl)
    before = pair.rows("SELECT * FROM t ORDER BY id")
    if not error:
        for change in CHANGES:
            pair.database.execute(change)
        pair.catch_up(running)
        pair.assert_equal()
        return
    done = 0
    for change in CHANGES:
        try:
            pair.database.execute(change)
        except Exception as refusal:  # the source itself refuses what it cannot log
            assert "replica identity" in str(refusal)
        else:
            done += 1
    assert done, "nothing reached the log"
    assert running.wait(60) == 5, running.stderr()
    assert "public.t" in running.stderr() and error in running.stderr() and "remedy: " in running.stderr()
    assert pair.rows("SELECT * FROM t ORDER BY id") == before
    pair.once(code=5)
    assert pair.rows("SELECT * FROM t ORDER BY id") == before


def test_s057_from_whole_rows_to_other_identities(pair18: Pair) -> None:
    """Of a table that is followed by its whole rows: with a key it goes on, and one by an index's columns stops."""
    pair = pair18
    for number in range(3):
        name = f"w{number}"
        pair.database.execute(
            f"CREATE TABLE {name} (id int NOT NULL, x int); ALTER TABLE {name} REPLICA IDENTITY FULL;"
            f"CREATE UNIQUE INDEX {name}_id ON {name} (id); INSERT INTO {name} VALUES (1, 1), (2, 2), (3, 3)"
        )
    running = pair.following()
    pair.database.execute("ALTER TABLE w0 ADD PRIMARY KEY (id)")
    pair.database.execute("UPDATE w0 SET id = id + 10; DELETE FROM w0 WHERE id = 12; INSERT INTO w0 VALUES (5, 5)")
    pair.catch_up(running)
    pair.assert_equal()
    pair.database.execute("ALTER TABLE w1 REPLICA IDENTITY USING INDEX w1_id; UPDATE w1 SET x = 9 WHERE id = 1")
    assert running.wait(60) == 5 and "public.w1: its replica identity is now (id)" in running.stderr()
    assert pair.rows("SELECT x FROM w1 ORDER BY id") == [(1,), (2,), (3,)]


def test_s057_a_full_table_that_loses_its_key_has_no_wrong_row(pair18: Pair) -> None:
    """Two rows of one key at the source, of which the log deletes the one that the target still has to keep."""
    pair = pair18
    pair.database.execute(TABLE + "ALTER TABLE t REPLICA IDENTITY FULL")
    pair.once()
    pair.database.execute(f"UPDATE t SET x = 5; {PRIMARY}")
    pair.database.execute("BEGIN; UPDATE t SET id = 1 WHERE id = 2; DELETE FROM t WHERE code = 'c1'; COMMIT")
    output = pair.once(code=5)
    assert (
        "public.t: its replica identity is FULL" in output
        and "(id) is unique no more" in output
        and "remedy: " in output
    )
    assert pair.rows("SELECT id, code FROM t ORDER BY id LIMIT 2") == [(1, "c1"), (2, "c2")]
    pair.hand_over()
    pair.database.execute("ALTER TABLE t ADD PRIMARY KEY (id)")
    pair.database.execute("CREATE TABLE t2 (id int PRIMARY KEY)")
    pair.once("--exclude", "t")
    pair.once()
    pair.assert_equal()


def test_s057_by_an_index(pair: Pair) -> None:
    """With and without a primary key beside it; a unique index with INCLUDE, over two columns, one of them a domain."""
    pair.database.execute(
        """CREATE DOMAIN tag AS varchar(9);
        CREATE TABLE i1 (id int PRIMARY KEY, a int NOT NULL, b tag NOT NULL, x text, long text);
        CREATE UNIQUE INDEX i1_ab ON i1 (b DESC, a) INCLUDE (x); ALTER TABLE i1 REPLICA IDENTITY USING INDEX i1_ab;
        CREATE TABLE i2 (a int NOT NULL, b tag NOT NULL, x text, long text);
        CREATE UNIQUE INDEX i2_ab ON i2 (b, a DESC); ALTER TABLE i2 REPLICA IDENTITY USING INDEX i2_ab;
        ALTER TABLE i1 ALTER long SET STORAGE EXTERNAL; ALTER TABLE i2 ALTER long SET STORAGE EXTERNAL;
        INSERT INTO i1 SELECT i, i % 7, 'b' || i, 'x', repeat('z', 9000) FROM generate_series(1, 200) i;
        INSERT INTO i2 SELECT i % 7, 'b' || i, 'x', repeat('z', 9000) FROM generate_series(1, 200) i"""
    )
    running = pair.following()
    for table in ("i1", "i2"):
        pair.database.execute(
            f"UPDATE {table} SET x = 'y' WHERE a = 1; UPDATE {table} SET b = b || 'm' WHERE a = 2;"
            f"DELETE FROM {table} WHERE a = 3; UPDATE {table} SET a = a + 100 WHERE a = 4;"
            f"BEGIN; UPDATE {table} SET a = -5 WHERE a = 5; UPDATE {table} SET a = 5 WHERE a = 6;"
            f"UPDATE {table} SET a = 6 WHERE a = -5; UPDATE {table} SET x = 'swapped' WHERE a IN (5, 6); COMMIT"
        )
    pair.database.execute("UPDATE i1 SET id = id + 1000")
    pair.database.execute("ALTER TABLE i1 REPLICA IDENTITY FULL; ALTER TABLE i2 REPLICA IDENTITY FULL")
    pair.database.execute("UPDATE i1 SET x = 'full' WHERE a < 3; UPDATE i2 SET b = b || 'f' WHERE a < 3")
    pair.catch_up(running)
    pair.assert_equal()
    for table in ("i1", "i2"):
        key = pair.rows(f"SELECT name FROM pragma_table_info('{table}') WHERE pk ORDER BY pk")
        assert key == [("b",), ("a",)]


def test_s060_identities_with_generated_columns(pair: Pair) -> None:
    """What PostgreSQL would refuse to update once it is published, is refused before it is."""
    ((version,),) = pair.database.query("SELECT current_setting('server_version_num')::int / 10000")
    pair.database.execute(
        "CREATE TABLE full_g (a int, g int GENERATED ALWAYS AS (a * 2) STORED); INSERT INTO full_g VALUES (1), (1);"
        "ALTER TABLE full_g REPLICA IDENTITY FULL"
    )
    if version < 18:
        running = pair.following()
        pair.database.execute(
            "UPDATE full_g SET a = 2; INSERT INTO full_g VALUES (2); DELETE FROM full_g WHERE ctid ="
            " (SELECT max(ctid) FROM full_g)"
        )
        pair.catch_up(running)
        pair.assert_equal()
        return
    output = refused(pair, "public.full_g has no usable replica identity", "the table has generated columns")
    pair.assert_nothing_made()
    pair.database.execute("UPDATE full_g SET a = 3")
    pair.database.execute(
        "CREATE TABLE full_v (a int PRIMARY KEY, g int GENERATED ALWAYS AS (a * 2) VIRTUAL);"
        "ALTER TABLE full_v REPLICA IDENTITY FULL"
    )
    refused(pair, "public.full_v has no usable", "REPLICA IDENTITY DEFAULT", args=("--table", "full_v"))
    pair.database.execute("DROP TABLE full_v")
    output = pair.once("--insert-only", "full_g")
    pair.database.execute("UPDATE full_g SET a = 4; INSERT INTO full_g VALUES (5)")
    pair.once("--insert-only", "full_g")
    assert pair.rows("SELECT a FROM full_g ORDER BY a") == [(3,), (3,), (5,)]
    assert "generated columns are left out" in output


def test_s060_generated_columns_in_a_key(pair: Pair) -> None:
    pair.database.execute(
        "CREATE TABLE g1 (a int, g int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY); INSERT INTO g1 VALUES (1);"
        "CREATE TABLE g2 (a int PRIMARY KEY, g int NOT NULL GENERATED ALWAYS AS (a * 2) STORED);"
        "CREATE UNIQUE INDEX g2_g ON g2 (g); ALTER TABLE g2 REPLICA IDENTITY USING INDEX g2_g; INSERT INTO g2 "
        "VALUES (1)"
    )
    refused(
        pair,
        "public.g1 has no usable",
        "its primary key is deferrable or has a generated column",
        args=("--table", "g1"),
    )
    refused(
        pair, "public.g2 has no usable", "its replica identity index has a generated column", args=("--table", "g2")
    )
    pair.assert_nothing_made()
    pair.database.execute("UPDATE g1 SET a = 2; UPDATE g2 SET a = 2; DELETE FROM g1; DELETE FROM g2")
    pair.database.execute("INSERT INTO g2 VALUES (7); ALTER TABLE g2 REPLICA IDENTITY DEFAULT")
    running = pair.following("--table", "g2")
    pair.database.execute("UPDATE g2 SET a = 8; INSERT INTO g2 VALUES (9)")
    pair.catch_up(running)
    pair.assert_equal(["public.g2"])


def test_s060_generated_of_every_kind(pair18: Pair) -> None:
    """Stored and virtual, of a copy and of the log; identity columns with values of their own; a publication of ours
    and one of the user that has the stored ones too."""
    pair = pair18
    pair.database.execute(
        "CREATE TABLE g (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v int GENERATED ALWAYS AS (a + 1) "
        "VIRTUAL,"
        " a int, s text GENERATED ALWAYS AS (b || '!') STORED, b text); INSERT INTO g (a, b) VALUES (1, 'x'), "
        "(2, NULL);"
        "CREATE TABLE h (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, b text); INSERT INTO h (b) VALUES ('x')"
    )
    running = pair.following()
    assert "public.g: generated columns are left out, the log does not carry them: v, s" in running.stderr()
    pair.database.execute(
        "INSERT INTO g (id, a, b) VALUES (100, 3, 'z'); UPDATE g SET a = a + 1, b = b || 'y'; DELETE FROM g "
        "WHERE id = 2;"
        "INSERT INTO h (id, b) OVERRIDING SYSTEM VALUE VALUES (-5, 'own'); INSERT INTO h (b) VALUES ('y');"
        "UPDATE h SET id = DEFAULT WHERE id = -5"
    )
    pair.catch_up(running)
    pair.assert_equal()
    assert [name for (name,) in pair.rows("SELECT name FROM pragma_table_info('g')")] == ["id", "a", "b"]
    running.kill()
    pair.database.execute("CREATE PUBLICATION mine FOR TABLE g, h WITH (publish_generated_columns = stored)")
    output = pair.once(
        "--name", "other", "--map", "g=g2", "--map", "h=h2", *config(pair, 'publication = "mine"\n'), code=3
    )
    assert "columns of public.g that are not followed: s" in output and "publish_generated_columns = none" in output

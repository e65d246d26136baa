"""Transactions and tables of unusual shape: larger than a batch, wider than usual, several streams in one file."""

from tests.support.pair import Pair


def test_s080_a_unique_column_is_shifted_over_many_batches(pair18: Pair) -> None:
    """Each part of the transaction takes values that only a later part makes free."""
    pair18.database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, place int, body text, UNIQUE (place) DEFERRABLE INITIALLY IMMEDIATE);"
        "INSERT INTO t SELECT i, i, 'x' FROM generate_series(1, 30000) i"
    )
    running = pair18.following()
    pair18.database.execute("UPDATE t SET place = place + 1")
    pair18.database.execute("UPDATE t SET place = 40000 - place")
    pair18.database.execute(
        "BEGIN; UPDATE t SET place = place + 7, body = 'y'; DELETE FROM t WHERE id % 3 = 0;"
        "INSERT INTO t SELECT id + 50000, place + 100000, 'z' FROM t; UPDATE t SET id = id + 200000; COMMIT"
    )
    pair18.catch_up(running, 120)
    pair18.assert_equal()


def test_s086_many_tiny_transactions(pair18: Pair) -> None:
    pair18.database.execute("CREATE TABLE t (id int PRIMARY KEY, x int)")
    running = pair18.following()
    pair18.database.execute(
        "DO $$BEGIN FOR i IN 1..20000 LOOP INSERT INTO t VALUES (i, i); COMMIT;"
        "IF i % 2 = 0 THEN UPDATE t SET x = -x WHERE id = i - 1; COMMIT; END IF; END LOOP; END$$"
    )
    pair18.catch_up(running)
    pair18.assert_equal()


def test_s063_wide_and_empty_tables(pair18: Pair) -> None:
    columns = ", ".join(f"c{i} int DEFAULT {i}" for i in range(1, 1600))
    pair18.database.execute(
        f"CREATE TABLE wide (id int PRIMARY KEY, {columns}); INSERT INTO wide VALUES (1), (2);"
        "CREATE TABLE no_rows (id int PRIMARY KEY, x text)"
    )
    running = pair18.following()
    pair18.database.execute("INSERT INTO wide VALUES (3); UPDATE wide SET c7 = NULL; DELETE FROM wide WHERE id = 1")
    pair18.catch_up(running)
    assert pair18.rows("SELECT id, c7, c1599 FROM wide ORDER BY id") == [(2, None, 1599), (3, None, 1599)]
    pair18.assert_equal(["public.no_rows"])


def test_s060_generated_and_identity_columns(pair18: Pair) -> None:
    pair18.database.execute(
        "CREATE TABLE g (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int,"
        " twice int GENERATED ALWAYS AS (a * 2) STORED, b text); INSERT INTO g (a, b) VALUES (1, 'x'), (2, 'y')"
    )
    running = pair18.following()
    assert "public.g: generated columns are left out" in running.stderr() and "twice" in running.stderr()
    pair18.database.execute("INSERT INTO g (a, b) VALUES (3, 'z'); UPDATE g SET a = a + 1; DELETE FROM g WHERE id = 2")
    pair18.catch_up(running)
    pair18.assert_equal()


def test_s058_what_the_log_does_not_carry_is_named(pair18: Pair) -> None:
    pair18.database.execute(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE UNLOGGED TABLE u (id int PRIMARY KEY); CREATE VIEW v AS SELECT 1;"
        "CREATE MATERIALIZED VIEW m AS SELECT 1"
    )
    output = pair18.once()
    assert 'ALTER TABLE "public"."u" SET LOGGED' in output
    for name, what in (("u", "unlogged"), ("v", "a view"), ("m", "a materialized view")):
        assert f"public.{name} is left out: it is {what}" in output
    pair18.assert_equal(["public.t"])


def test_two_streams_write_into_one_file(pair18: Pair) -> None:
    pair18.database.execute(
        "CREATE TABLE a (id int PRIMARY KEY, x int); INSERT INTO a SELECT i, i FROM generate_series(1, 20000) i;"
        "CREATE TABLE b (id int PRIMARY KEY, x int); INSERT INTO b SELECT i, i FROM generate_series(1, 20000) i"
    )
    with Pair(pair18.database, pair18.path, pair18.url, name="second") as other:
        pair18.hand_over()
        first, second = pair18.sync("--table", "a"), other.sync("--table", "b")
        for _ in range(20):
            pair18.database.execute("UPDATE a SET x = x + 1 WHERE id < 200; UPDATE b SET x = x + 1 WHERE id < 200")
        pair18.catch_up(first, 120)
        other.catch_up(second, 120)
        pair18.assert_equal()
        assert len(pair18.slots()) == 2

"""PostgreSQL to SQLite: copied, then followed, each kind of change there is."""

import statistics
import time
from functools import partial

import pytest

from tests.support.pair import Pair
from tests.support.wait import until

ITEMS = """
CREATE TABLE items (id int PRIMARY KEY, code text UNIQUE, place int, note text,
                    UNIQUE (place) DEFERRABLE INITIALLY IMMEDIATE);
INSERT INTO items SELECT i, 'c' || i, i, 'n' || i FROM generate_series(1, 200) i;
"""
# Each line is one transaction.
CHANGES = {
    "insert": "INSERT INTO items VALUES (1001, 'new', 1001, NULL), (1002, NULL, NULL, '')",
    "update": "UPDATE items SET note = upper(note) WHERE id < 20",
    "update every row": "UPDATE items SET note = note || '!'",
    "to the same values": "UPDATE items SET note = note, code = code",
    "to NULL and back": "UPDATE items SET note = NULL WHERE id = 5; UPDATE items SET note = 'x' WHERE id = 5",
    "key move": "UPDATE items SET id = 5000 WHERE id = 1",
    "key moves in a chain": "UPDATE items SET id = -1 WHERE id = 2; UPDATE items SET id = 2 WHERE id = 3;"
    "UPDATE items SET id = 3 WHERE id = 4",
    "key swap": "UPDATE items SET id = -9 WHERE id = 10; UPDATE items SET id = 10 WHERE id = 11;"
    "UPDATE items SET id = 11 WHERE id = -9",
    "unique swap": "UPDATE items SET code = 'aside' WHERE id = 12; UPDATE items SET code = 'c12' WHERE id = 13;"
    "UPDATE items SET code = 'c13' WHERE id = 12",
    "unique swap in one statement": "UPDATE items SET place = CASE place WHEN 14 THEN 15 ELSE 14 END"
    " WHERE place IN (14, 15)",
    "unique shift in one statement": "UPDATE items SET place = place + 1",
    "unique value handed on": "DELETE FROM items WHERE id = 20; INSERT INTO items VALUES (2020, 'c20', 7777, 'heir')",
    "delete": "DELETE FROM items WHERE id BETWEEN 30 AND 39",
    "delete, insert of one key": "DELETE FROM items WHERE id = 40; INSERT INTO items VALUES (40, 'again', 40404, 'x')",
    "insert and delete": "INSERT INTO items VALUES (6000, 'gone', 6000, 'x'); DELETE FROM items WHERE id = 6000",
    "move and delete": "UPDATE items SET id = 6001 WHERE id = 41; DELETE FROM items WHERE id = 6001",
    "many updates of one row": "DO $$BEGIN FOR i IN 1..100 LOOP UPDATE items SET note = i::text WHERE id = 42;"
    " END LOOP; END$$",
    "savepoint rolled back": "SAVEPOINT s; UPDATE items SET note = 'never'; DELETE FROM items; ROLLBACK TO s;"
    "INSERT INTO items VALUES (7000, 'kept', 7000, 'kept'); SAVEPOINT t; INSERT INTO items VALUES (7001); RELEASE t",
    "exceptions in a block": "DO $$BEGIN FOR i IN 1..200 LOOP BEGIN INSERT INTO items VALUES (8000 + i % 7, 'e' || i,"
    " 8000 + i); IF i % 3 = 0 THEN RAISE division_by_zero; END IF; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP;"
    " END$$",
    "truncate and fill": "TRUNCATE items;"
    "INSERT INTO items SELECT i, 'd' || i, i, 'after' FROM generate_series(1, 50) i",
    "truncate": "TRUNCATE items",
    "fill again": "INSERT INTO items SELECT i, 'f' || i, i, 'last' FROM generate_series(1, 9) i",
}


def transaction(pair: Pair, statements: str) -> None:
    pair.database.execute(f"BEGIN; {statements}; COMMIT")


def test_s091_s092_every_kind_of_change_one_after_another(pair: Pair) -> None:
    pair.database.execute(ITEMS)
    running = pair.following()
    pair.assert_equal()
    for name, statements in CHANGES.items():
        transaction(pair, statements)
        pair.catch_up(running)
        try:
            pair.assert_equal()
        except AssertionError as error:
            raise AssertionError(f"after {name}: {error}") from None


def test_all_changes_in_one_batch(pair: Pair) -> None:
    """Everything was committed before it is read, so that it is compacted together."""
    pair.database.execute(ITEMS)
    pair.once()
    for statements in list(CHANGES.values())[:-3]:
        transaction(pair, statements)
    pair.once()
    pair.assert_equal()
    for statements in list(CHANGES.values())[-3:]:
        transaction(pair, statements)
    pair.once()
    pair.assert_equal()


def test_all_changes_in_one_transaction(pair: Pair) -> None:
    pair.database.execute(ITEMS)
    pair.once()
    transaction(pair, ";".join(CHANGES.values()))
    pair.once()
    pair.assert_equal()


def test_s090_truncate_of_several_tables(pair: Pair) -> None:
    pair.database.execute(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY REFERENCES a);"
        "CREATE TABLE c (id serial PRIMARY KEY, x int); INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (1);"
        "INSERT INTO c (x) VALUES (1)"
    )
    running = pair.following()
    transaction(pair, "INSERT INTO c (x) VALUES (2); TRUNCATE a CASCADE; INSERT INTO a VALUES (7)")
    transaction(pair, "TRUNCATE c RESTART IDENTITY; INSERT INTO c (x) VALUES (3)")
    pair.catch_up(running)
    pair.assert_equal()
    assert pair.rows("SELECT id FROM a") == [(7,)] and pair.rows("SELECT id, x FROM c") == [(1, 3)]


def test_s080_a_deferrable_primary_key_is_shifted_and_swapped(pair: Pair) -> None:
    """Such a key is not unique in between, so it is no identity; with FULL the whole row is."""
    pair.database.execute(
        "CREATE TABLE d (id int PRIMARY KEY DEFERRABLE INITIALLY IMMEDIATE, x text);"
        "ALTER TABLE d REPLICA IDENTITY FULL; INSERT INTO d SELECT i, 'x' || i FROM generate_series(1, 100) i"
    )
    running = pair.following()
    pair.database.execute("UPDATE d SET id = id + 1")
    pair.database.execute("UPDATE d SET id = CASE id WHEN 5 THEN 6 ELSE 5 END WHERE id IN (5, 6)")
    transaction(pair, "UPDATE d SET id = 102 - id; UPDATE d SET id = id - 1; DELETE FROM d WHERE id % 7 = 0")
    pair.catch_up(running)
    pair.assert_equal()


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_s091_unchanged_toast_is_kept(pair: Pair, identity: str) -> None:
    pair.database.execute(
        f"""CREATE TABLE t (id int PRIMARY KEY, short text, long text, more bytea);
        ALTER TABLE t ALTER long SET STORAGE EXTERNAL, ALTER more SET STORAGE EXTERNAL;
        ALTER TABLE t REPLICA IDENTITY {identity};
        INSERT INTO t SELECT i, 's', repeat('long' || i, 20000), decode(repeat('00ff', 40000), 'hex')
        FROM generate_series(1, 12) i"""
    )
    changes = (
        "UPDATE t SET short = 'new' WHERE id = 1",
        "UPDATE t SET long = repeat('other', 20000) WHERE id = 2",
        "UPDATE t SET long = NULL WHERE id = 3",
        "UPDATE t SET id = 104 WHERE id = 4",
        "UPDATE t SET id = 105 WHERE id = 5; UPDATE t SET short = 'moved' WHERE id = 105",
        "UPDATE t SET short = 'a' WHERE id = 6; UPDATE t SET id = 106 WHERE id = 6; UPDATE t SET id = 6 WHERE id = 106",
        "UPDATE t SET id = -1 WHERE id = 7; UPDATE t SET id = 7 WHERE id = 8; UPDATE t SET id = 8 WHERE id = -1",
        "DELETE FROM t WHERE id = 9; INSERT INTO t VALUES (9, 'x', repeat('z', 90000), NULL);"
        "UPDATE t SET short = 'y' WHERE id = 9",
        "UPDATE t SET short = 'all'",
    )
    running = pair.following()
    for change in changes:
        transaction(pair, change)
        pair.catch_up(running)
        if change in (changes[-2], changes[-1]):  # each of the others is seen in rows of its own
            pair.assert_equal()
    running.kill()
    pair.database.execute("UPDATE t SET short = 'before', id = id + 1000")
    for change in changes:
        transaction(pair, change.replace("id = ", "id = 1000 + "))
    pair.once()
    pair.assert_equal()


def test_s093_one_of_two_equal_rows(pair: Pair) -> None:
    pair.database.execute(
        """CREATE TABLE k (a int, b text, c numeric, d double precision, e jsonb, f bytea);
        ALTER TABLE k REPLICA IDENTITY FULL;
        INSERT INTO k SELECT 1, 'twin', 1.10, 0.1, '{"a": 1}', '\\x00' FROM generate_series(1, 4);
        INSERT INTO k VALUES (NULL, NULL, NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL, NULL, NULL)"""
    )
    running = pair.following()
    one = "ctid = (SELECT ctid FROM k WHERE {} LIMIT 1)"
    for change in (
        "INSERT INTO k VALUES (1, 'twin', 1.10, 0.1, '{\"a\": 1}', '\\x00'), (1, 'twin', 1.1, 0.1, NULL, '')",
        f"UPDATE k SET b = 'changed' WHERE {one.format('a = 1')}",
        f"DELETE FROM k WHERE {one.format('c = 1.10')}",
        f"DELETE FROM k WHERE {one.format('a IS NULL')}",
        f"UPDATE k SET a = 7 WHERE {one.format('a IS NULL')}",
        "UPDATE k SET d = d + 1",
    ):
        pair.database.execute(change)
        pair.catch_up(running)
        pair.assert_equal()
    transaction(pair, "UPDATE k SET a = a + 1; DELETE FROM k WHERE a = 2; INSERT INTO k (a) VALUES (2), (2)")
    pair.catch_up(running)
    pair.assert_equal()


def test_a_key_by_index_and_partitions_and_inheritance(pair: Pair) -> None:
    pair.database.execute(
        """CREATE TABLE i (id int PRIMARY KEY, code text NOT NULL, x int); CREATE UNIQUE INDEX i_code ON i (code);
        ALTER TABLE i REPLICA IDENTITY USING INDEX i_code;
        INSERT INTO i SELECT n, 'c' || n, 0 FROM generate_series(1, 9) n;
        CREATE TABLE p (id int, day date, x text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
        INSERT INTO p SELECT n, date '2024-01-01' + n, 'x' FROM generate_series(1, 40) n;
        CREATE TABLE parent (id int PRIMARY KEY, x int); CREATE TABLE child (y int, PRIMARY KEY (id)) INHERITS (parent);
        INSERT INTO parent VALUES (1, 1); INSERT INTO child VALUES (1, 2, 3)"""
    )
    tables = {"public.i": "i", "public.p": "p", "public.child": "child"}
    running = pair.following()
    pair.database.execute("UPDATE i SET x = 1, code = 'd' || id WHERE id < 5; DELETE FROM i WHERE id = 9")
    pair.database.execute("UPDATE i SET id = id + 100")
    pair.database.execute("UPDATE p SET day = '2024-02-20' WHERE id < 10; DELETE FROM p WHERE id = 30")
    pair.database.execute("UPDATE p1 SET x = 'leaf'; INSERT INTO p2 VALUES (99, '2024-02-11', 'leaf')")
    pair.database.execute("UPDATE parent SET x = x + 10; INSERT INTO child VALUES (5, 6, 7)")
    pair.catch_up(running)
    pair.assert_equal(tables)
    assert pair.rows("SELECT id, x FROM parent") == [(1, 11)]


def test_schemas_patterns_and_map(pair: Pair) -> None:
    pair.database.execute(
        """CREATE SCHEMA shop; CREATE SCHEMA other;
        CREATE TABLE shop.orders (id int PRIMARY KEY); CREATE TABLE shop.lines (id int PRIMARY KEY);
        CREATE TABLE shop.audit_log (id int PRIMARY KEY); CREATE TABLE other.orders (id int PRIMARY KEY);
        CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE unwanted (id int PRIMARY KEY);
        INSERT INTO shop.orders VALUES (1); INSERT INTO other.orders VALUES (2); INSERT INTO orders VALUES (3)"""
    )
    args: tuple[str, ...] = (
        "--table",
        "shop.*",
        "--table",
        "orders",
        "--table",
        "other.orders",
        "--exclude",
        "shop.audit_*",
    )
    args += ("--map", "other.orders=elsewhere", "--map", "shop.lines=the lines")
    landing = {
        "public.orders": "orders",
        "shop.orders": "shop__orders",
        "shop.lines": "the lines",
        "other.orders": "elsewhere",
    }
    running = pair.following(*args)
    for table in ("shop.orders", "shop.lines", "shop.audit_log", "other.orders", "orders", "unwanted"):
        pair.database.execute(f"INSERT INTO {table} VALUES (10), (11); DELETE FROM {table} WHERE id = 10")
    pair.catch_up(running)
    pair.assert_equal(landing)
    made = {name for (name,) in pair.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {name for name in made if not name.startswith("_replicator_")} == set(landing.values())


def test_s087_s096_transactions_side_by_side_and_empty_ones(pair: Pair) -> None:
    """Commit order is what counts, whatever began first."""
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY, x int); INSERT INTO t VALUES (0, 0)")
    running = pair.following()
    sessions = [pair.database.connect() for _ in range(10)]
    for number, session in enumerate(sessions):
        session.cursor().execute("BEGIN; INSERT INTO t VALUES (%s, 0)", (number + 1,))
    for number in (7, 2, 9, 0, 1, 8, 3, 6, 5, 4):
        last = "ROLLBACK" if number in (2, 6) else "COMMIT"
        sessions[number].cursor().execute(f"UPDATE t SET x = {number} WHERE id = 0; {last}")
    pair.database.execute("BEGIN; COMMIT; CREATE INDEX ON t (x)")
    pair.database.execute("BEGIN; INSERT INTO t VALUES (50, 50); PREPARE TRANSACTION 'kept'")
    pair.database.execute("BEGIN; INSERT INTO t VALUES (51, 51); PREPARE TRANSACTION 'dropped'")
    pair.catch_up(running)
    assert pair.rows("SELECT x FROM t WHERE id = 0") == [(4,)]
    assert pair.rows("SELECT id FROM t WHERE id IN (50, 51)") == []
    pair.database.execute("COMMIT PREPARED 'kept'")
    pair.database.execute("ROLLBACK PREPARED 'dropped'")
    pair.catch_up(running)
    pair.assert_equal()


@pytest.mark.rotating
def test_s030_the_slot_advances_while_only_unfollowed_tables_change(pair: Pair) -> None:
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE busy (x text)")
    running = pair.following("--exclude", "busy")
    ((head,),) = pair.database.query("SELECT pg_current_wal_insert_lsn() - '0/0'")
    pair.database.execute("INSERT INTO busy SELECT repeat('x', 100) FROM generate_series(1, 20000)")
    ((after,),) = pair.database.query("SELECT pg_current_wal_insert_lsn() - '0/0'")
    assert after > head

    def confirmed() -> bool:
        ((position,),) = pair.database.query(
            "SELECT confirmed_flush_lsn - '0/0' FROM pg_replication_slots WHERE database = current_database()"
        )
        return bool(position >= after)

    until(confirmed, 60, "the slot to be confirmed past the changes of other tables")
    assert running.running()


def test_a_single_row_is_visible_at_once(pair: Pair) -> None:
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY, x text)")
    pair.following()
    waits = []
    for number in range(40):
        pair.database.execute(f"INSERT INTO t VALUES ({number}, 'x')")
        began = time.monotonic()
        until(partial(pair.rows, "SELECT 1 FROM t WHERE id = ?", number), 30, "the row", pause=0.0005)
        waits.append(time.monotonic() - began)
    print(f"commit to visible: median {statistics.median(waits) * 1000:.1f} ms, worst {max(waits) * 1000:.1f} ms")
    assert statistics.median(waits) < 1.0

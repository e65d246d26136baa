"""Tables of which only the inserts and TRUNCATE are followed: no key is needed, and the source is not hindered."""

from __future__ import annotations

import signal

import pytest

from tests.pipelines.test_review_postgres import config, refused
from tests.support import oracle
from tests.support.pair import Pair

EVENTS = "CREATE TABLE events (at int, what text); INSERT INTO events VALUES (1, 'copied'), (1, 'copied'), (NULL, NULL)"
ORDINARY = "CREATE TABLE t (id int PRIMARY KEY, x text); INSERT INTO t VALUES (1, 'x')"


def events(pair: Pair, table: str = "events") -> list[tuple[object, ...]]:
    return pair.rows(f"SELECT at, what FROM {table} ORDER BY at, what")


def test_s056_a_table_without_a_key_is_refused_before_anything_is_made(pair18: Pair) -> None:
    """And then followed as the message says, beside an ordinary table, over runs, in one stream."""
    pair = pair18
    pair.database.execute(f"{EVENTS}; {ORDINARY}")
    refused(
        pair,
        "public.events has no usable replica identity: it has no primary key",
        "updates on public.events would fail on the source",
        "--insert-only 'public.events'",
        "REPLICA IDENTITY FULL",
    )
    pair.assert_nothing_made()
    pair.database.execute("UPDATE events SET what = what; DELETE FROM events WHERE at IS NULL AND what = 'none'")
    only: tuple[str, ...] = ("--insert-only", "public.events")
    refused(pair, "nowhere*, which is not among the followed tables", args=(*only, "--insert-only", "nowhere*"))
    pair.assert_nothing_made()
    pair.once(*only)
    published = pair.database.query(
        "SELECT p.pubname, pubinsert, pubupdate, pubdelete, pubtruncate, tablename "
        "FROM pg_publication p JOIN pg_publication_tables t USING (pubname) ORDER BY tablename"
    )
    assert [row[1:] for row in published] == [
        (True, False, False, True, "events"),
        (True, True, True, True, "t"),
    ]
    pair.database.execute(
        "BEGIN; INSERT INTO events VALUES (2, 'streamed'); UPDATE events SET what = 'not followed' WHERE at = 1;"
        "UPDATE t SET x = 'y'; INSERT INTO t VALUES (2, 'z'); DELETE FROM events WHERE at = 2;"
        "INSERT INTO events VALUES (3, 'late'); DELETE FROM t WHERE id = 1; COMMIT"
    )
    pair.once(*only)
    assert events(pair) == [(None, None), (1, "copied"), (1, "copied"), (2, "streamed"), (3, "late")]
    pair.assert_equal(["public.t"])
    saved = pair.saved()
    output = pair.once(code=3)
    assert "public.events" in output and "[table_options]" in output and "remedy: " in output
    output = pair.once(*only, "--insert-only", "t", code=3)
    assert "public.t" in output and "[table_options]" in output
    assert pair.saved() == saved
    running = pair.following(*only)
    pair.database.execute(
        "BEGIN; INSERT INTO events VALUES (9, 'cut'); TRUNCATE events, t; INSERT INTO events VALUES (4, 'after');"
        "INSERT INTO t VALUES (7, 'after'); UPDATE events SET at = 5; COMMIT"
    )
    pair.catch_up(running)
    assert events(pair) == [(4, "after")]
    pair.assert_equal(["public.t"])


def test_s056_by_the_configuration_and_every_identity(pair18: Pair) -> None:
    """DEFAULT without a key, NOTHING, FULL, a primary key, no columns at all: none of them matters."""
    pair = pair18
    names = ("bare", "nil", "whole", "keyed", "none")
    pair.database.execute(
        "CREATE TABLE bare (at int, what text); CREATE TABLE nil (at int PRIMARY KEY, what text);"
        "ALTER TABLE nil REPLICA IDENTITY NOTHING; CREATE TABLE whole (at int, what text);"
        "ALTER TABLE whole REPLICA IDENTITY FULL; CREATE TABLE keyed (at int PRIMARY KEY, what text);"
        "CREATE TABLE none ()"
    )
    for name in names:
        pair.database.execute(f"INSERT INTO {name} " + ("VALUES (1, 'a')" if name != "none" else "DEFAULT VALUES"))
    text = "".join(f'[table_options."public.{name}"]\ninsert_only = true\n' for name in names)
    args = config(pair, text)
    running = pair.following(*args)
    for name in names[:-1]:
        pair.database.execute(f"INSERT INTO {name} VALUES (2, 'b'); UPDATE {name} SET what = 'never'")
        pair.database.execute(f"DELETE FROM {name} WHERE at = 1; INSERT INTO {name} VALUES (3, 'c')")
    pair.database.execute("INSERT INTO none DEFAULT VALUES; DELETE FROM none; INSERT INTO none DEFAULT VALUES")
    pair.catch_up(running)
    for name in names[:-1]:
        assert events(pair, name) == [(1, "a"), (2, "b"), (3, "c")], name
    assert pair.rows("SELECT count(*) FROM none") == [(3,)]
    pair.database.execute("ALTER TABLE keyed REPLICA IDENTITY NOTHING; ALTER TABLE whole REPLICA IDENTITY DEFAULT")
    pair.database.execute(
        "INSERT INTO keyed VALUES (4, 'd'); UPDATE keyed SET what = ''; INSERT INTO whole VALUES (4, 'd')"
    )
    pair.catch_up(running)
    assert events(pair, "keyed")[-1] == events(pair, "whole")[-1] == (4, "d")
    pair.database.execute("TRUNCATE " + ", ".join(names))
    pair.catch_up(running)
    assert all(pair.rows(f"SELECT count(*) FROM {name}") == [(0,)] for name in names)


def test_s056_a_unique_value_that_is_used_again(pair18: Pair) -> None:
    """The source deletes a row, which is not followed, and inserts another with its unique value."""
    pair = pair18
    pair.database.execute("CREATE TABLE events (at int UNIQUE, what text); INSERT INTO events VALUES (1, 'a')")
    only: tuple[str, ...] = ("--insert-only", "events")
    pair.once(*only)
    pair.database.execute("DELETE FROM events; INSERT INTO events VALUES (1, 'b')")
    pair.once(*only)
    assert events(pair) == [(1, "a"), (1, "b")]
    pair.database.execute("CREATE TABLE keyed (at int PRIMARY KEY, what text); INSERT INTO keyed VALUES (1, 'a')")
    only += ("--insert-only", "keyed")
    pair.once(*only)
    pair.database.execute("DELETE FROM keyed; INSERT INTO keyed VALUES (1, 'b')")
    output = pair.once(*only, code=5)
    assert "public.keyed (key at=1)" in output and "insert_only" in output and "remedy: " in output


def test_s055_publications_of_the_user(pair18: Pair) -> None:
    pair = pair18
    pair.database.execute(f"{EVENTS}; {ORDINARY}; CREATE PUBLICATION mine FOR TABLE events WITH (publish = 'insert')")
    mine = config(pair, 'publication = "mine"\n')
    only: tuple[str, ...] = (*mine, "--insert-only", "events")
    output = refused(pair, "does not publish truncate", args=(*only, "--table", "events"))
    remedy = next(line for line in output.splitlines() if "ALTER PUBLICATION" in line)
    assert "publish = 'insert, truncate'" in remedy, "updates of a table without a key would fail at the source"
    refused(pair, "does not publish delete, truncate, update", args=(*mine, "--table", "t"))
    pair.database.execute("ALTER PUBLICATION mine SET (publish = 'insert, truncate')")
    only += ("--table", "events")
    pair.once(*only)
    pair.database.execute("INSERT INTO events VALUES (2, 'b'); UPDATE events SET what = 'c'; DELETE FROM events")
    pair.once(*only)
    assert events(pair) == [(None, None), (1, "copied"), (1, "copied"), (2, "b")]
    saved = pair.saved()
    pair.database.execute("ALTER PUBLICATION mine SET (publish = 'insert')")
    assert "does not publish truncate any more" in pair.once(*only, code=4)
    assert pair.saved() == saved
    assert pair.publications() == ["mine"]


def test_s056_the_statement_for_the_owner_does_not_hinder_the_source(pair18: Pair) -> None:
    """Run as it is printed, at once, it must leave the application's updates alone."""
    pair = pair18
    pair.database.execute(f"{EVENTS}; {ORDINARY}")
    mine = (*config(pair, 'publication = "mine"\n'), "--insert-only", "events")
    output = refused(pair, "the publication 'mine' does not exist", args=mine)
    pair.database.execute(output.split("remedy: ")[1])
    pair.database.execute("UPDATE events SET what = 'still works'; UPDATE t SET x = 'y'")
    refused(pair, "public.events has no usable replica identity", "stream of its own (--name)", args=mine)
    pair.database.execute("DROP PUBLICATION mine")
    output = refused(pair, "does not exist", args=(*mine, "--table", "events"))
    pair.database.execute(output.split("remedy: ")[1])
    pair.database.execute("UPDATE events SET what = 'still works'")
    pair.once(*mine, "--table", "events")


def test_s055_updates_that_the_users_publication_has_too_are_passed_over(pair18: Pair) -> None:
    pair = pair18
    pair.database.execute(
        f"{EVENTS}; {ORDINARY}; ALTER TABLE events REPLICA IDENTITY FULL; CREATE PUBLICATION mine FOR TABLE events, t"
    )
    only: tuple[str, ...] = (*config(pair, 'publication = "mine"\n'), "--insert-only", "events")
    running = pair.following(*only)
    pair.database.execute(
        "BEGIN; INSERT INTO events VALUES (2, 'b'); UPDATE events SET what = 'c'; UPDATE t SET x = 'y';"
        "DELETE FROM events WHERE at = 1; INSERT INTO t VALUES (2, 'z'); COMMIT"
    )
    pair.catch_up(running)
    assert events(pair) == [(None, None), (1, "copied"), (1, "copied"), (2, "b")]
    pair.assert_equal(["public.t"])


def test_s055_a_column_list_without_the_key(pair18: Pair) -> None:
    pair = pair18
    pair.database.execute(ORDINARY)
    pair.database.execute("CREATE PUBLICATION mine FOR TABLE t (x)")
    mine = config(pair, 'publication = "mine"\n')
    refused(pair, "leaves out columns of public.t: id", args=mine)
    pair.database.execute("ALTER PUBLICATION mine SET TABLE t WHERE (id > 0)")
    refused(pair, "row filter on public.t", args=mine)
    pair.database.execute("ALTER PUBLICATION mine SET TABLE t")
    running = pair.following(*mine)
    pair.database.execute("ALTER PUBLICATION mine SET TABLE t (id)")
    pair.database.execute("INSERT INTO t VALUES (2, 'lost')")
    assert running.wait(60) in (4, 5), running.stderr()
    assert "public.t" in running.stderr() and pair.rows("SELECT id FROM t") == [(1,)]


def test_s054_the_publications_of_insert_only_tables(pair18: Pair) -> None:
    """The second publication is watched as the first is: dropped, and losing its table."""
    pair = pair18
    pair.database.execute(f"{EVENTS}; {ORDINARY}")
    only: tuple[str, ...] = ("--insert-only", "events")
    pair.once(*only)
    _, inserts = pair.publications()
    saved = pair.saved()
    pair.database.execute(f"ALTER PUBLICATION {inserts} DROP TABLE events; INSERT INTO events VALUES (8, 'lost')")
    output = pair.once(*only, code=4)
    assert "table public.events is not in publication" in output and "remedy: " in output
    pair.database.execute(f"ALTER PUBLICATION {inserts} ADD TABLE events")
    assert "put back" in pair.once(*only, code=4)
    pair.database.execute(f"DROP PUBLICATION {inserts}")
    assert f"the publication '{inserts}' does not exist any more" in pair.once(*only, code=4)
    assert pair.saved() == saved
    assert "public.t" in oracle.tables(pair.database.url)


@pytest.mark.parametrize("what", ["DROP PUBLICATION mine", "ALTER PUBLICATION mine DROP TABLE t"])
@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "following"])
def test_s054_the_users_publication_is_lost(pair18: Pair, what: str, stopped: bool) -> None:
    pair = pair18
    pair.database.execute(f"{ORDINARY}; CREATE TABLE u (id int PRIMARY KEY); CREATE PUBLICATION mine FOR TABLE t, u")
    mine = config(pair, 'publication = "mine"\n')
    running = pair.following(*mine)
    if stopped:
        running.signal(signal.SIGTERM)
        assert running.wait(30) == 0
    pair.database.execute(what)
    pair.database.execute("INSERT INTO t VALUES (2, 'lost')")
    output = pair.once(*mine, code=4) if stopped else ""
    if not stopped:
        assert running.wait(60) == 4, running.stderr()
        output = running.stderr()
    assert "'mine' does not exist" in output or "table public.t is not in publication mine" in output, output
    assert "remedy: " in output and pair.rows("SELECT id FROM t") == [(1,)]

"""`check` prints what mends each thing, makes nothing; what it prints works. `status` tells what the ledger knows."""

import json
import os
import re
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import SOURCE_GRANTS
from tests.support.faults import run_replicator
from tests.support.pair import Pair
from tests.support.wait import until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text DEFAULT 'x'); INSERT INTO t VALUES (1, 'a');"


@pytest.fixture
def ready(pair18: Pair) -> Pair:
    pair18.database.execute(TABLE)
    return pair18


# -- check ---------------------------------------------------------------------------------------------------


def test_all_is_ready_and_nothing_is_made(ready: Pair) -> None:
    ready.database.execute(
        "CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t, n numeric(8,2) CHECK (n > 0), EXCLUDE (n WITH =));"
        "CREATE INDEX by_t ON child (t); CREATE UNIQUE INDEX partly ON child (n) WHERE t > 5;"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER watch AFTER INSERT ON child EXECUTE FUNCTION f()"
    )
    said = ready.run("check")
    assert "ready: 2 tables to be followed; 0 to mend first, 0 warnings" in said
    columns = "id integer > INTEGER, t integer > INTEGER, n numeric(8,2) > TEXT"
    assert re.search(r"table\s+public.child > child: " + re.escape(columns), said)
    for left_out in (
        "index by_t, partly",
        "foreign key child_t_fkey",
        "exclusion constraint child_n_excl",
        "trigger watch",
        "check child_n_check",
        "default v",
    ):
        assert left_out in said, said
    ready.assert_nothing_made()


def test_everything_that_is_in_the_way_is_said_at_once(ready: Pair) -> None:
    ready.database.execute(
        "CREATE TABLE bare (id int); CREATE TABLE odd (id int PRIMARY KEY, v text);"
        "CREATE TABLE whole (x int); ALTER TABLE whole REPLICA IDENTITY FULL; CREATE VIEW v AS SELECT 1;"
        "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (9);"
        "CREATE SCHEMA aside; CREATE TABLE aside.t (id int PRIMARY KEY)"
    )
    with closing(sqlite3.connect(ready.path)) as connection, connection:
        connection.execute("CREATE TABLE odd (id INTEGER PRIMARY KEY, v INTEGER)")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
        connection.execute("INSERT INTO t VALUES (9, 'mine')")
    before = ready.path.read_bytes()
    said = ready.run("check", code=3)
    for problem in (
        "public.bare has no usable replica identity",
        "column v is declared INTEGER",
        "the target table for public.t is not empty",
        "public.v is left out: it is a view",
        "no table of schema aside is chosen; it has 1",
        "public.whole has no key",
        "public.parts is partitioned: TRUNCATE, DETACH and DROP of a single partition",
        "not ready: 5 tables to be followed; 3 to mend first, 3 warnings",
    ):
        assert problem in said, said
    assert said.count("remedy: ") >= 4 and ready.path.read_bytes() == before
    assert ready.slots() == [] and ready.publications() == []
    said = ready.run("check", "--backfill", code=3)
    assert "replica identity" not in said and "the target table for public.t is not empty" in said


def test_the_remedies_that_are_statements_work(ready: Pair) -> None:
    """Run as they are printed, by somebody with the rights; then it is ready."""
    url = ready.database.role("poor", grants=())
    ready.database.execute("ALTER ROLE poor NOREPLICATION")
    for _ in range(4):
        with run_replicator(["check", url, ready.target, "--config", str(config(ready))]) as running:
            code = running.wait(60)
            said = running.stdout()
        if code == 0:
            return
        for statement in re.findall(r"((?:GRANT|ALTER ROLE|CREATE PUBLICATION) [^;\n]+);?", said):
            ready.database.execute(statement.split("; and ")[0].split("; with ")[0].split("; then ")[0])
    raise AssertionError(said)


def config(pair: Pair) -> Path:
    path = pair.path.with_name("c.toml")
    path.write_text('publication = "my_publication"\n')
    return path


def test_a_stream_that_runs_and_one_that_has_lost_its_slot(ready: Pair) -> None:
    running = ready.following()
    assert "ready: 1 tables to be followed" in ready.run("check")
    running.signal(signal.SIGTERM)
    assert running.wait(20) == 0
    ready.database.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    said = ready.run("check", code=3)
    assert "does not exist" in said and "recopy SOURCE TARGET --all" in said


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--table", "nothing"), "no table matches"),
        (("--map", "public.none=x"), "which is not a followed table"),
        (("--map", "public.t=sqlite_t"), "kept for bookkeeping"),
        (("--insert-only", "tt*"), "the settings name tt*"),
    ],
)
def test_settings_that_fit_nothing(ready: Pair, options: tuple[str, ...], text: str) -> None:
    assert text in ready.run("check", *options, code=3)
    assert text in ready.once(*options, code=3)
    ready.assert_nothing_made()


def test_options_of_columns_and_tables_that_are_not_there(ready: Pair) -> None:
    path = ready.path.with_name("c.toml")
    for text, wrong in (
        ('[columns."public.t.none"]\nas = "text"\n', "public.t.none"),
        ('[table_options."public.none"]\ninsert_only = true\n', "public.none"),
        ('[table_options."public.t"]\ndigest_column = true\n', "public.t has a key"),
    ):
        path.write_text(text)
        assert wrong in ready.run("check", "--config", str(path), code=3)
        assert wrong in ready.once("--config", str(path), code=3)


def test_a_role_that_may_only_read_can_backfill(ready: Pair) -> None:
    url = ready.database.role("reader", grants=SOURCE_GRANTS)
    with run_replicator(["check", "--backfill", url, ready.target]) as running:
        assert running.wait(60) == 0, running.stdout()
    with run_replicator(["check", url, ready.target]) as running:
        assert running.wait(60) == 3 and "may not make the publication" in running.stdout()


# -- status --------------------------------------------------------------------------------------------------


def document(pair: Pair, *args: str) -> Any:
    found: Any = json.loads(pair.run("status", "--json", *args))
    return found


def test_status_of_a_stream_from_its_first_moment_to_its_end(ready: Pair) -> None:
    assert "there is no database" in ready.run("status", code=3)
    running = ready.following()
    stream = until(lambda: heard(ready), 30, "the first beat")
    assert stream["name"] == "default" and stream["phase"] == "streaming" and stream["running"] is True
    assert stream["slot"] == ready.slots()[0] and stream["runner"]["pid"] == running.pid
    assert stream["tables"][0]["phase"] == "live" and "***" in str(stream["source"])
    assert time.time() - stream["runner"]["heard_at"] < 60
    ready.database.execute("UPDATE t SET v = 'b'")
    ready.catch_up(running)
    until(lambda: heard(ready)["runner"]["lag_seconds"] == 0.0, 30, "a beat without lag")
    text = ready.run("status")
    assert "default: streaming, running" in text and "public.t > t: live, copied as of" in text
    running.signal(signal.SIGTERM)
    assert running.wait(20) == 0
    assert document(ready)["streams"][0]["running"] is False
    assert "default: streaming, not running" in ready.run("status")


def heard(pair: Pair) -> Any:
    (stream,) = document(pair)["streams"]
    return stream if stream["runner"] else None


def test_why_the_last_run_ended(ready: Pair) -> None:
    ready.once()
    ready.database.execute("ALTER TABLE t ADD COLUMN n int; UPDATE t SET n = 1")
    ready.once(code=5)
    (stream,) = document(ready)["streams"]
    assert "column n was added" in stream["runner"]["error"]
    assert "column n was added" in ready.run("status")
    ready.run("recopy", "t")
    ready.once()
    assert heard(ready)["runner"]["error"] is None


def test_status_changes_nothing_and_knows_several(ready: Pair) -> None:
    ready.once()
    ready.once("--name", "second", "--map", "public.t=t2")
    with closing(sqlite3.connect(ready.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = ready.path.read_bytes()
    assert [s["name"] for s in document(ready)["streams"]] == ["default", "second"]
    assert [s["name"] for s in document(ready, "--name", "second")["streams"]] == ["second"]
    assert "there is no stream 'third'" in ready.run("status", "--name", "third", code=3)
    assert ready.path.read_bytes() == before


def test_status_of_a_file_without_bookkeeping(ready: Pair) -> None:
    with closing(sqlite3.connect(ready.path)) as connection, connection:
        connection.execute("CREATE TABLE x (y)")
    assert "no streams" in ready.run("status")
    assert document(ready)["streams"] == []
    ready.path.write_text("not a database, but a text of some length")
    os.truncate(ready.path, 30)
    assert "SQLite" in ready.run("status", code=5)


def test_values_that_will_not_fit_are_counted_before_they_stop_a_copy(ready: Pair) -> None:
    ready.database.execute(
        "CREATE TABLE m (id int PRIMARY KEY, ratio float8, at timestamptz, list int[]);"
        "INSERT INTO m SELECT i, CASE WHEN i % 100 = 7 THEN 'NaN' ELSE i::float8 END, now()"
        " FROM generate_series(1, 25000) i;"
        "INSERT INTO m VALUES (0, -0.0, NULL, '[0:1]={1,2}')"
    )
    assert "2 tables to be followed; 0 to mend first" in ready.run("check")
    for kind in ((), ("--backfill",)):
        said = ready.run("check", "--values", *kind, code=3)
        assert "251 rows of public.m have a value that the target cannot hold; the first: public.m." in said
        assert "(id=0)" in said and "NaN" not in said.replace('nan = "null"', "").replace("stores NaN", "")
    ready.assert_nothing_made()

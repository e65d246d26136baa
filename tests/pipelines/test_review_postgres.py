"""PostgreSQL as a source: what a hostile review of its folder found."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import closing, suppress

import psutil
import psycopg2
import pytest

from replicator.engine import Endpoint, find
from replicator.engines.postgres import publication
from replicator.engines.postgres.connect import connect, endpoint
from replicator.engines.postgres.snapshot import Sink
from replicator.engines.postgres.walsender import WalSender
from replicator.errors import Retryable, UsageError
from replicator.model.schema import Name, Table
from tests.pipelines.test_load import peak_mb
from tests.support.databases import PostgresDatabase
from tests.support.pair import Pair

TABLE = "CREATE TABLE t (id int PRIMARY KEY, x text); INSERT INTO t VALUES (1, 'x')"


@pytest.fixture
def ready(pair18: Pair) -> Pair:
    pair18.database.execute(TABLE)
    return pair18


@pytest.fixture
def synced(ready: Pair) -> Pair:
    ready.once()
    return ready


def refused(pair: Pair, *texts: str, args: tuple[str, ...] = ()) -> str:
    """`sync --once` is refused with these texts and a remedy, and no file is made."""
    output = pair.once(*args, code=3)
    for text in (*texts, "remedy: "):
        assert text in output, output
    assert not pair.path.exists()
    return output


def config(pair: Pair, text: str) -> tuple[str, str]:
    path = pair.path.with_suffix(".toml")
    path.write_text(text)
    return "--config", str(path)


# -- who holds things up -----------------------------------------------------------------------------------


def test_a_waiting_slot_names_the_sessions_of_other_roles(pair: Pair) -> None:
    """What pg_stat_activity hides from the least role must not end the run."""
    pair.database.execute(TABLE)
    pair.hand_over()
    with closing(psycopg2.connect(pair.database.url)) as other, other.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (2, 'x') RETURNING pg_backend_pid()")
        ((pid,),) = cursor.fetchall()
        running = pair.sync("--once")
        output = running.wait_for_text("waits for running transactions", 60)
        assert f"pid {pid}, open for " in output
        other.commit()
        assert running.wait(60) == 0, running.stderr()
    pair.assert_equal()


def test_a_table_under_maintenance_is_no_lack_of_rights(ready: Pair) -> None:
    ready.hand_over()
    with closing(psycopg2.connect(ready.database.url)) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE; SELECT pg_backend_pid()")
        ((pid,),) = cursor.fetchall()
        running = ready.sync("--once")
        output = running.wait_for_text("trying again", 60)
        assert f"public.t is locked by pid {pid} (ShareUpdateExclusiveLock" in output
        assert "may not make" not in output
    assert running.wait(60) == 0, running.stderr()


def test_a_change_of_the_publication_does_not_wait_for_ever(ready: Pair) -> None:
    connection = connect(Endpoint(ready.database.url, "test"))
    ((oid,),) = ready.database.query("SELECT 't'::regclass::oid")
    table = Table(Name("public", "t"), (), (), str(oid))
    with closing(psycopg2.connect(ready.database.url)) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE")
        with pytest.raises(Retryable, match=r"public\.t is locked by pid \d+"):
            publication.run(connection, publication.statement("p", [table]), [table], wait_s=1)
    publication.run(connection, publication.statement("p", [table]), [table], keep=False)
    assert ready.publications() == []
    publication.run(connection, publication.statement("p", [table]), [table])
    assert ready.publications() == ["p"]
    connection.close()


# -- the replication connection ----------------------------------------------------------------------------


ASKING: dict[str, Callable[[WalSender], object]] = {
    "command": lambda sender: sender.command("IDENTIFY_SYSTEM"),
    "start": lambda sender: sender.start("none", 0, ["none"]),
    "receive": lambda sender: sender.receive(),
    "wait": lambda sender: sender.wait(1),
    "confirm": lambda sender: sender.confirm(1),
    "feedback": lambda sender: sender.feedback(),
}


@pytest.mark.parametrize("ask", ASKING)
@pytest.mark.parametrize("cut", ["network", "closed"])
def test_every_broken_connection_is_one_to_try_again(ready: Pair, ask: str, cut: str) -> None:
    """Whatever is asked of it, it must not end the run."""
    sender = WalSender(Endpoint(ready.database.url, "test"))
    if cut == "closed":
        sender.close()
    else:
        line = socket.socket(fileno=sender._connection.socket)
        line.shutdown(socket.SHUT_RDWR)
        line.detach()
    with pytest.raises(Retryable):
        ASKING[ask](sender)
    sender.close()


def test_the_servers_limits_on_sessions_do_not_reach_us(ready: Pair) -> None:
    names = "'transaction_timeout', 'idle_session_timeout'"
    for name in ("transaction_timeout", "idle_session_timeout"):
        ready.database.execute(f"ALTER DATABASE {ready.database.name} SET {name} = '1s'")
    where = Endpoint(ready.database.url, "test")
    ask = f"SELECT name, setting FROM pg_settings WHERE name IN ({names}) ORDER BY 1"
    with closing(connect(where)) as connection, connection.cursor() as cursor:
        cursor.execute(ask)
        assert cursor.fetchall() == [("idle_session_timeout", "0"), ("transaction_timeout", "0")]
    with closing(WalSender(where)) as sender:
        assert [row[1] for row in sender.command(ask)] == ["0", "0"]


# -- the memory of a copy ----------------------------------------------------------------------------------


def test_the_sink_keeps_whole_rows_up_to_its_limit() -> None:
    sink = Sink(10)
    assert [sink.write(row) for row in (b"abcd\n", b"efg\n", b"hi\n", b"dropped\n", b"x\n")] == [5, 4, 3, 8, 2]
    assert (sink.rows, sink.size, sink.whole) == ([b"abcd\n", b"efg\n", b"hi\n"], 12, False)
    first = Sink(1)
    first.write(b"a row that is wider than all\n")
    assert (first.rows, first.whole) == ([b"a row that is wider than all\n"], True)
    assert (Sink(5).rows, Sink(5).whole) == ([], True)


@pytest.mark.parametrize("key", [True, False])
def test_wide_rows_behind_narrow_ones(pair18: Pair, key: bool) -> None:
    """250 MB of wide rows, which the width of those before them does not tell."""
    pair18.database.execute("CREATE TABLE t (id int, x text); ALTER TABLE t ALTER x SET STORAGE EXTERNAL")
    pair18.database.execute("ALTER TABLE t ADD PRIMARY KEY (id)" if key else "ALTER TABLE t REPLICA IDENTITY FULL")
    pair18.database.execute("INSERT INTO t SELECT i, '' FROM generate_series(1, 30000) i")
    pair18.database.execute("INSERT INTO t SELECT i, repeat('x', 100000) FROM generate_series(30001, 32500) i")
    pair18.database.execute("INSERT INTO t SELECT i, '' FROM generate_series(32501, 32600) i")
    running = pair18.following()
    peak = peak_mb(psutil.Process(running.pid))
    assert peak < 180, peak
    assert pair18.rows("SELECT count(*), count(DISTINCT id), max(id), sum(length(x)) FROM t") == [
        (32600, 32600, 32600, 250_000_000)
    ]


def test_a_key_on_a_domain_over_an_enum(pair: Pair) -> None:
    labels = ", ".join(f"'v{number:03}'" for number in range(200))
    pair.database.execute(
        f"CREATE TYPE e AS ENUM ({labels}); CREATE DOMAIN d AS e; CREATE DOMAIN dd AS d;"
        "CREATE TABLE t (a dd, b int, x text, PRIMARY KEY (a, b));"
        "INSERT INTO t SELECT v, n, 'x' FROM unnest(enum_range(NULL::e)) v, generate_series(1, 3) n"
    )
    pair.once()
    assert pair.rows("SELECT count(*) FROM t") == [(600,)]
    pair.assert_equal()


# -- the URL -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:se@cret@h/d",
        "postgresql://u:se@cr/et@h/d",
        "postgresql://u:se@cr?et@h/d",
        "postgresql://u:se@cr#et@h/d",
        "postgresql://u:se:cret@h/d",
        "postgresql://u:se/cret@h/d",
        "postgresql://u:se#cret@h/d",
        "postgresql://u:se?cret@h/d",
        "postgresql://h/d?password=secret",
        "postgresql://u:secret/d",
        "postgresql://h/d@cret",
        "postgresql://u@h/d?sslmode=secret",
    ],
)
def test_a_url_whose_parts_are_not_certain_is_not_echoed(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(url).endpoint(url, None)
    assert "cret" not in str(caught.value).replace("REPLICATOR_SOURCE_PASSWORD", "")
    assert caught.value.remedy


def test_what_is_shown_of_a_url() -> None:
    where = endpoint("postgresql://u:se%40cr%2Fet@h:5433/d?sslmode=require&sslkey=/secret/key", None)
    assert where.shown == "postgresql://u:***@h:5433/d"
    assert "sslkey" in where.url


# -- the publication ---------------------------------------------------------------------------------------

SPOILT = [
    ("SET (publish = 'insert, update, delete')", "does not publish truncate any more"),
    ("SET TABLE ONLY t WHERE (id > 5)", "has a row filter"),
    ("SET TABLE ONLY t (id)", "lacks columns (x)"),
]


@pytest.mark.parametrize(("change", "text"), SPOILT)
def test_a_publication_that_publishes_less_at_the_start(synced: Pair, change: str, text: str) -> None:
    before = synced.saved()
    synced.database.execute(f"ALTER PUBLICATION {synced.publications()[0]} {change}; INSERT INTO t VALUES (2, 'y')")
    output = synced.once(code=4)
    assert text in output and "may be lost" in output and "remedy: " in output, output
    assert synced.saved() == before


@pytest.mark.parametrize(
    ("change", "text"),
    [*SPOILT, ("DROP TABLE t; ALTER PUBLICATION {name} ADD TABLE ONLY t", "taken out and put back")],
)
def test_a_publication_that_publishes_less_while_it_is_followed(ready: Pair, change: str, text: str) -> None:
    running = ready.following()
    name = ready.publications()[0]
    ready.database.execute(f"ALTER PUBLICATION {name} {change.replace('{name}', name)}")
    assert running.wait(60) == 4, running.stderr()
    assert text in running.stderr(), running.stderr()
    assert "may be lost" in running.stderr() and "remedy: " in running.stderr()


def test_only_followed_tables_are_watched(ready: Pair) -> None:
    """A table of the user's publication that we do not follow is not our concern."""
    ready.database.execute("CREATE TABLE u (id int PRIMARY KEY); CREATE PUBLICATION mine FOR TABLE t, u")
    ready.hand_over()
    running = ready.following(*config(ready, 'publication = "mine"\n'), "--table", "t")
    ready.database.execute("ALTER PUBLICATION mine DROP TABLE u")
    with suppress(TimeoutError, AssertionError):
        running.wait(13)
    assert running.running(), running.stderr()
    ready.database.execute("INSERT INTO t VALUES (2, 'y')")
    ready.catch_up(running)


def test_the_membership_of_a_table(database: PostgresDatabase) -> None:
    """It outlasts every change that keeps the table, and no other."""
    t, u = Name("public", "t"), Name("public", "u")
    database.execute(f"{TABLE}; CREATE TABLE u (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE ONLY t")
    connection = connect(Endpoint(database.url, "test"))

    def members(name: str = "p") -> dict[Name, str]:
        return publication.membership(connection, name)

    first = members()
    assert set(first) == {t}
    database.execute("ALTER PUBLICATION p SET TABLE ONLY t, ONLY u")
    second = members()
    assert set(second) == {t, u} and second[t] == first[t]
    database.execute("ALTER PUBLICATION p SET TABLE ONLY u; ALTER PUBLICATION p SET TABLE ONLY u, ONLY t")
    third = members()
    assert third[u] == second[u] and third[t] != first[t]
    database.execute("ALTER PUBLICATION p SET TABLE ONLY u, ONLY t WHERE (id > 3)")
    assert members()[t] != third[t]
    for scope in ("ALL TABLES", "TABLES IN SCHEMA public"):
        database.execute(f"DROP PUBLICATION IF EXISTS q; CREATE PUBLICATION q FOR {scope}")
        before = members("q")
        assert set(before) == {t, u} and before == members("q")
        database.execute(f"DROP PUBLICATION q; CREATE PUBLICATION q FOR {scope}")
        assert before[t] != members("q")[t]
    connection.close()


# -- what is checked before anything is made ---------------------------------------------------------------


def test_a_slot_that_cannot_do(ready: Pair) -> None:
    ready.database.execute("CREATE PUBLICATION mine FOR TABLE t")
    both = config(ready, 'publication = "mine"\nslot = "mine"\n')
    refused(ready, "the slot 'mine' does not exist", "pg_create_logical_replication_slot", args=both)
    for make in (
        "pg_create_physical_replication_slot('mine', true)",
        "pg_create_logical_replication_slot('mine', 'test_decoding')",
    ):
        with suppress(psycopg2.errors.UndefinedFile):  # the embedded server may lack test_decoding
            ready.database.query(f"SELECT {make}")
            refused(ready, "is not a lasting logical pgoutput slot of this database", args=both)
            ready.database.query("SELECT pg_drop_replication_slot('mine')")
    ready.database.query("SELECT pg_create_logical_replication_slot('mine', 'pgoutput')")
    refused(ready, "is given without a publication", args=config(ready, 'slot = "mine"\n'))
    assert ready.publications() == ["mine"] and ready.slots() == ["mine"]
    with PostgresDatabase(ready.database.server) as other, Pair(other, ready.path) as elsewhere:
        other.execute(f"{TABLE}; CREATE PUBLICATION mine FOR TABLE t")
        refused(elsewhere, "is not a lasting logical pgoutput slot of this database", args=both)
    args = config(ready, 'publication = "mine"\nslot = "mine"\n')
    ready.once(*args)
    ready.assert_equal()


def test_a_root_with_partitions_that_are_not_in_the_log(pair18: Pair) -> None:
    pair18.database.execute(
        "CREATE TABLE root (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE good PARTITION OF root FOR VALUES FROM (0) TO (10);"
        "CREATE UNLOGGED TABLE bad PARTITION OF root FOR VALUES FROM (10) TO (20)"
    )
    output = refused(pair18, "public.root has unlogged or foreign partitions", "bad", "DETACH PARTITION")
    assert "left out" not in output
    pair18.assert_nothing_made()
    pair18.database.execute("ALTER TABLE bad SET LOGGED; INSERT INTO root VALUES (1), (11)")
    pair18.once()
    pair18.assert_equal(["public.root"])


def test_a_publication_of_partitions(pair18: Pair) -> None:
    pair18.database.execute(
        "CREATE TABLE root (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (10); CREATE PUBLICATION mine FOR TABLE root"
    )
    args = config(pair18, 'publication = "mine"\n')
    output = refused(pair18, "publishes the partitions of public.root", args=args)
    remedy = re.search(r"(ALTER PUBLICATION.*)", output)
    assert remedy is not None
    pair18.database.execute(remedy.group(1))
    pair18.once(*args)


def test_a_publication_of_generated_columns(pair18: Pair) -> None:
    pair18.database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED);"
        "CREATE PUBLICATION mine FOR TABLE t WITH (publish_generated_columns = stored)"
    )
    args = config(pair18, 'publication = "mine"\n')
    refused(pair18, "columns of public.t that are not followed: g", "publish_generated_columns = none", args=args)
    pair18.database.execute("ALTER PUBLICATION mine SET (publish_generated_columns = none)")
    pair18.once(*args)

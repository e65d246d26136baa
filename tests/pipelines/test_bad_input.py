"""What cannot work is refused before anything is made at either end, with the object and the remedy."""

import os
import pwd
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import psycopg2.extras
import pytest

from tests.support.databases import NASTY, PUBLISHER_GRANTS, SOURCE_GRANTS, PostgresDatabase
from tests.support.faults import ROOT
from tests.support.pair import Pair
from tests.support.servers.postgres import private_postgres
from tests.support.servers.standby import standby_of

TABLE = "CREATE TABLE t (id int PRIMARY KEY, x text); INSERT INTO t VALUES (1, 'x')"


def refused(pair: Pair, *texts: str, code: int = 3, args: tuple[str, ...] = (), source: str | None = None) -> str:
    """`sync` ends with `code`, says all of `texts` and a remedy, prints no password, and has made nothing."""
    output = pair.once(*args, code=code, source=source)
    for text in (*texts, "remedy: "):
        assert text in output, output
    assert NASTY not in output and "Traceback" not in output, output
    pair.assert_nothing_made()
    return output


@pytest.fixture
def ready(pair18: Pair) -> Pair:
    """A source that is ready but for what the test spoils."""
    pair18.database.execute(TABLE)
    return pair18


# -- the login ---------------------------------------------------------------------------------------------


def test_s049_wrong_password(ready: Pair) -> None:
    user = f"{ready.database.name}_sync"
    wrong = ready.database.server.url(ready.database.name, user=user, password="WrongSecret")
    output = refused(ready, "password authentication failed", source=wrong)
    assert "WrongSecret" not in output


def test_s049_unknown_role_and_database(ready: Pair) -> None:
    server = ready.database.server
    refused(ready, "nobody_at_all", source=server.url(ready.database.name, user="nobody_at_all", password="x"))
    refused(ready, "no_such_database", source=server.url("no_such_database"))


def test_no_server(ready: Pair) -> None:
    with closing(psycopg2.connect(ready.url)):
        pass
    output = ready.once("--give-up-after", "1", code=6, source="postgresql://someone@127.0.0.1:1/db")
    assert "no server answers" in output and "remedy" in output
    ready.assert_nothing_made()


# -- rights ------------------------------------------------------------------------------------------------


def test_s050_a_role_without_replication(ready: Pair) -> None:
    role = ready.database.role(replication=False, grants=PUBLISHER_GRANTS)
    refused(ready, "REPLICATION", "ALTER ROLE", source=role)


def test_s050_no_select_on_one_table(ready: Pair) -> None:
    ready.database.execute("CREATE TABLE closed (id int PRIMARY KEY); CREATE TABLE shut (id int PRIMARY KEY)")
    role = ready.database.role(grants=("USAGE ON SCHEMA public", "SELECT ON TABLE t"))
    ready.database.execute("CREATE PUBLICATION mine FOR TABLE t, closed, shut")
    output = ready.once(code=3, source=role)
    assert "public.closed, public.shut cannot be read" in output
    assert 'GRANT SELECT ON "public"."closed", "public"."shut"' in output
    assert ready.slots() == [] and ready.publications() == ["mine"] and not ready.path.exists()


def test_s050_the_printed_publication_works(ready: Pair, tmp_path: Path) -> None:
    """A role that owns nothing is told what the owner is to run, and then needs nothing more."""
    role = ready.database.role(grants=SOURCE_GRANTS)
    output = refused(ready, "may not make the publication", "CREATE PUBLICATION", source=role)
    statement = next(line.split("run: ")[1].split("; then")[0] for line in output.splitlines() if "run: " in line)
    ready.database.execute(statement)
    config = tmp_path / "stream.toml"
    config.write_text('publication = "my_publication"\n')
    ready.once("--config", str(config), source=role)
    ready.database.execute("UPDATE t SET x = 'y'; INSERT INTO t VALUES (2, 'z')")
    ready.once("--config", str(config), source=role)
    ready.assert_equal()
    assert ready.publications() == ["my_publication"]


def test_s050_a_role_that_only_reads(ready: Pair) -> None:
    """As roles for copies often are: it is told what the owner is to run, too."""
    role = ready.database.role(grants=SOURCE_GRANTS)
    ready.database.execute(f"ALTER ROLE {urlsplit(role).username} SET default_transaction_read_only = on")
    refused(ready, "may not make the publication: cannot execute", "run: CREATE PUBLICATION", source=role)


@pytest.mark.parametrize(
    ("publication", "text"),
    [
        ("", "does not exist"),
        ("CREATE PUBLICATION mine FOR TABLE t WITH (publish = 'insert')", "does not publish delete, truncate, update"),
        ("CREATE PUBLICATION mine FOR TABLE t WHERE (id > 1)", "row filter on public.t"),
        ("CREATE PUBLICATION mine FOR TABLE t (id)", "leaves out columns of public.t: x"),
        ("CREATE TABLE other (id int PRIMARY KEY); CREATE PUBLICATION mine FOR TABLE other", "public.t is not in"),
    ],
)
def test_s054_s055_a_publication_that_does_not_do(ready: Pair, tmp_path: Path, publication: str, text: str) -> None:
    if publication:
        ready.database.execute(publication)
    config = tmp_path / "stream.toml"
    config.write_text('publication = "mine"\n')
    output = ready.once("--config", str(config), code=3)
    assert text in output and "remedy: " in output
    assert ready.slots() == [] and not ready.path.exists()


# -- the server --------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A server of the test's own, with few of everything, and the settings of the parameter."""
    settings = {"max_replication_slots": "2", "max_wal_senders": "2", **getattr(request, "param", {})}
    with (
        private_postgres(18, settings) as own,
        PostgresDatabase(own.server) as database,
        Pair(database, tmp_path / "copy.db") as made,
    ):
        database.execute(TABLE)
        yield made


@pytest.mark.parametrize("small", [{"wal_level": "replica"}], indirect=True)
def test_s043_wal_level(small: Pair) -> None:
    refused(small, "wal_level is replica, and must be logical", "restart the server")


@pytest.mark.parametrize("small", [{"wal_level": "replica"}], indirect=True)
@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("rds_superuser", ("rds.logical_replication = 1 in a parameter group", "then restart the instance")),
        ("cloudsqlsuperuser", ("cloudsql.logical_decoding = on in the instance's flags",)),
        ("azure_pg_admin", ("Azure Database: wal_level = logical in the server parameters",)),
    ],
)
def test_s043_wal_level_of_a_managed_service(small: Pair, role: str, words: tuple[str, ...]) -> None:
    """It is told by a role that only its servers have. Nothing was run there."""
    small.database.execute(f"CREATE ROLE {role}")
    try:
        assert "ALTER SYSTEM" not in refused(small, "wal_level is replica", *words)
    finally:
        small.database.execute(f"DROP ROLE {role}")


def test_s029_no_free_slot(small: Pair) -> None:
    for name in ("one", "two"):
        small.database.query("SELECT pg_create_physical_replication_slot(%s)", name)
    output = small.once(code=3)
    assert "max_replication_slots (2) all in use" in output and "remedy: " in output
    assert small.publications() == [] and not small.path.exists()


def test_s029_no_free_wal_sender(small: Pair) -> None:
    held = [
        psycopg2.connect(small.database.url, connection_factory=psycopg2.extras.LogicalReplicationConnection)
        for _ in range(2)
    ]
    refused(small, "max_wal_senders")
    for connection in held:
        connection.close()


def test_a_standby(tmp_path: Path) -> None:
    with private_postgres(18) as own, PostgresDatabase(own.server) as database:
        database.execute(TABLE)
        with standby_of(own) as standby, Pair(database, tmp_path / "copy.db") as pair:
            refused(pair, "is a standby", "pg_promote", source=standby.url(database.name))


# -- tables ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("CREATE TABLE bare (id int)", "it has no primary key"),
        ("CREATE TABLE bare (id int PRIMARY KEY); ALTER TABLE bare REPLICA IDENTITY NOTHING", "is NOTHING"),
        ("CREATE TABLE bare (id int PRIMARY KEY DEFERRABLE)", "its primary key is deferrable"),
        (
            "CREATE TABLE bare (id int NOT NULL); CREATE UNIQUE INDEX i ON bare (id);"
            "ALTER TABLE bare REPLICA IDENTITY USING INDEX i; DROP INDEX i",
            "its replica identity index is gone",
        ),
    ],
)
def test_s056_s057_no_usable_replica_identity(ready: Pair, table: str, why: str) -> None:
    ready.database.execute(f"{table}; INSERT INTO bare VALUES (1)")
    output = refused(ready, "public.bare has no usable replica identity", "would fail on the source", "--exclude")
    assert any(reason in output for reason in why.split("|")), output
    ready.database.execute("UPDATE bare SET id = 2; DELETE FROM bare")


def test_s115_an_unknown_type(ready: Pair, tmp_path: Path) -> None:
    ready.database.execute("CREATE TABLE odd (id int PRIMARY KEY, r regclass)")
    refused(ready, "public.odd.r has the type regclass", 'as = "text"')


def test_no_table_matches(ready: Pair) -> None:
    refused(ready, "no table matches", args=("--table", "nothing.*"))


def test_s065_names_that_collide(ready: Pair) -> None:
    ready.database.execute(
        'CREATE TABLE "T" (id int PRIMARY KEY); CREATE SCHEMA a; CREATE TABLE a.x (id int PRIMARY KEY);'
        'CREATE TABLE a__x (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, a int, "A" int);'
        'CREATE TABLE sqlite_x (id int PRIMARY KEY); CREATE TABLE "_Replicator_y" (id int PRIMARY KEY)'
    )
    refused(ready, "public.T and public.t would both land", "--map", args=("--table", "t", "--table", "T"))
    refused(ready, "would both land in 'a__x'", args=("--table", "a.x", "--table", "a__x"))
    refused(ready, "would both land", args=("--table", "t", "--table", "c", "--map", "c=t"))
    refused(ready, "columns 'a' and 'A' are the same name to SQLite", args=("--table", "c"))
    refused(ready, "kept for bookkeeping", args=("--table", "sqlite_x"))
    refused(ready, "kept for bookkeeping", args=("--table", "_Replicator_y"))
    refused(ready, "which is not a followed table", args=("--table", "t", "--map", "nowhere=x"))


# -- the target --------------------------------------------------------------------------------------------


def test_the_directory_is_missing(ready: Pair) -> None:
    ready.path = ready.path.parent / "absent" / "copy.db"
    refused(ready, "does not exist", "mkdir -p")


def test_the_file_is_no_database(ready: Pair) -> None:
    ready.path.write_bytes(b"a diary, not a database" * 100)
    output = ready.once(code=3)
    assert "is not an SQLite database" in output and "remedy: " in output
    assert ready.path.read_bytes().startswith(b"a diary") and ready.slots() == [] and ready.publications() == []


def test_the_path_is_a_directory(ready: Pair) -> None:
    ready.path.mkdir()
    assert "is not a file" in ready.once(code=3)
    assert ready.slots() == [] and ready.publications() == []


def test_s071_a_file_that_this_user_may_not_write(ready: Pair) -> None:
    """Root may write everything, so somebody else runs it here."""
    if os.geteuid() != 0:
        pytest.skip("only root can run it as somebody else")
    nobody = pwd.getpwnam("nobody")
    with closing(sqlite3.connect(ready.path)) as connection:
        connection.execute("CREATE TABLE mine (id int)")
    ready.path.chmod(0o644)
    ready.hand_over()
    script = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); from replicator.cli import main;"
        f"from replicator.pipeline.sync import Sync; import replicator.engines.postgres.source;"
        f"import replicator.engines.sqlite.target, replicator.terminal, psycopg, sqlalchemy.dialects.sqlite;"
        f"os.setgroups([]); os.setgid({nobody.pw_gid}); os.setuid({nobody.pw_uid});"
        f"main(['sync', '--once', {ready.url!r}, {ready.target!r}])"
    )
    for parent in ready.path.parents:
        if parent != Path("/tmp") and str(parent).startswith("/tmp"):
            parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd="/", timeout=60
    )
    assert done.returncode == 3 and "cannot be" in done.stderr and "remedy: " in done.stderr, done.stderr
    assert ready.slots() == [] and ready.publications() == []


def test_a_view_of_the_same_name(ready: Pair) -> None:
    with closing(sqlite3.connect(ready.path)) as connection:
        connection.execute("CREATE TABLE mine (id INTEGER, x TEXT)")
        connection.execute("CREATE VIEW t AS SELECT * FROM mine")
        connection.execute('CREATE VIEW "U" AS SELECT 1')
    ready.database.execute("CREATE TABLE u (id int PRIMARY KEY); CREATE TABLE v (id int, x text)")
    ready.database.execute("ALTER TABLE v REPLICA IDENTITY FULL")
    for args in (("--table", "t"), ("--table", "v", "--map", "v=t"), ("--table", "t", "--truncate"), ("--table", "u")):
        output = ready.once(*args, code=3)
        assert "a view of this name" in output and "remedy: " in output
    assert ready.slots() == [] and ready.publications() == []
    assert ready.rows("SELECT name FROM sqlite_master WHERE name LIKE '\\_replicator%' ESCAPE '\\'") == []


@pytest.mark.parametrize(
    ("ddl", "text"),
    [
        ("CREATE TABLE t (id INTEGER PRIMARY KEY)", "column x is missing"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER)", "may change a value"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, x STRING)", "may change a value"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT NOT NULL)", "column x is NOT NULL, and the source has it"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT AS ('a'))", "column x is generated there"),
        ("CREATE TABLE t (id INTEGER, x TEXT)", "no primary key or unique index on (id)"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT, y TEXT NOT NULL)", "column y is NOT NULL"),
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT);"
            "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t; END",
            "it has triggers (g)",
        ),
    ],
)
def test_s073_s074_s077_a_table_that_cannot_take_the_rows(ready: Pair, ddl: str, text: str) -> None:
    with closing(sqlite3.connect(ready.path)) as connection:
        connection.executescript(ddl)
    output = ready.once(code=3)
    assert text in output and "remedy: " in output, output
    assert ready.slots() == [] and ready.publications() == []

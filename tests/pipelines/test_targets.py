"""What targets do to a stream: away, full, without rights, with foreign keys in any order."""

from __future__ import annotations

from collections.abc import Iterator

import pymysql
import pytest

from tests.pipelines.conftest import server_of
from tests.support.databases import PostgresDatabase
from tests.support.faults import FaultProxy
from tests.support.into_mysql import TARGET_GRANTS, PostgresIntoMysql
from tests.support.mysql_database import MysqlDatabase
from tests.support.pair import Pair
from tests.support.postgres_pair import PostgresPair
from tests.support.servers import OwnServer, Server, private_mysql

SMALL = "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)"


def test_s066_a_target_that_is_away_is_waited_for(onto_server: PostgresPair | PostgresIntoMysql) -> None:
    """At the start and in the middle: the slot stays, and nothing is lost."""
    pair = onto_server
    pair.database.execute(SMALL)
    server, direct = server_of(pair), pair.target
    with FaultProxy(server.host, server.port) as proxy:
        pair._target = proxy.url(direct)
        proxy.down()
        running = pair.sync()
        running.wait_for_text("trying again", 30)
        assert pair.slots() == []
        proxy.passing()
        running.wait_for_text("following the log from", 60)
        pair.database.execute("UPDATE t SET v = 1")
        pair.catch_up(running)
        proxy.down()
        pair.database.execute("BEGIN; UPDATE t SET v = 2; INSERT INTO t VALUES (2, 2); COMMIT")
        assert len(pair.slots()) == 1
        pair._target = direct
        assert "default: streaming" in pair.run("status")
        proxy.passing()
        pair.catch_up(running)
        pair.assert_equal()
        running.kill()


@pytest.mark.parametrize("what", ["source", "target"])
def test_s051_a_right_is_taken_and_given_back(pg_pair: PostgresPair, what: str) -> None:
    """Of the target's table: it stops, and goes on from the same position. Of the source's: the log needs none."""
    pair = pg_pair
    pair.database.execute(SMALL)
    running = pair.following()
    if what == "source":
        role = pair.url.partition("://")[2].partition(":")[0]
        pair.database.execute(f"ALTER TABLE t OWNER TO postgres; REVOKE ALL ON t FROM {role}")
        pair.database.execute("UPDATE t SET v = 1")
        pair.catch_up(running)
        pair.assert_equal()
        return
    role = pair.target.partition("://")[2].partition(":")[0]
    pair.copy.execute(f"ALTER TABLE t OWNER TO postgres; GRANT SELECT ON t TO {role}")
    pair.database.execute("UPDATE t SET v = 1")
    assert running.wait(30) in (3, 5), running.stderr()
    assert "permission denied" in running.stderr() and "remedy" in running.stderr()
    saved = pair.saved()
    pair.copy.execute(f"GRANT ALL ON t TO {role}")
    pair.database.execute("INSERT INTO t VALUES (2, 0)")
    pair.once()
    pair.assert_equal()
    assert pair.saved() != saved


def test_s051_a_right_at_a_mysql_target_is_taken_and_given_back(into: PostgresIntoMysql) -> None:
    pair = into
    pair.database.execute(SMALL)
    pair.once()
    pair._target = pair.into.user(("SELECT ON {database}.*",))
    pair.database.execute("UPDATE t SET v = 1")
    assert "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER ON" in pair.once(code=3)
    pair._target = pair.into.user(TARGET_GRANTS)
    pair.once()
    pair.assert_equal()


def test_s051_the_right_to_replicate_is_taken_and_given_back(pair18: Pair) -> None:
    pair = pair18
    pair.database.execute(SMALL)
    pair.once()
    role = pair.url.partition("://")[2].partition(":")[0]
    pair.database.execute(f"ALTER ROLE {role} NOREPLICATION; UPDATE t SET v = 1")
    output = pair.once("--give-up-after", "3", code=6)
    assert "refused the login" in output
    pair.database.execute(f"ALTER ROLE {role} REPLICATION")
    pair.once()
    pair.assert_equal()


STAFF = """
CREATE TABLE store (id int PRIMARY KEY, manager int NOT NULL);
CREATE TABLE staff (id int PRIMARY KEY, store int NOT NULL REFERENCES store DEFERRABLE INITIALLY DEFERRED,
                    boss int REFERENCES staff DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE store ADD CONSTRAINT managed FOREIGN KEY (manager) REFERENCES staff DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE rental (id int PRIMARY KEY, staff int NOT NULL REFERENCES staff);
BEGIN; INSERT INTO store VALUES (1, 10); INSERT INTO staff VALUES (10, 1, 10); COMMIT;
INSERT INTO rental VALUES (100, 10);
"""
CONSTRAINTS = (
    "ALTER TABLE staff ADD CONSTRAINT of_store FOREIGN KEY (store) REFERENCES store (id)",
    "ALTER TABLE staff ADD CONSTRAINT of_boss FOREIGN KEY (boss) REFERENCES staff (id)",
    "ALTER TABLE store ADD CONSTRAINT managed FOREIGN KEY (manager) REFERENCES staff (id)",
    "ALTER TABLE rental ADD CONSTRAINT by_staff FOREIGN KEY (staff) REFERENCES staff (id)",
)
CIRCLES = (
    "BEGIN; INSERT INTO staff VALUES (20, 2, 21); INSERT INTO staff VALUES (21, 2, 20); "
    "INSERT INTO store VALUES (2, 20); INSERT INTO rental VALUES (200, 21); COMMIT",
    "BEGIN; UPDATE store SET id = 3 WHERE id = 2; UPDATE staff SET store = 3 WHERE store = 2; COMMIT",
    "BEGIN; UPDATE staff SET boss = NULL WHERE id = 21; DELETE FROM rental WHERE staff = 21;"
    "UPDATE store SET manager = 20 WHERE id = 3; UPDATE staff SET boss = 10 WHERE id = 20;"
    "DELETE FROM staff WHERE id = 21; COMMIT",
    "BEGIN; DELETE FROM store WHERE id = 3; DELETE FROM staff WHERE id = 20; COMMIT",
)


def test_s078_children_before_parents_circles_and_selves(onto_server: PostgresPair | PostgresIntoMysql) -> None:
    """With the same foreign keys at the target, none of them deferred there: the source has checked them."""
    pair = onto_server
    pair.database.execute(STAFF)
    pair.once()
    execute = pair.into.execute if isinstance(pair, PostgresIntoMysql) else pair.copy.execute
    for constraint in CONSTRAINTS:
        execute(constraint)
    for circle in CIRCLES:
        pair.database.execute(circle)
        pair.once()
        pair.assert_equal()


def test_s078_in_a_file(pair18: Pair) -> None:
    pair18.database.execute(STAFF)
    pair18.once()
    for circle in CIRCLES:
        pair18.database.execute(circle)
    pair18.once()
    pair18.assert_equal()


@pytest.fixture
def narrow() -> Iterator[OwnServer]:
    """All tables in one file, which may have 64 MB. (MariaDB goes down when such a file is full.)"""
    settings = {"innodb-data-file-path": "ibdata1:12M:autoextend:max:64M", "innodb-file-per-table": "OFF"}
    with private_mysql("mysql", settings) as server:
        yield server


@pytest.mark.rotating
def test_s070_a_mysql_target_is_full_and_has_room_again(narrow: OwnServer, postgres18: Server) -> None:
    with (
        PostgresDatabase(postgres18) as database,
        MysqlDatabase(narrow.server) as copy,
        PostgresIntoMysql(database, copy) as pair,
    ):
        copy.execute("CREATE TABLE ballast (id int PRIMARY KEY AUTO_INCREMENT, v longtext)")
        database.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
        running = pair.following()
        with pytest.raises(pymysql.err.OperationalError, match="is full"):
            for _ in range(100):
                copy.execute("INSERT INTO ballast (v) VALUES (REPEAT('x', 1000000))")
        database.execute("INSERT INTO t SELECT n, repeat(md5(n::text), 1000) FROM generate_series(1, 700) n")
        running.wait_for_text("target out of space", 120)
        copy.execute("DROP TABLE ballast")
        pair.catch_up(running, 200)
        pair.assert_equal(["public.t"])

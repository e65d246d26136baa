"""The test library's databases: fresh, with roles of least rights, and gone with all that is theirs."""

import psycopg2
import pytest

from tests.support.databases import NASTY, PUBLISHER_GRANTS, TARGET_GRANTS, TRIGGERS_OFF, PostgresDatabase
from tests.support.servers import Server


def test_a_role_has_its_grants_and_no_more(database: PostgresDatabase) -> None:
    database.execute("CREATE TABLE before (id int PRIMARY KEY); CREATE SCHEMA hidden; CREATE TABLE hidden.t ()")
    session = database.connect(database.role()).cursor()
    database.execute("CREATE TABLE after (id int PRIMARY KEY)")
    session.execute("SELECT * FROM before, after")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        session.execute("SELECT * FROM hidden.t")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        session.execute("INSERT INTO before VALUES (1)")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        session.execute("CREATE PUBLICATION p")


def test_the_nasty_password_is_quoted_in_the_url(database: PostgresDatabase) -> None:
    url = database.role(replication=False)
    assert NASTY not in url
    assert database.connect(url).info.password.startswith(NASTY)


def test_everything_goes_with_the_database(postgres: Server) -> None:
    with PostgresDatabase(postgres) as database:
        source = database.role(grants=PUBLISHER_GRANTS)
        database.role(replication=False, grants=(*TARGET_GRANTS, TRIGGERS_OFF))
        database.execute("CREATE TABLE t (id int)")
        database.query("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", f"slot_{database.name}")
        database.execute("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'left over'")
        database.connect(source).cursor().execute("CREATE PUBLICATION p")
    with PostgresDatabase(postgres) as other:
        left = other.query(
            "SELECT datname FROM pg_database WHERE datname = %(name)s"
            " UNION ALL SELECT rolname FROM pg_roles WHERE starts_with(rolname, %(name)s)"
            " UNION ALL SELECT slot_name FROM pg_replication_slots WHERE database = %(name)s".replace(
                "%(name)s", f"'{database.name}'"
            )
        )
    assert left == []

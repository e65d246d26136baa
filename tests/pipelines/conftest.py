"""What the pipeline tests share: a source database and an SQLite file of the test's own."""

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.databases import PostgresDatabase
from tests.support.into_mysql import PostgresIntoMysql
from tests.support.mysql_database import MysqlDatabase
from tests.support.mysql_pair import MysqlPair, MysqlToMysql
from tests.support.pair import Pair
from tests.support.postgres_pair import PostgresPair
from tests.support.servers import Server


@pytest.fixture
def pair(database: PostgresDatabase, tmp_path: Path) -> Iterator[Pair]:
    """A fresh database on each PostgreSQL, and a file that is not there yet."""
    with Pair(database, tmp_path / "copy.db") as made:
        yield made


@pytest.fixture(params=["15 to 18", "18 to 15"])
def across(request: pytest.FixtureRequest, postgres15: Server, postgres18: Server) -> Iterator[PostgresPair]:
    """PostgreSQL to PostgreSQL, from the older to the newer and back."""
    source, target = (postgres15, postgres18) if request.param == "15 to 18" else (postgres18, postgres15)
    with PostgresDatabase(source) as database, PostgresDatabase(target) as copy, PostgresPair(database, copy) as made:
        yield made


@pytest.fixture
def pg_pair(postgres18: Server) -> Iterator[PostgresPair]:
    """PostgreSQL to PostgreSQL, two databases of one server."""
    one, two = PostgresDatabase(postgres18), PostgresDatabase(postgres18)
    with one as database, two as copy, PostgresPair(database, copy) as made:
        yield made


@pytest.fixture(
    params=[
        pytest.param("mysql", marks=pytest.mark.rotating(group=2)),
        pytest.param("mariadb", marks=pytest.mark.rotating(group=0)),
    ]
)
def into(request: pytest.FixtureRequest, postgres18: Server) -> Iterator[PostgresIntoMysql]:
    """PostgreSQL to MySQL and to MariaDB."""
    with (
        PostgresDatabase(postgres18) as database,
        MysqlDatabase(request.getfixturevalue(request.param)) as copy,
        PostgresIntoMysql(database, copy) as made,
    ):
        yield made


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers whose seed is printed; REPLICATOR_TEST_SEED repeats a run."""
    seed = int(os.environ.get("REPLICATOR_TEST_SEED") or random.randrange(10**6))
    print(f"REPLICATOR_TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def pair18(postgres18: Server, tmp_path: Path) -> Iterator[Pair]:
    """The newer PostgreSQL alone, for what hardly depends on the source's version."""
    with PostgresDatabase(postgres18) as database, Pair(database, tmp_path / "copy.db") as made:
        yield made


@pytest.fixture
def pair15(postgres15: Server, tmp_path: Path) -> Iterator[Pair]:
    """The older PostgreSQL alone: mostly for rotating tests."""
    with PostgresDatabase(postgres15) as database, Pair(database, tmp_path / "copy.db") as made:
        yield made


ROTATION = {
    "mysql-sqlite": 1,
    "mariadb-sqlite": 2,
    "mysql-postgres18": 0,
    "mariadb-postgres18": 1,
    "mysql-mysql": 0,
    "mariadb-mysql": 1,
    "mysql-mariadb": 1,
    "mariadb-mariadb": 2,
}
"""In which of three runs a pair has its long tests: each run has pairs of every target."""
EVERY_PAIR = [pytest.param(pair, marks=pytest.mark.rotating(group=group)) for pair, group in ROTATION.items()]


@pytest.fixture(params=EVERY_PAIR)
def mysql_pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MysqlPair]:
    """A fresh database on MySQL and on MariaDB, and a target of each kind, each pair in one run of three."""
    with ExitStack() as stack:
        yield _mysql_pair(request, stack, tmp_path)


def _mysql_pair(request: pytest.FixtureRequest, stack: ExitStack, tmp_path: Path) -> MysqlPair:
    source, target = request.param.split("-")
    database = stack.enter_context(MysqlDatabase(request.getfixturevalue(source)))
    if target in ("mysql", "mariadb"):
        into = stack.enter_context(MysqlDatabase(request.getfixturevalue(target)))
        return stack.enter_context(MysqlToMysql(database, into))
    copy = None
    if target != "sqlite":
        copy = stack.enter_context(PostgresDatabase(request.getfixturevalue(target)))
    return stack.enter_context(MysqlPair(database, tmp_path / "copy.db", copy))


@pytest.fixture(params=["mysql", "mariadb"])
def mysql_to_file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MysqlPair]:
    """A fresh database on MySQL and on MariaDB into an SQLite file, for what hardly depends on the target."""
    with (
        MysqlDatabase(request.getfixturevalue(request.param)) as database,
        MysqlPair(database, tmp_path / "copy.db") as made,
    ):
        yield made


@pytest.fixture(params=["postgres", "mysql", "mariadb"])
def onto_server(request: pytest.FixtureRequest, postgres18: Server) -> Iterator[PostgresPair | PostgresIntoMysql]:
    """PostgreSQL onto each target that is a server."""
    with PostgresDatabase(postgres18) as database:
        if request.param == "postgres":
            with PostgresDatabase(postgres18) as copy, PostgresPair(database, copy) as pair:
                yield pair
        else:
            server = request.getfixturevalue(request.param)
            with MysqlDatabase(server) as into, PostgresIntoMysql(database, into) as made:
                yield made


def server_of(pair: PostgresPair | PostgresIntoMysql) -> Server:
    """The target's."""
    return pair.into.server if isinstance(pair, PostgresIntoMysql) else pair.copy.server

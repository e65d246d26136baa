"""Fixtures for servers and databases, and the tiers of tests.

Every test runs each time, except: of the tests marked ``rotating`` a third runs, chosen by a seed (all with
``--all``), and those marked ``soak`` run with ``--soak`` only. The others are deselected. A server that this
machine lacks skips its tests, and the last line of the run names it; where REPLICATOR_TEST_REQUIRE names it,
they fail.
"""

import hashlib
import os
import random
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import PostgresDatabase
from tests.support.servers import Server, ServerMissing, Servers, dsn, required

ROTATION = "REPLICATOR_TEST_ROTATION"
SERVER_FIXTURES = {"servers", "postgres15", "postgres18", "postgres", "mariadb", "mysql", "database"}
UNIT = Path(__file__).parent / "unit"
MISSING = pytest.StashKey[set[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the tiers."""
    group = parser.getgroup("replicator")
    group.addoption("--rotation", type=int, help=f"seed of the rotating tests (or {ROTATION}); random by default")
    group.addoption("--all", action="store_true", help="run all rotating tests")
    group.addoption("--soak", action="store_true", help="run the soak tests too")
    group.addoption("--soak-for", type=float, default=60.0, metavar="SECONDS", help="how long test_soak.py goes on")


def pytest_configure(config: pytest.Config) -> None:
    """Fix the seed, in the environment, so that the workers of a parallel run choose the same tests."""
    config.stash[MISSING] = set()
    given = config.getoption("rotation")
    if given is not None:
        os.environ[ROTATION] = str(given)
    os.environ.setdefault(ROTATION, str(random.randrange(1000)))


def pytest_report_header(config: pytest.Config) -> str:
    """Print the seed: with it the run can be repeated."""
    chosen = "all rotating tests" if config.getoption("all") else f"--rotation {os.environ[ROTATION]}"
    return f"replicator: {chosen}{', soak tests too' if config.getoption('soak') else ''}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what this run leaves out. Three seeds in a row run every rotating test."""
    keep, leave = [], []
    everything = config.getoption("all") or any("::" in argument for argument in config.args)
    third = int(os.environ[ROTATION]) % 3
    for item in items:
        if item.path.is_relative_to(UNIT) and SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            raise pytest.UsageError(f"{item.nodeid}: a unit test must not start a server")
        rotating = list(item.iter_markers("rotating"))
        turned_off = rotating and not everything and _group(item, rotating) != third
        if turned_off or (item.get_closest_marker("soak") and not config.getoption("soak")):
            leave.append(item)
        else:
            keep.append(item)
    if leave:
        config.hook.pytest_deselected(items=leave)
        items[:] = keep


def _group(item: pytest.Item, rotating: list[pytest.Mark]) -> int:
    """Which of three runs has the test: the one that its marks name, or where one names none, any."""
    named: list[int] = [mark.kwargs["group"] for mark in rotating if "group" in mark.kwargs]
    if len(named) < len(rotating):
        return int(hashlib.sha256(item.nodeid.encode()).hexdigest(), 16) % 3
    return named[0]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Print the servers that were missing as the last line of all, after pytest's own."""
    missing = session.config.stash[MISSING]
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:  # a worker of a parallel run, which reports to its controller inside the yield
        output["missing"] = sorted(missing)
        yield
        return
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if missing and reporter is not None:
        reporter.write_line(f"NOT TESTED: {' '.join(sorted(missing))}")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Collect what the workers of a parallel run (pytest-xdist) missed."""
    node.config.stash[MISSING].update(getattr(node, "workeroutput", {}).get("missing", ()))


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The servers of this run, started when a test first needs them."""
    running = Servers()
    yield running
    running.close()


def _provide(name: str, servers: Servers, config: pytest.Config) -> Server:
    try:
        return servers.get(name)
    except ServerMissing as reason:
        config.stash[MISSING].add(name)
        if required(name):
            pytest.fail(f"{name} is required (REPLICATOR_TEST_REQUIRE) and missing: {reason}", pytrace=False)
        pytest.skip(f"{name} is missing: {reason}")


@pytest.fixture(scope="session")
def postgres15(servers: Servers, pytestconfig: pytest.Config) -> Server:
    """The older PostgreSQL: Debian's 15, or what the distribution has."""
    return _provide("postgres15", servers, pytestconfig)


@pytest.fixture(scope="session")
def postgres18(servers: Servers, pytestconfig: pytest.Config) -> Server:
    """PostgreSQL 18, the embedded one."""
    return _provide("postgres18", servers, pytestconfig)


@pytest.fixture(scope="session")
def mariadb(servers: Servers, pytestconfig: pytest.Config) -> Server:
    """MariaDB with row logging on."""
    return _provide("mariadb", servers, pytestconfig)


@pytest.fixture(scope="session")
def mysql(servers: Servers, pytestconfig: pytest.Config) -> Server:
    """MySQL with row logging and GTIDs on."""
    return _provide("mysql", servers, pytestconfig)


OLDER = [] if dsn("postgres18") else [pytest.param("postgres15", marks=pytest.mark.rotating)]


@pytest.fixture(scope="session", params=[*OLDER, "postgres18"])
def postgres(request: pytest.FixtureRequest, servers: Servers, pytestconfig: pytest.Config) -> Server:
    """Each PostgreSQL in turn, the older one with a third of the tests each run; only the given one where
    REPLICATOR_TEST_POSTGRES names it."""
    return _provide(request.param, servers, pytestconfig)


@pytest.fixture
def database(postgres: Server) -> Iterator[PostgresDatabase]:
    """A fresh database on each PostgreSQL."""
    with PostgresDatabase(postgres) as fresh:
        yield fresh

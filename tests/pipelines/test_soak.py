"""Random writers, faults and pairs, for as long as one likes: nothing lost, nothing doubled, nothing torn.

`pytest tests/pipelines/test_soak.py --all --soak-for 3600`. The seed is printed; the servers decide what it meets when.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.pipelines import test_crash, test_mysql_crash
from tests.support.databases import PostgresDatabase
from tests.support.faults import FAILPOINTS, FaultProxy, Running, freeze, thaw
from tests.support.into_mysql import PostgresIntoMysql
from tests.support.mysql_database import MysqlDatabase
from tests.support.mysql_load import TABLES as MYSQL_TABLES
from tests.support.mysql_load import MysqlLoad
from tests.support.mysql_pair import MysqlPair, MysqlToMysql
from tests.support.pair import Pair
from tests.support.postgres_pair import PostgresPair
from tests.support.samplers import BankSampler, MysqlBankSampler, PostgresBankSampler
from tests.support.servers import Server
from tests.support.workload import TABLES, Workload

SERVERS = ("postgres15", "postgres18", "mysql", "mariadb")
PAIRS = [(source, target) for source in SERVERS for target in (*SERVERS, "sqlite") if source != target]
WITHOUT_ITEMS = ("--exclude", "public.items")
"""They have values that MySQL and MariaDB cannot hold."""


class Soak:
    """One pair under load, with a network between the product and its servers that can be broken."""

    def __init__(self, pair: Pair, source: Server, target: Server | None, rng: random.Random, stack: ExitStack) -> None:
        self.pair = pair
        self.rng = rng
        self.args: tuple[str, ...] = ()
        self._proxies = [stack.enter_context(FaultProxy(source.host, source.port))]
        self._direct = pair.target
        self._source = self._proxies[0].url(pair.url)
        self._target = self._direct
        if target is not None:
            self._proxies.append(stack.enter_context(FaultProxy(target.host, target.port)))
            self._target = self._proxies[1].url(self._direct)
        self._running: Running | None = None
        self.faults: dict[str, int] = {}

    def go(self, seconds: float) -> None:
        faults: list[Callable[[], None]] = [
            self.killed,
            self.killed_at_a_place,
            self.stopped,
            self.frozen,
            self.reset,
            self.away,
            self.silent,
        ]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(self.rng.uniform(0.2, 2.0))
            fault = self.rng.choice(faults)
            self.faults[fault.__name__] = self.faults.get(fault.__name__, 0) + 1
            running = self._live()
            fault()
            code = None if running.running() else running.wait(1)
            assert code in (None, 0, -9), f"{fault.__name__}: {running.stderr()[-4000:]}"

    def _live(self, failpoint: str | None = None) -> Running:
        if self._running is None or not self._running.running():
            if self._running is not None:
                code = self._running.wait(1)
                assert code in (0, -9), self._running.stderr()[-4000:]
            self._through()
            self._running = self.pair.sync(*self.args, source=self._source, failpoint=failpoint)
        return self._running

    def _through(self) -> None:
        if hasattr(self.pair, "_target"):
            self.pair._target = self._target

    def killed(self) -> None:
        self._live().kill()

    def killed_at_a_place(self) -> None:
        self.killed()
        place = f"{self.rng.choice(FAILPOINTS)}:{self.rng.choice((1, 2, 3, 5, 8, 40))}"
        self._live(f"{place}=kill")

    def stopped(self) -> None:
        running = self._live()
        running.signal(signal.SIGTERM)
        running.wait(60)

    def frozen(self) -> None:
        running = self._live()
        freeze(running.pid)
        time.sleep(self.rng.uniform(0.1, 4.0))
        thaw(running.pid)

    def reset(self) -> None:
        self.rng.choice(self._proxies).reset()

    def away(self) -> None:
        proxy = self.rng.choice(self._proxies)
        proxy.down()
        time.sleep(self.rng.uniform(0.1, 2.0))
        proxy.passing()

    def silent(self) -> None:
        proxy = self.rng.choice(self._proxies)
        proxy.blackhole()
        time.sleep(self.rng.uniform(0.1, 2.0))
        proxy.passing()

    def settle(self) -> None:
        """Everything that was committed arrives, by a last run without faults."""
        if self._running is not None:
            self._running.kill()
        if hasattr(self.pair, "_target"):
            self.pair._target = self._direct
        self.pair.once(*self.args, timeout=280)


def made(source: str, target: str, request: pytest.FixtureRequest, stack: ExitStack, path: Path) -> Pair:
    """A PostgreSQL is read by its superuser: handing tables over to another role would lock them under the load."""

    def database(name: str) -> PostgresDatabase | MysqlDatabase:
        server = request.getfixturevalue(name)
        if name.startswith("postgres"):
            return stack.enter_context(PostgresDatabase(server))
        return stack.enter_context(MysqlDatabase(server))

    one = database(source)
    other = None if target == "sqlite" else database(target)
    if isinstance(one, PostgresDatabase):
        if isinstance(other, PostgresDatabase):
            return stack.enter_context(PostgresPair(one, other, one.url))
        return stack.enter_context(
            Pair(one, path, one.url) if other is None else PostgresIntoMysql(one, other, one.url)
        )
    if isinstance(other, MysqlDatabase):
        return stack.enter_context(MysqlToMysql(one, other))
    return stack.enter_context(MysqlPair(one, path, other))


@pytest.fixture
def soak(request: pytest.FixtureRequest, rng: random.Random, tmp_path: Path) -> Iterator[Soak]:
    source, target = rng.choice(PAIRS)
    print(f"{source} to {target}")
    with ExitStack() as stack:
        pair = made(source, target, request, stack, tmp_path / "copy.db")
        into = None if target == "sqlite" else request.getfixturevalue(target)
        yield Soak(pair, request.getfixturevalue(source), into, rng, stack)


def under_load(soak: Soak, seconds: float) -> None:
    pair, seed = soak.pair, soak.rng.randrange(10**6)
    if isinstance(pair, MysqlPair):
        load = MysqlLoad(pair.source, seed, workers=3).run(10)
        with load:
            soak.go(seconds)
        soak.settle()
        pair.assert_equal(MYSQL_TABLES)
        assert [op for (op,) in pair.rows("SELECT op FROM tally ORDER BY op")] == sorted(load.committed)
        return
    writers = Workload(pair.database.url, workers=3, seed=seed, pause=0.005).create()
    narrow = isinstance(pair, PostgresIntoMysql)
    soak.args = WITHOUT_ITEMS if narrow else ()
    with bank_of(pair, writers) as bank, writers:
        soak.go(seconds)
    soak.settle()
    bank.assert_clean()
    writers.check_source()
    pair.assert_equal(TABLES[:2] if narrow else TABLES)
    assert [op for (op,) in pair.rows("SELECT op_id FROM tally ORDER BY op_id")] == writers.tally_ids()


def bank_of(pair: Pair, load: Workload) -> BankSampler:
    """Watches the sum of all accounts at the target, which no torn transaction leaves as it is."""
    if isinstance(pair, PostgresIntoMysql):
        return MysqlBankSampler(pair.into.connect, load.accounts, load.total)
    if isinstance(pair, PostgresPair):
        return PostgresBankSampler(pair.copy.url, load.accounts, load.total)
    return BankSampler(pair.path, load.accounts, load.total)


@pytest.mark.rotating
@pytest.mark.timeout(0)
def test_s004_random_faults_under_load(soak: Soak, request: pytest.FixtureRequest) -> None:
    under_load(soak, request.config.getoption("soak_for"))
    print(soak.faults)


KILLED = [("postgres18", "postgres15"), ("mysql", "postgres18"), ("mariadb", "postgres18"), ("postgres18", "sqlite")]


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("source", "target"), KILLED)
def test_s004_two_hundred_kills(
    request: pytest.FixtureRequest, rng: random.Random, tmp_path: Path, source: str, target: str
) -> None:
    with ExitStack() as stack:
        pair = made(source, target, request, stack, tmp_path / "copy.db")
        if isinstance(pair, MysqlPair):
            test_mysql_crash.several_kills(pair, rng, 200)
            return
        load = test_crash.loaded(pair, rng)
        with bank_of(pair, load) as bank:
            test_crash.several_kills(pair, load, rng, 200)
        bank.assert_clean()

"""A snapshot and its position are of one moment, whatever is committed meanwhile (design section 4, rule 5)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from replicator.engine import Source, find
from replicator.engines.mysql import consistent
from replicator.engines.mysql.connect import query
from replicator.engines.mysql.gtid import GtidSet
from replicator.engines.mysql.position import BinlogPosition
from replicator.engines.mysql.snapshot import MysqlSnapshot
from replicator.errors import Retryable
from replicator.model.selection import Selection
from tests.contracts.streams import IDENTITY, following
from tests.support.mysql_database import SOURCE_GRANTS, WITHOUT_LOCK, MysqlDatabase
from tests.support.servers import Server

WRITERS = 8
LOCKED_EACH = (*WITHOUT_LOCK, "LOCK TABLES ON {database}.*")
WAYS = {
    "mysql, all tables locked": ("mysql", SOURCE_GRANTS),
    "mysql, each table locked": ("mysql", LOCKED_EACH),
    "mariadb, no lock": ("mariadb", WITHOUT_LOCK),
}


def transactions(position: BinlogPosition) -> int:
    """How many the server has had: every one of the test's has a GTID, and nobody else commits."""
    executed = position.executed
    assert not isinstance(executed, int)
    if isinstance(executed, GtidSet):
        return sum(last - first + 1 for of in executed.intervals.values() for first, last in of)
    return sum(gtid.number for gtid in executed.last.values())


def count(view: MysqlSnapshot) -> int:
    """In the view's own session: to read all rows of hundreds of views would be a test of patience."""
    ((rows,),) = query(view._connection, "SELECT COUNT(*) FROM tally")
    return int(rows)


@contextmanager
def committing(database: MysqlDatabase) -> Iterator[None]:
    """Writers that insert one row of the keyless tally in each transaction, some hundred a second."""
    stopping, failed = threading.Event(), []

    def write(number: int) -> None:
        try:
            with closing(database.connect()) as connection, connection.cursor() as cursor:
                for op in range(1 << 30):
                    if stopping.is_set():
                        return
                    cursor.execute("BEGIN")
                    cursor.execute(f"INSERT INTO tally VALUES ({op * WRITERS + number})")
                    cursor.execute("ROLLBACK" if op % 10 == 9 else "COMMIT")
                    time.sleep(0.002)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert failed == []


@pytest.mark.parametrize("way", WAYS)
def test_the_tally_is_exact_under_writers(request: pytest.FixtureRequest, way: str) -> None:
    exact(request, way, 10)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", WAYS)
def test_five_hundred_snapshots(request: pytest.FixtureRequest, way: str) -> None:
    exact(request, way, 500)


def test_who_is_in_the_way_of_the_lock_is_said(mysql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as the user may know; the documented rights do not let him, and the lock is tried again all the same."""
    monkeypatch.setattr(consistent, "LOCK_WAIT_S", 1)
    with MysqlDatabase(mysql) as database, closing(database.connect()) as other, other.cursor() as cursor:
        database.execute("CREATE TABLE tally (op bigint)")
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO tally VALUES (1)")
        for grants in (LOCKED_EACH, (*LOCKED_EACH, "PROCESS ON *.*")):
            said: list[str] = []
            url = database.user(grants)
            engine = find(url)
            with closing(engine.source(engine.endpoint(url, None), said.append)) as source:
                source.follow(IDENTITY, following(*source.catalog.tables(Selection(), {}).tables))
                cursor.execute("SELECT 1")
                with pytest.raises(Retryable, match="no lock within 1 s"):
                    source.snapshot()
                known = f"connection {other.thread_id()}, for "
                assert (known in said[0]) is ("PROCESS ON *.*" in grants)
                assert known in said[0] or "GRANT PROCESS" in said[0]


def exact(request: pytest.FixtureRequest, way: str, snapshots: int) -> None:
    server, grants = WAYS[way]
    with ExitStack() as stack:
        database = stack.enter_context(MysqlDatabase(request.getfixturevalue(server)))
        database.execute("CREATE TABLE tally (op bigint)")
        url = database.user(grants)
        engine = find(url)
        source: Source = stack.enter_context(closing(engine.source(engine.endpoint(url, None), print)))
        (tally,) = source.catalog.tables(Selection(), {}).tables
        source.follow(IDENTITY, following(tally))
        before = source.snapshot()
        before.close()
        assert isinstance(before.position, BinlogPosition)
        opening, counts = transactions(before.position), set()
        with committing(database):
            for _ in range(snapshots):
                view = source.snapshot()
                try:
                    assert isinstance(view, MysqlSnapshot) and view.position is not None
                    rows = count(view)
                    assert rows == transactions(view.position) - opening, way
                    counts.add(rows)
                finally:
                    view.close()
        assert len(counts) > snapshots // 2, "the writers were not at work"

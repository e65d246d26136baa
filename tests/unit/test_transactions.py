"""The groups of the log: what begins and ends them, and what of them is applied."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from replicator.engines.mysql import binlog
from replicator.engines.mysql.binlog import Event
from replicator.engines.mysql.flavor import MARIADB, MYSQL, Flavor
from replicator.engines.mysql.gtid import DomainSet, GtidSet
from replicator.engines.mysql.position import BinlogPosition, LogFile
from replicator.engines.mysql.relations import Relations
from replicator.engines.mysql.transactions import Transactions
from replicator.errors import NotUnderstood, PositionLost, SchemaChanged
from replicator.model.builder import Builder, Limits
from replicator.model.change import Batch, Prepared, Resolved, Rows, StreamMark, Truncate
from replicator.model.datatypes import Integer
from replicator.model.schema import Column, Name, Table
from replicator.model.stream import Followed

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
FILE = LogFile("binlog.000003", 1700000000)
TABLE = Table(
    Name("d", "t"),
    (Column("id", Integer(32), False, "int|", "int"), Column("v", Integer(32), True, "int|", "int")),
    ("id",),
    "",
)
XID = "X'61',X'',1"


class Log:
    """Feeds events, and gives what came of them."""

    def __init__(
        self,
        flavor: Flavor,
        executed: GtidSet | DomainSet | int,
        floor: str | None = None,
        rows: int = 1000,
        *,
        folds_names: bool = False,
    ) -> None:
        start = BinlogPosition(executed, FILE)
        followed = Followed(TABLE, Name("main", "t"), "live", floor=floor)
        self.builder = Builder(Limits(rows=rows))
        relations = Relations([followed], flavor, (9, 9), folds_names=folds_names)
        self.transactions = Transactions(flavor, start, relations, self.builder)
        self.flavor = flavor
        self.end = 1000

    def send(self, kind: int, body: bytes, *, timestamp: int = 1700000100, flags: int = 0) -> None:
        self.end += len(body) + 19
        self.transactions(Event(kind, timestamp, 1, self.end, flags, body, len(body) + 20))
        while (inner := self.transactions.pending()) is not None:
            self.transactions(inner)

    def gtid(self, number: int) -> None:
        self.send(binlog.GTID, b"\1" + bytes.fromhex(UUID.replace("-", "")) + struct.pack("<Q", number))

    def domain_gtid(self, number: int, flags: int = 0, extra: bytes = b"\0" * 6) -> None:
        self.send(binlog.MARIADB_GTID, struct.pack("<QIB", number, 0, flags) + extra)

    def query(self, statement: str) -> None:
        self.send(binlog.QUERY, query_body(statement))

    def insert(self, *ids: int) -> None:
        self.send(binlog.TABLE_MAP, TABLE_MAP)
        self.send(30, rows_body(ids))

    def commit(self) -> None:
        self.send(binlog.XID, b"\0" * 8)

    def taken(self) -> list[Batch]:
        return list(iter(self.builder.take, None))

    def changes(self) -> list[object]:
        return [shown(change) for batch in self.taken() for change in batch.changes]


def shown(change: object) -> object:
    match change:
        case Rows():
            return change.op, [row[0] for row in change.rows or change.keys]
        case Prepared():
            return "prepared", change.xid, [shown(each) for each in change.changes]
        case Resolved():
            return "resolved", change.xid, change.commit, [table.name.name for table in change.tables]
        case Truncate():
            return "truncate"
    raise AssertionError(change)


def query_body(statement: str, database: str = "d") -> bytes:
    head = struct.pack("<IIBHH", 1, 0, len(database), 0, 0)
    return head + database.encode() + b"\0" + statement.encode()


def _table_map() -> bytes:
    names = b"".join(bytes((len(name),)) + name for name in (b"id", b"v"))
    optional = b"\x01\x01\x00" + b"\x04" + bytes((len(names),)) + names
    return b"\x07\0\0\0\0\0\x01\0" + b"\x01d\0" + b"\x01t\0" + b"\x02\x03\x03" + b"\x00" + b"\x02" + optional


TABLE_MAP = _table_map()


def rows_body(ids: tuple[int, ...]) -> bytes:
    rows = b"".join(b"\0" + struct.pack("<ii", number, number * 10) for number in ids)
    return b"\x07\0\0\0\0\0\x01\0\x02\0" + b"\x02\xff" + rows


@pytest.fixture
def my() -> Log:
    return Log(MYSQL, GtidSet({UUID: ((1, 4),)}))


@pytest.fixture
def maria() -> Log:
    return Log(MARIADB, DomainSet.parse("0-1-4"))


def test_a_group_that_ends_with_xid(my: Log) -> None:
    my.gtid(5)
    my.query("BEGIN")
    my.insert(1, 2)
    assert my.taken() == []
    my.commit()
    (batch,) = my.taken()
    assert [shown(change) for change in batch.changes] == [("insert", [1, 2])]
    assert isinstance(batch.mark, StreamMark)
    assert str(batch.mark.position) == f"{UUID}:1-5@{FILE}"


def test_a_group_that_ends_with_a_commit_statement(my: Log, maria: Log) -> None:
    my.gtid(5)
    my.query("BEGIN")
    maria.domain_gtid(5)
    for log in (my, maria):
        log.insert(1)
        assert log.taken() == []
        log.query("COMMIT")
        assert log.changes() == [("insert", [1])]


def test_a_schema_change_of_another_table_is_a_group_of_its_own(my: Log, maria: Log) -> None:
    my.gtid(5)
    maria.domain_gtid(5, flags=41)
    for log in (my, maria):
        log.query("CREATE TABLE x (a int)")
        (batch,) = log.taken()
        assert batch.changes == () and batch.mark is not None


def test_rows_behind_create_table_belong_to_its_group(my: Log, maria: Log) -> None:
    my.gtid(5)
    my.query("BEGIN")
    maria.domain_gtid(5, flags=40)
    for log in (my, maria):
        log.query("CREATE TABLE x (a int)")
        log.insert(1)
        assert log.taken() == []
        log.commit()
        assert log.changes() == [("insert", [1])]


def test_truncate_is_applied(my: Log, maria: Log) -> None:
    my.gtid(5)
    maria.domain_gtid(5, flags=41)
    for log in (my, maria):
        log.query("truncate table t")
        assert log.changes() == ["truncate"]


def test_a_change_of_the_schema_stops_with_table_and_place(my: Log) -> None:
    my.gtid(5)
    with pytest.raises(SchemaChanged, match=rf"d\.t: ALTER TABLE .*{UUID}:5.*binlog\.000003"):
        my.query("ALTER TABLE t ADD x int")
    assert my.taken() == []


def test_one_that_the_copy_has_already_goes_by() -> None:
    log = Log(MYSQL, GtidSet({UUID: ((1, 4),)}), floor=f"{UUID}:1-5@{FILE}")
    log.gtid(5)
    log.query("ALTER TABLE t ADD x int")
    log.gtid(6)
    log.query("BEGIN")
    log.insert(1)
    log.commit()
    assert log.changes() == [("insert", [1])]


def test_rows_that_the_copy_has_are_not_applied_again() -> None:
    log = Log(MYSQL, GtidSet({UUID: ((1, 4),)}), floor=f"{UUID}:1-5@{FILE}")
    for number in (5, 6):
        log.gtid(number)
        log.query("BEGIN")
        log.insert(number)
        log.commit()
    (batch,) = log.taken()
    assert [shown(change) for change in batch.changes] == [("insert", [6])]
    assert str(batch.mark.position).startswith(f"{UUID}:1-6@")  # type: ignore[union-attr]


def test_a_group_that_is_rolled_back_leaves_nothing_but_its_position(maria: Log) -> None:
    maria.domain_gtid(5)
    maria.insert(1)
    maria.query("ROLLBACK")
    (batch,) = maria.taken()
    assert batch.changes == ()
    assert isinstance(batch.mark, StreamMark) and str(batch.mark.position).startswith("0-1-5@")


def test_savepoints(maria: Log) -> None:
    maria.domain_gtid(5)
    maria.insert(1)
    maria.query("SAVEPOINT `s`")
    maria.insert(2)
    maria.query("ROLLBACK TO `s`")
    maria.insert(3)
    maria.commit()
    assert maria.changes() == [("insert", [1]), ("insert", [3])]


def test_what_was_applied_in_part_cannot_be_rolled_back() -> None:
    log = Log(MARIADB, DomainSet.parse("0-1-4"), rows=2)
    log.domain_gtid(5)
    log.insert(1, 2)
    (part,) = log.taken()
    assert not part.complete
    with pytest.raises(NotUnderstood, match="rolled back"):
        log.query("ROLLBACK")


def xa_prepare(one_phase: bool) -> bytes:
    return struct.pack("<BIII", one_phase, 1, 1, 0) + b"a"


def test_both_phases_of_xa(my: Log, maria: Log) -> None:
    my.gtid(5)
    my.query("XA START X'61',X'',1")
    maria.domain_gtid(5, flags=76, extra=struct.pack("<IBB", 1, 1, 0) + b"a")
    for log in (my, maria):
        log.insert(1)
        log.query("XA END X'61',X'',1")
        log.send(binlog.XA_PREPARE, xa_prepare(False))
        assert log.changes() == [("prepared", XID, [("insert", [1])])]
    my.gtid(6)
    maria.domain_gtid(6, flags=141, extra=struct.pack("<IBB", 1, 1, 0) + b"a")
    for log in (my, maria):
        log.query("XA COMMIT X'61',X'',1")
        assert log.changes() == [("resolved", XID, True, ["t"])]


def test_one_phase_is_both(my: Log) -> None:
    my.gtid(5)
    my.query("XA START X'61',X'',1")
    my.insert(1)
    my.query("XA END X'61',X'',1")
    my.send(binlog.XA_PREPARE, xa_prepare(True))
    assert my.changes() == [("prepared", XID, [("insert", [1])]), ("resolved", XID, True, ["t"])]


def test_a_large_prepared_transaction_comes_in_parts() -> None:
    log = Log(MYSQL, GtidSet({UUID: ((1, 4),)}), rows=2)
    log.gtid(5)
    log.query("XA START X'61',X'',1")
    log.insert(1, 2)
    assert log.changes() == [("prepared", XID, [("insert", [1, 2])])]
    log.insert(3)
    log.query("XA END X'61',X'',1")
    log.send(binlog.XA_PREPARE, xa_prepare(False))
    assert log.changes() == [("prepared", XID, [("insert", [3])])]


def test_anonymous_groups_go_by_file_and_offset() -> None:
    log = Log(MYSQL, 1000)
    for _ in range(2):
        log.send(binlog.ANONYMOUS_GTID, b"\0" * 42)
        log.query("BEGIN")
        log.insert(1)
        log.commit()
    (batch,) = log.taken()
    assert [str(commit.position) for commit in batch.commits][-1] == f"{log.end}@{FILE}"
    assert len({str(commit.position) for commit in batch.commits}) == 2


def test_offsets_that_begin_anew_stop_a_stream_without_gtids() -> None:
    log = Log(MYSQL, 1000)
    log.send(binlog.ANONYMOUS_GTID, b"\0" * 42)
    log.end = 10
    with pytest.raises(PositionLost, match="4 GiB"):
        log.query("BEGIN")


def stops() -> Iterator[tuple[str, int, bytes, type[Exception]]]:
    yield "an unknown event", 99, b"", NotUnderstood
    yield "an event of the other flavor", binlog.MARIADB_GTID_LIST, b"", NotUnderstood
    yield "an incident", binlog.INCIDENT, b"\1\0", PositionLost
    yield "a partial update without its map", binlog.PARTIAL_ROWS, rows_body((1,)), NotUnderstood
    yield "an encrypted log", binlog.MARIADB_START_ENCRYPTION, b"", NotUnderstood
    yield "rows without a transaction", 30, rows_body((1,)), NotUnderstood
    yield "a statement in place of rows", binlog.QUERY, query_body("INSERT INTO t VALUES (1)"), NotUnderstood
    yield "an anonymous transaction", binlog.ANONYMOUS_GTID, b"\0" * 42, PositionLost
    yield "a damaged GTID", binlog.GTID, b"\0", NotUnderstood
    yield "a damaged statement", binlog.QUERY, b"\0", NotUnderstood


@pytest.mark.parametrize(("kind", "body", "error"), [row[1:] for row in stops()], ids=[row[0] for row in stops()])
def test_what_is_not_understood_stops(my: Log, kind: int, body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        my.send(kind, body)
    assert my.taken() == []


def test_a_partial_update_stops_for_a_table_that_is_followed_only(my: Log) -> None:
    my.gtid(5)
    my.query("BEGIN")
    my.send(binlog.TABLE_MAP, TABLE_MAP.replace(b"\x01t\0", b"\x01u\0"))
    my.send(binlog.PARTIAL_ROWS, rows_body((1,)))
    my.send(binlog.TABLE_MAP, TABLE_MAP)
    with pytest.raises(NotUnderstood, match=r"d\.t: .* part of a JSON"):
        my.send(binlog.PARTIAL_ROWS, rows_body((1,)))


def test_what_the_copies_have_already_stops_nothing() -> None:
    """Else the remedy, to copy the tables anew, would lead to the same stop."""
    log = Log(MYSQL, GtidSet({UUID: ((1, 4),)}), floor=f"{UUID}:1-6@binlog.000003:1700000000")
    log.gtid(5)
    log.query("BEGIN")
    log.query("DELETE FROM t")
    log.send(binlog.TABLE_MAP, TABLE_MAP)
    log.send(binlog.PARTIAL_ROWS, rows_body((1,)))
    log.commit()
    assert log.changes() == []


def test_names_are_folded_where_the_server_folds_them() -> None:
    for folds in (True, False):
        log = Log(MARIADB, DomainSet.parse("0-1-4"), folds_names=folds)
        log.domain_gtid(5, binlog.STANDALONE)
        log.query("TRUNCATE TABLE `D`.T")
        assert log.changes() == (["truncate"] if folds else [])


def test_rows_without_their_map_stop(my: Log) -> None:
    my.gtid(5)
    my.query("BEGIN")
    with pytest.raises(NotUnderstood, match="no table map"):
        my.send(30, rows_body((1,)))


def test_a_map_does_not_outlive_its_transaction(my: Log) -> None:
    my.gtid(5)
    my.query("BEGIN")
    my.insert(1)
    my.commit()
    my.gtid(6)
    my.query("BEGIN")
    with pytest.raises(NotUnderstood, match="no table map"):
        my.send(30, rows_body((2,)))


def test_a_gtid_that_comes_again_stops(my: Log, maria: Log) -> None:
    with pytest.raises(PositionLost, match="came again"):
        my.gtid(4)
    with pytest.raises(PositionLost, match="do not rise"):
        maria.domain_gtid(4)


def test_a_group_inside_a_group_stops(my: Log) -> None:
    my.gtid(5)
    with pytest.raises(NotUnderstood, match="inside another"):
        my.gtid(6)


def test_a_server_that_died_leaves_a_group_without_an_end(my: Log) -> None:
    """It was never committed: the next file begins, and the group comes whole or not at all."""
    my.gtid(5)
    my.query("BEGIN")
    my.insert(1)
    my.send(binlog.ROTATE, struct.pack("<Q", 4) + b"binlog.000004", timestamp=0, flags=0x20)
    my.send(binlog.FORMAT_DESCRIPTION, b"\0" * 60, timestamp=1700000200)
    assert my.changes() == []
    my.gtid(5)
    my.query("BEGIN")
    my.insert(2)
    my.commit()
    (batch,) = my.taken()
    assert [shown(change) for change in batch.changes] == [("insert", [2])]
    assert isinstance(batch.mark, StreamMark)
    assert str(batch.mark.position).endswith("@binlog.000004:1700000200")

"""The forms of rows and of table maps in real logs."""

from __future__ import annotations

from typing import Any

import pytest
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

from replicator.engines.mysql.decoders import row_decoder
from replicator.engines.mysql.forms import fits
from replicator.engines.mysql.rowimage import PARTIAL_UPDATE
from replicator.engines.mysql.rowimage import heading as rows_heading
from replicator.engines.mysql.tablemap import FULL, Code, heading, table_map
from replicator.errors import NotUnderstood
from replicator.model.datatypes import (
    DataType,
    Decimal,
    Duration,
    Enum,
    Integer,
    Json,
    Text,
    Timestamp,
)
from replicator.model.values import MISSING, Value
from tests.contracts.mysql_log.logged import Logged
from tests.support import binlog


@pytest.mark.parametrize("image", ["MINIMAL", "NOBLOB"])
def test_what_an_image_lacks_is_missing(source: Logged, image: str) -> None:
    types: dict[str, DataType] = {"id": Integer(32), "a": Integer(32), "b": Text(), "c": Text(9)}
    source.execute("CREATE TABLE t (id int PRIMARY KEY, a int DEFAULT 5, b text, c varchar(9))")
    source.execute(f"SET SESSION binlog_row_image = {image}")
    try:
        events = source.log(
            "INSERT INTO t (id, b) VALUES (1, 'one')",
            "UPDATE t SET c = NULL, a = a + 1",
            "UPDATE t SET b = 'two'",
            "DELETE FROM t",
        )
    finally:
        source.execute("SET SESSION binlog_row_image = FULL")
    _, rows = source.decoded(events, types)
    short = image == "MINIMAL"
    gone = MISSING
    inserted, changed, blob, deleted = rows
    if short:
        assert inserted.after == [(1, gone, "one", gone)]
        assert changed == ([(1, gone, gone, gone)], [(gone, 6, gone, None)])
        assert blob == ([(1, gone, gone, gone)], [(gone, gone, "two", gone)])
        assert deleted.before == [(1, gone, gone, gone)]
    else:
        assert inserted.after == [(1, 5, "one", None)]
        assert changed == ([(1, 5, gone, None)], [(1, 6, gone, None)])
        assert blob == ([(1, 6, gone, None)], [(1, 6, "two", None)])
        assert deleted.before == [(1, 6, gone, None)]


def test_an_insert_of_defaults_alone(source: Logged) -> None:
    """MySQL writes a row of no bytes for it under MINIMAL, and fails itself for two (1534): none is passed over."""
    source.execute("CREATE TABLE t (a int DEFAULT 5, b varchar(5))", "SET SESSION binlog_row_image = MINIMAL")
    events = source.log("INSERT INTO t VALUES ()", "SET SESSION binlog_row_image = FULL")
    types: dict[str, DataType] = {"a": Integer(32), "b": Text(5)}
    if source.mariadb:
        _, [rows] = source.decoded(events, types)
        assert rows.after == [(5, None)]
    else:
        with pytest.raises(NotUnderstood, match="without a single value"):
            source.decoded(events, types)


def test_columns_that_are_left_out(source: Logged) -> None:
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a varchar(9), s int AS (id + 1) STORED, v int AS (id + 2) VIRTUAL,"
        " h int INVISIBLE DEFAULT 7, d decimal(20,5), e enum('x'), j json, g geometry, b bit(9), z varchar(9))"
    )
    events = source.log(
        "INSERT INTO t (id, a, d, e, j, g, b, z) VALUES (1, 'a', 1.5, 'x', '[1]', POINT(1, 2), 5, 'z'),"
        " (2, NULL, NULL, NULL, NULL, NULL, NULL, 'y')"
    )
    types: dict[str, DataType] = {"id": Integer(32), "h": Integer(32), "z": Text(9)}
    shape, [rows] = source.decoded(events, types)
    assert rows.after == [(1, 7, "z"), (2, 7, "y")]
    assert shape.key == ("id",)
    if not source.mariadb:
        assert [column.name for column in shape.columns if not column.visible] == ["h"]
        _, [rows] = source.decoded(events, {"s": Integer(32), "v": Integer(32), "a": Text(9)})
        assert rows.after == [("a", 2, 3), (None, 3, 4)]


def test_s060_hidden_columns_of_functional_indexes_are_in_no_row(on_mysql: Logged) -> None:
    on_mysql.execute(
        "CREATE TABLE t (a json, b varchar(20), INDEX x ((CAST(a->'$.x' AS UNSIGNED ARRAY))), INDEX y ((LOWER(b))))"
    )
    types: dict[str, DataType] = {"a": Json(binary=True), "b": Text()}
    _, [rows] = on_mysql.decoded(on_mysql.log("""INSERT INTO t VALUES ('{"x": [1, 2]}', 'Q')"""), types)
    assert rows.after == [('{"x": [1, 2]}', "Q")]


def test_s063_a_thousand_columns(source: Logged) -> None:
    kinds: list[tuple[str, DataType]] = [("int", Integer(32)), ("varchar(3) CHARACTER SET latin1", Text())]
    kinds.append(("decimal(9,3)", Decimal(9, 3)))
    types = {f"c{number}": kinds[number % 3][1] for number in range(1000)}
    source.execute("CREATE TABLE t (" + ", ".join(f"c{n} {kinds[n % 3][0]}" for n in range(1000)) + ")")
    some = [str(n) if n % 7 else "NULL" for n in range(1000)]
    events = source.log(f"INSERT INTO t VALUES ({', '.join(some)})", "INSERT INTO t (c999) VALUES (5)")
    shape, rows = source.decoded(events, types)
    columns = source.columns(types)
    assert all(fits(wire, column) for wire, column in zip(shape.columns, columns, strict=True))
    written = [row for event in rows for row in event.after or ()]
    assert sorted(written, key=repr) == sorted(source.selected(columns), key=repr)
    assert shape.key is None


@pytest.mark.parametrize("checksum", ["NONE", "CRC32"])
def test_with_and_without_checksums(source: Logged, checksum: str) -> None:
    source.execute("CREATE TABLE t (id int PRIMARY KEY, e enum('a', 'b'))")
    with source.setting("binlog_checksum", checksum):
        shape, [rows] = source.decoded(
            source.log("INSERT INTO t VALUES (1, 'b')"), {"id": Integer(32), "e": Enum("e", ())}
        )
    assert rows.after == [(1, "b")]
    assert shape.columns[1].labels == ("a", "b")


@pytest.mark.parametrize("metadata", ["MINIMAL", "NO_LOG"])
def test_metadata_that_are_not_full(source: Logged, metadata: str) -> None:
    if metadata == "NO_LOG" and not source.mariadb:
        pytest.skip("MySQL has no such setting")
    source.execute("CREATE TABLE t (id int PRIMARY KEY, e enum('a', 'b'))")
    with source.setting("binlog_row_metadata", metadata):
        events = source.log("INSERT INTO t VALUES (1, 'b')")
    assert heading(events[0].body)[1:] == (source.name, "t")
    with pytest.raises(NotUnderstood) as caught:
        table_map(events[0].body, mariadb=source.mariadb)
    assert caught.value.remedy == FULL


def test_parts_of_json_are_refused(on_mysql: Logged) -> None:
    on_mysql.execute("CREATE TABLE t (id int PRIMARY KEY, v json)", 'INSERT INTO t VALUES (1, \'{"a": "one"}\')')
    on_mysql.execute("SET SESSION binlog_row_value_options = PARTIAL_JSON")
    start = binlog.end(on_mysql.connection)
    on_mysql.execute("UPDATE t SET v = JSON_SET(v, '$.a', 'two')", "SET SESSION binlog_row_value_options = ''")
    found = binlog.events(on_mysql.server, start, binlog.end(on_mysql.connection))
    [event] = [event for event in found if event.kind == PARTIAL_UPDATE]
    with pytest.raises(NotUnderstood, match="parts of JSON"):
        rows_heading(event.kind, event.body)


def test_the_old_forms_of_moments_in_mariadb(on_mariadb: Logged) -> None:
    types: dict[str, DataType] = {"d": Timestamp(), "s": Timestamp(zoned=True), "t": Duration()}
    with on_mariadb.setting("mysql56_temporal_format", "0"):
        on_mariadb.execute("CREATE TABLE t (d datetime, s timestamp NULL, t time)")
    columns = on_mariadb.columns(types)
    events = on_mariadb.log(
        "INSERT INTO t VALUES ('2024-02-29 01:02:03', '2024-02-29 01:02:03', '-838:59:59')",
        "INSERT INTO t VALUES ('0000-00-00', '0000-00-00', '00:00:01'), ('9999-12-31 23:59:59', NULL, '838:59:59')",
    )
    shape, rows = on_mariadb.decoded(events, types)
    assert [column.code for column in shape.columns] == [Code.DATETIME, Code.TIMESTAMP, Code.TIME]
    assert all(fits(wire, column) for wire, column in zip(shape.columns, columns, strict=True))
    written = [row for event in rows for row in event.after or ()]
    assert sorted(written, key=repr) == sorted(on_mariadb.selected(columns), key=repr)
    with pytest.raises(NotUnderstood, match="old form"):
        row_decoder(shape, {"d": Timestamp(precision=3)})


def test_s061_compressed_columns_of_mariadb(on_mariadb: Logged) -> None:
    on_mariadb.execute("CREATE TABLE t (id int, v varchar(100) COMPRESSED, b text COMPRESSED, z int)")
    events = on_mariadb.log(f"INSERT INTO t VALUES (1, '{'v' * 100}', REPEAT('b', 10000), 2)")
    _, [rows] = on_mariadb.decoded(events, {"id": Integer(32), "z": Integer(32)})
    assert rows.after == [(1, 2)]
    with pytest.raises(NotUnderstood, match="column v"):
        on_mariadb.decoded(events, {"v": Text()})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_library_reads_the_same(source: Logged) -> None:
    """mysql-replication, where its values have a form of their own that loses nothing."""
    source.execute(
        "CREATE TABLE t (id bigint PRIMARY KEY, n int unsigned, v varchar(300), d decimal(12,2), t datetime(3))"
    )
    start = binlog.end(source.connection)
    source.execute(
        "INSERT INTO t VALUES (-1, 4294967295, 'é😀', -12.30, '2024-02-29 01:02:03.5'), (2, NULL, NULL, NULL, NULL)",
        "UPDATE t SET v = 'x', id = id + 10 ORDER BY id DESC",
        "DELETE FROM t WHERE id = 12",
    )
    types: dict[str, DataType] = {
        "id": Integer(64),
        "n": Integer(32, False),
        "v": Text(),
        "d": Decimal(12, 2),
        "t": Timestamp(precision=3),
    }
    _, ours = source.decoded(source.since(start), types)
    server = source.server
    stream = BinLogStreamReader(
        connection_settings={
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "password": server.password,
        },
        server_id=4_100_000,
        log_file=start.file,
        log_pos=start.position,
        resume_stream=True,
        blocking=False,
        only_events=[WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent],
        enable_logging=False,
    )
    try:
        theirs = [row for _, event in zip(ours, stream, strict=False) for row in event.rows]
    finally:
        stream.close()
    before = [dict(zip(types, row, strict=True)) for rows in ours for row in rows.before or ()]
    after = [dict(zip(types, row, strict=True)) for rows in ours for row in rows.after or ()]
    assert [shown(row.get("before_values") or row["values"]) for row in theirs if "before_values" in row] == before[:2]
    assert [shown(row.get("after_values") or row["values"]) for row in theirs][:4] == after
    assert shown(theirs[-1]["values"]) == before[-1]


def shown(values: dict[str, Any]) -> dict[str, Value]:
    """The library's Decimal and datetime as canonical text."""
    text = {name: str(value) for name, value in values.items() if name in ("d", "t") and value is not None}
    if "t" in text:
        text["t"] = text["t"].rstrip("0")
    return {**values, **text}

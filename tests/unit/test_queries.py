"""What statements in the log mean."""

from __future__ import annotations

import pytest

from replicator.engines.mysql import queries
from replicator.engines.mysql.queries import Emptied, Framing, Harmless, RowStatement, SchemaStatement, XaEnd

TABLES = [("shop", "orders"), ("shop", "odd `name"), ("other", "t")]

TOUCHING = {
    "alter table orders add column x int": ["orders"],
    "ALTER TABLE `shop`.`orders` DROP COLUMN a, ADD COLUMN a INT": ["orders"],
    "alter /* why */ table Orders modify a bigint": ["orders"],
    "/*!50100 ALTER */ TABLE orders ENGINE=InnoDB, ADD b int": ["orders"],
    "alter ignore table orders add x int": ["orders"],
    "ALTER ONLINE TABLE IF EXISTS orders DROP x": ["orders"],
    "ALTER TABLE orders ADD INDEX (a), DROP COLUMN b": ["orders"],
    "ALTER TABLE orders TRUNCATE PARTITION p0": ["orders"],
    "ALTER TABLE fresh RENAME TO orders": ["orders"],
    "ALTER TABLE fresh EXCHANGE PARTITION p WITH TABLE orders": ["orders"],
    "rename table orders to o2, fresh to orders": ["orders"],
    "DROP TABLE IF EXISTS x, `odd ``name`": ["odd `name"],
    "drop table other.t, y": ["t"],
    "drop database shop": ["odd `name", "orders"],
    "DROP SCHEMA IF EXISTS `other`": ["t"],
    "create table orders (id int)": ["orders"],
    "CREATE OR REPLACE TABLE orders LIKE x": ["orders"],
    "create or replace table if not exists orders (id int)": ["orders"],
    "SOMETHING NEW orders": ["orders"],
    "DROP TABLE temporary, orders": ["orders"],
    "ALTER TABLE shop.temporary RENAME TO orders": ["orders"],
    '"quoted" orders': ["orders"],
    'ALTER TABLE "orders" ADD x int': ["orders"],
}


@pytest.mark.parametrize("statement", TOUCHING)
def test_what_may_touch_a_followed_table_is_said(statement: str) -> None:
    found = queries.meaning(statement, "shop")
    assert isinstance(found, SchemaStatement), found
    assert sorted(name for _, name in queries.touched(found, TABLES)) == TOUCHING[statement]


HARMLESS = [
    "create table other_one (id int, foreign key (id) references orders (id))",
    "CREATE TABLE IF NOT EXISTS orders (id int)",
    "create temporary table orders (id int)",
    "DROP TEMPORARY TABLE IF EXISTS `orders`",
    "DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `orders`",
    "create index i on orders (a)",
    "CREATE UNIQUE INDEX i ON orders (a, b)",
    "CREATE FULLTEXT INDEX i ON orders (a)",
    "CREATE SPATIAL INDEX i ON orders (a)",
    "drop index i on orders",
    "ALTER TABLE orders ADD INDEX i (a, b)",
    "ALTER TABLE orders ADD UNIQUE KEY i (a)",
    "ALTER TABLE `shop`.`orders` DROP INDEX i",
    "ALTER TABLE orders RENAME INDEX i TO j",
    "create user orders identified by 'x'",
    "create view v as select * from orders",
    "CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`%` SQL SECURITY DEFINER VIEW `v` AS select 1 from `orders`",
    "CREATE DEFINER=`root`@`%` TRIGGER t BEFORE INSERT ON orders FOR EACH ROW SET @a = 1",
    "drop procedure p",
    "grant select on orders to x",
    "flush tables orders",
    "analyze table orders",
    "OPTIMIZE TABLE orders",
    "create database orders",
    "create temporary table orders (id int)",
    "CREATE OR REPLACE TEMPORARY TABLE orders (id int)",
    "ALTER DATABASE shop CHARACTER SET latin1",
    "alter table elsewhere.orders add x int",
    "drop table if exists unrelated",
    "-- only a comment\n",
    "",
]


@pytest.mark.parametrize("statement", HARMLESS)
def test_what_touches_none_goes_by(statement: str) -> None:
    found = queries.meaning(statement, "shop")
    assert isinstance(found, Harmless) or (isinstance(found, SchemaStatement) and not queries.touched(found, TABLES))


@pytest.mark.parametrize(
    "statement",
    ["insert into x values (1)", "UPDATE t SET a=1", "delete from t", "replace t values (1)", "LOAD DATA INFILE 'x'"],
)
def test_a_statement_in_place_of_rows_is_one(statement: str) -> None:
    assert isinstance(queries.meaning(f"/* c */ {statement}", "shop"), RowStatement)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("BEGIN", Framing("begin")),
        ("begin", Framing("begin")),
        ("COMMIT", Framing("commit")),
        ("ROLLBACK", Framing("rollback")),
        ("SAVEPOINT `a b`", Framing("savepoint", "a b")),
        ("ROLLBACK TO `a b`", Framing("rollback to", "a b")),
        ("ROLLBACK TO SAVEPOINT s", Framing("rollback to", "s")),
        ("XA START X'61',X'62',7", Framing("xa start")),
        ("XA END X'61',X'62',7", Framing("xa end")),
        ("XA COMMIT X'61',X'62',7", XaEnd(True, "X'61',X'62',7")),
        ("XA ROLLBACK X'61',X'',1", XaEnd(False, "X'61',X'',1")),
        ("truncate table orders", Emptied("shop", "orders")),
        ("TRUNCATE `other`.`t`", Emptied("other", "t")),
    ],
)
def test_framing(statement: str, expected: object) -> None:
    assert queries.meaning(statement, "shop") == expected

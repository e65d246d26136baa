"""Brings an older ledger to the present format, in the transaction of the claim that finds it.

A column or table that came with a later version is added, columns with their default; what else a version changes gets
a step of its own here. Where DDL commits by itself a step may have been taken already: it is looked for first.
`tests/unit/ledgers` has rows of every older version.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.schema import CreateColumn

from replicator.sql.tables import FORMAT_VERSION, LedgerTables, since


def migrate(connection: sa.Connection, tables: LedgerTables, version: int) -> None:
    preparer = connection.dialect.identifier_preparer
    for table in tables.metadata.tables.values():
        if since(table) > version:
            table.create(connection, checkfirst=True)
            continue
        there = {column["name"] for column in sa.inspect(connection).get_columns(table.name, schema=table.schema)}
        for column in table.columns:
            if since(column) > version and column.name not in there:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {preparer.format_table(table)} ADD COLUMN {definition}")
    connection.execute(tables.format.update().values(version=FORMAT_VERSION))

"""Brings an older ledger to the present format, in the transaction of the claim that finds it.

A column or table that came with a later version is added, columns with their default; what else a version changes gets
a step of its own here. `tests/unit/ledgers` has rows of every older version.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.schema import CreateColumn

from replicator.sql.tables import FORMAT_VERSION, LedgerTables, since


def migrate(connection: sa.Connection, tables: LedgerTables, version: int) -> None:
    preparer = connection.dialect.identifier_preparer
    for table in tables.metadata.tables.values():
        if since(table) > version:
            table.create(connection)
            continue
        for column in table.columns:
            if since(column) > version:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {preparer.format_table(table)} ADD COLUMN {definition}")
    connection.execute(tables.format.update().values(version=FORMAT_VERSION))

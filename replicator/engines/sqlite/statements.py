"""How SQLite's statements are written."""

from __future__ import annotations

from replicator.engines.sqlite.types import storage
from replicator.sql.ddl import Ddl
from replicator.sql.statements import Dialect

DIALECT = Dialect('"', "?", "IS", schemas=False, row_ids=("rowid", "_rowid_", "oid"), or_clause=" OR ABORT")
DDL = Ddl(DIALECT, storage, "BLOB", " STRICT")

"""What tables of an SQLite file have that is not copied: for `check` to list. CHECKs have no pragma: unseen."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from replicator.engine import Finding
from replicator.engines.sqlite.connect import query
from replicator.model.schema import Table

_KINDS = """
SELECT 'index', i.name FROM pragma_index_list(?1, 'main') i
WHERE i.origin = 'c' AND (NOT i."unique" OR i.partial
  OR EXISTS (SELECT 1 FROM pragma_index_xinfo(i.name, 'main') x WHERE x.key AND x.cid < 0))
UNION ALL
SELECT 'foreign key', "table" FROM pragma_foreign_key_list(?1, 'main') WHERE seq = 0
UNION ALL
SELECT 'default', name FROM pragma_table_xinfo(?1, 'main') WHERE dflt_value IS NOT NULL AND hidden NOT IN (2, 3)
UNION ALL
SELECT 'trigger', name FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = lower(?1)
UNION ALL
SELECT 'AUTOINCREMENT', name FROM pragma_table_xinfo(?1, 'main') WHERE pk
  AND (SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?1) LIKE '%AUTOINCREMENT%'
UNION ALL
SELECT 'WITHOUT ROWID', '' FROM pragma_table_list(?1) WHERE schema = 'main' AND wr
UNION ALL
SELECT DISTINCT 'collation', coll FROM pragma_index_list(?1, 'main') i, pragma_index_xinfo(i.name, 'main')
WHERE "unique" AND "key" AND upper(coll) <> 'BINARY'
"""


def findings(connection: sqlite3.Connection, tables: Sequence[Table]) -> list[Finding]:
    found = []
    for table in tables:
        kinds: dict[str, list[str]] = {}
        for kind, name in query(connection, _KINDS, (table.name.name,)):
            kinds.setdefault(kind, []).append(name)
        if kinds:
            listed = "; ".join(f"{kind} {', '.join(sorted(names))}".rstrip() for kind, names in sorted(kinds.items()))
            found.append(Finding("note", f"{table.name}: not made at the target: {listed}"))
    return found

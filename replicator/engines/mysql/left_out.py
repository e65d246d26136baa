"""What tables have that is neither copied nor followed: for `check` to list."""

from __future__ import annotations

from collections.abc import Sequence

from replicator.engine import Finding
from replicator.engines.mysql.connect import Control
from replicator.model.schema import Name, Table

_KINDS = """
SELECT TABLE_SCHEMA, TABLE_NAME, 'index', INDEX_NAME FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA IN %(schemas)s AND (NON_UNIQUE = 1 OR SUB_PART IS NOT NULL OR COLUMN_NAME IS NULL)
UNION SELECT TABLE_SCHEMA, TABLE_NAME, 'foreign key', CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS
WHERE TABLE_SCHEMA IN %(schemas)s AND CONSTRAINT_TYPE = 'FOREIGN KEY'
UNION SELECT TABLE_SCHEMA, TABLE_NAME, 'check', CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS
WHERE TABLE_SCHEMA IN %(schemas)s AND CONSTRAINT_TYPE = 'CHECK'
UNION SELECT TABLE_SCHEMA, TABLE_NAME, 'default', COLUMN_NAME FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA IN %(schemas)s AND COLUMN_DEFAULT IS NOT NULL AND COLUMN_DEFAULT <> 'NULL'
UNION SELECT TABLE_SCHEMA, TABLE_NAME, 'auto_increment', COLUMN_NAME FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA IN %(schemas)s AND EXTRA LIKE '%%auto_increment%%'
UNION SELECT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, 'trigger', TRIGGER_NAME FROM information_schema.TRIGGERS
WHERE EVENT_OBJECT_SCHEMA IN %(schemas)s
ORDER BY 1, 2, 3, 4
"""


def findings(control: Control, tables: Sequence[Table]) -> list[Finding]:
    if not tables:
        return []
    schemas = tuple({table.name.schema for table in tables})
    with_names: dict[Name, dict[str, list[str]]] = {}
    for schema, table, kind, name in control.query(_KINDS, {"schemas": schemas}):
        with_names.setdefault(Name(schema, table), {}).setdefault(kind, []).append(name)
    return [
        Finding("note", f"{table.name}: not made at the target: " + "; ".join(_listed(*each) for each in kinds.items()))
        for table in tables
        if (kinds := with_names.get(table.name))
    ]


def _listed(kind: str, names: Sequence[str]) -> str:
    return f"{kind} {', '.join(names)}"

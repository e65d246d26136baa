"""What tables have that is neither copied nor followed: for `check` to list."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2.extensions import connection as SqlConnection

from replicator import remedies
from replicator.engine import Finding
from replicator.engines.postgres.connect import query
from replicator.model.schema import Table

_KINDS = """
SELECT i.indrelid::text, 'index', c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY(%(oids)s) AND NOT i.indisexclusion
  AND (NOT i.indisunique OR i.indpred IS NOT NULL OR i.indexprs IS NOT NULL)
UNION ALL
SELECT conrelid::text, CASE contype WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check' ELSE 'exclusion constraint' END,
       conname FROM pg_constraint WHERE conrelid = ANY(%(oids)s) AND contype IN ('f', 'c', 'x')
UNION ALL
SELECT d.adrelid::text, 'default', a.attname FROM pg_attrdef d
JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
WHERE d.adrelid = ANY(%(oids)s) AND a.attgenerated = ''
UNION ALL
SELECT attrelid::text, 'identity', attname FROM pg_attribute
WHERE attrelid = ANY(%(oids)s) AND attidentity <> '' AND NOT attisdropped
UNION ALL
SELECT tgrelid::text, 'trigger', tgname FROM pg_trigger WHERE tgrelid = ANY(%(oids)s) AND NOT tgisinternal
UNION ALL
SELECT polrelid::text, 'row security policy', polname FROM pg_policy WHERE polrelid = ANY(%(oids)s)
ORDER BY 1, 2, 3
"""
_OTHER_SCHEMAS = """
SELECT n.nspname, count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition AND n.nspname <> ALL(%s)
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
GROUP BY 1 ORDER BY 1
"""
_LARGE_OBJECTS = "SELECT count(*) FROM pg_largeobject_metadata"


def findings(connection: SqlConnection, tables: Sequence[Table]) -> list[Finding]:
    by_table: dict[str, dict[str, list[str]]] = {}
    for oid, kind, name in query(connection, _KINDS, {"oids": [int(table.id) for table in tables]}):
        by_table.setdefault(oid, {}).setdefault(kind, []).append(name)
    found = [
        Finding("note", f"{table.name}: not made at the target: " + "; ".join(_listed(*each) for each in kinds.items()))
        for table in tables
        if (kinds := by_table.get(table.id))
    ]
    if not tables:
        return []
    schemas = sorted({table.name.schema for table in tables})
    found += [
        Finding(
            "note",
            f"no table of schema {schema} is chosen; it has {count:,}",
            f"if they are wanted: --table {remedies.shell('*.*')}",
        )
        for schema, count in query(connection, _OTHER_SCHEMAS, (schemas,))
    ]
    objects = query(connection, _LARGE_OBJECTS)[0][0]
    if objects and any(column.native_name == "oid" for table in tables for column in table.columns):
        found.append(
            Finding("warn", f"the database has {objects} large objects: their numbers are copied, they themselves not")
        )
    return found


def _listed(kind: str, names: Sequence[str]) -> str:
    return f"{kind} {', '.join(names)}"

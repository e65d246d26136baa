"""The text in which a ledger keeps the changes of a prepared transaction until it is resolved.

JSON: for each run its table, operation, columns, rows and keys; a value that JSON has not is an object of one letter.
Read back strictly: a ledger is input, too.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from replicator import remedies
from replicator.errors import Refused, SchemaChanged
from replicator.model.change import Rows, Truncate
from replicator.model.schema import Name, Table
from replicator.model.values import MISSING, Row, Value

Changes = Sequence[Rows | Truncate]


def save(changes: Changes) -> str:
    return json.dumps([_saved(change) for change in changes], ensure_ascii=False, separators=(",", ":"))


def load(text: str, tables: Iterable[Table]) -> list[Rows | Truncate]:
    """The changes of these tables; those of others are left out.

    Raises SchemaChanged for a table that has other columns by now, Refused for a text that we have not written.
    """
    by_name = {table.name: table for table in tables}
    try:
        found = [_loaded(saved, by_name) for saved in json.loads(text)]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(
            "the ledger's changes of a prepared transaction cannot be read",
            remedy="restore the bookkeeping tables from a backup, or copy everything anew: recopy --all",
        ) from error
    return [change for change in found if change is not None]


def _saved(change: Rows | Truncate) -> dict[str, Any]:
    if isinstance(change, Truncate):
        return {"emptied": [list(table.name) for table in change.tables]}
    return {
        "table": list(change.table.name),
        "op": change.op,
        "columns": change.table.names,
        "rows": [[_json(value) for value in row] for row in change.rows],
        "keys": [[_json(value) for value in key] for key in change.keys],
    }


def _loaded(saved: Mapping[str, Any], tables: Mapping[Name, Table]) -> Rows | Truncate | None:
    if "emptied" in saved:
        emptied = tuple(tables[name] for parts in saved["emptied"] if (name := Name(*parts)) in tables)
        return Truncate(emptied) if emptied else None
    table = tables.get(Name(*saved["table"]))
    if table is None:
        return None
    if tuple(saved["columns"]) != table.names:
        raise SchemaChanged(
            f"{table.name} has other columns than when a transaction was prepared that is committed now",
            remedy=f"copy the table anew: {remedies.recopy(table.name)}",
        )
    op = saved["op"]
    if op not in ("insert", "update", "delete"):
        raise ValueError(op)
    return Rows(table, op, [_row(row) for row in saved["rows"]], [_row(key) for key in saved["keys"]])


def _json(value: Value) -> Any:
    match value:
        case bytes():
            return {"b": base64.b64encode(value).decode()}
        case float() if not math.isfinite(value):
            return {"f": repr(value)}
    return {"m": 0} if value is MISSING else value


def _row(values: Sequence[Any]) -> Row:
    return tuple(_value(value) if isinstance(value, dict) else value for value in values)


def _value(saved: Mapping[str, Any]) -> Value:
    ((kind, text),) = saved.items()
    if kind == "b":
        return base64.b64decode(text)
    if kind == "f":
        return float(text)
    if kind == "m":
        return MISSING
    raise ValueError(kind)

"""Does a TABLE_MAP have the shape that the ledger pinned?"""

from __future__ import annotations

from replicator.engines.mysql.tablemap import TableMap
from replicator.model.schema import Table


def difference(shape: TableMap, table: Table) -> str | None:
    came = {column.name for column in shape.columns}
    words = [f"column {name} is gone" for name in table.names if name not in came]
    return "; ".join(words) or None

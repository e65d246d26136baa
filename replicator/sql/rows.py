"""The ledger's rows as the values of the model, and back. A ledger is input, too: what does not read is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, get_args

from replicator.errors import Refused
from replicator.model.saved import load_options, load_policies, load_shape, save_shape
from replicator.model.schema import Name
from replicator.model.stream import Beat, Followed, Identity, StreamPhase, StreamState, TablePhase

Row = Mapping[Any, Any]


def stream(row: Row, tables: Mapping[Name, Followed]) -> StreamState:
    if row["phase"] not in get_args(StreamPhase):
        raise Refused(f"the ledger has stream {row['name']!r} in the unknown state {row['phase']!r}")
    return StreamState(
        Identity(row["name"], row["uid"], row["publication"], row["slot"]),
        row["source"],
        row["phase"],
        row["epoch"],
        row["position"],
        row["within"],
        tables,
    )


def followed(row: Row) -> Followed:
    name = Name(row["source_schema"], row["source_name"])
    if row["phase"] not in get_args(TablePhase):
        raise Refused(f"the ledger has table {name} in the unknown state {row['phase']!r}")
    return Followed(
        load_shape(name, row["shape"]),
        Name(row["target_schema"], row["target_name"]),
        row["phase"],
        row["floor"],
        bool(row["made"]),
        bool(row["may_empty"]),
        load_policies(name, row["policies"]),
        row["carried"],
        load_options(name, row.get("options") or "{}"),
        row.get("as_of"),
        row.get("settles"),
        row.get("overwritten") or 0,
    )


def of_followed(followed: Followed) -> dict[str, object]:
    """Everything but the row's key and its count of overwritten rows, which only ever rises."""
    return {
        "target_schema": followed.target.schema,
        "target_name": followed.target.name,
        "phase": followed.phase,
        "floor": followed.floor,
        "made": int(followed.made),
        "may_empty": int(followed.may_empty),
        "shape": save_shape(followed.table),
        "carried": followed.carried,
        "policies": json.dumps({column: dict(chosen) for column, chosen in followed.policies.items()}),
        "options": json.dumps(asdict(followed.options)),
        "as_of": followed.as_of,
        "settles": followed.settles,
    }


def beat(row: Row) -> Beat:
    return Beat(**{name: value for name, value in row.items() if name != "stream"})

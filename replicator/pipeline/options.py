"""What the user asked of a stream, validated, and the two ends it is between."""

from __future__ import annotations

from dataclasses import dataclass, field

from replicator.engine import Endpoint, Engine, Objects, Policies
from replicator.model.selection import Selection


@dataclass(frozen=True)
class SyncOptions:
    name: str
    selection: Selection
    objects: Objects = field(default_factory=Objects)
    policies: Policies = field(default_factory=dict)
    truncate: bool = False
    append: bool = False
    once: bool = False
    give_up_s: float | None = None


@dataclass(frozen=True)
class End:
    engine: Engine
    endpoint: Endpoint

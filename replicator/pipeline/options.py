"""What the user asked of a stream, validated, and the two ends it is between."""

from __future__ import annotations

from dataclasses import dataclass, field

from replicator.engine import Endpoint, Engine, Objects, Policies
from replicator.model.options import Wishes
from replicator.model.selection import Selection


@dataclass(frozen=True)
class Options:
    """`restart`: a backfill begins anew. `recopy`: patterns of tables to copy again; empty for all of them.

    `own_settings`: a recopy takes the settings given here, and not the ledger's. `allow_untested`: servers of a version
    that nobody here knows. `max_retained`: bytes of log that the source may keep for the stream.
    """

    name: str
    selection: Selection = field(default_factory=Selection)
    objects: Objects = field(default_factory=Objects)
    policies: Policies = field(default_factory=dict)
    wishes: Wishes = field(default_factory=Wishes)
    truncate: bool = False
    append: bool = False
    once: bool = False
    restart: bool = False
    own_settings: bool = False
    allow_untested: bool = False
    recopy: tuple[str, ...] = ()
    give_up_s: float | None = None
    max_retained: int | None = None


@dataclass(frozen=True)
class End:
    engine: Engine
    endpoint: Endpoint

"""What source, target and pipeline tell one another, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from replicator.model.schema import Name, Table

Policies = Mapping[Name, Mapping[str, Mapping[str, str]]]
"""The user's choices for columns: by table, then column, then the policy's name."""


@dataclass(frozen=True)
class Endpoint:
    """Where one end is. `url` has the password in it and is never printed; `shown` may be.

    `place`: the same text for every way of writing the same database.
    """

    url: str
    shown: str
    place: str = ""


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do, as data. `keeps_log`: its log is kept for a stream until the stream has confirmed it."""

    reads_log: bool
    writes: bool
    transactional_ddl: bool
    parallel_writers: bool
    keeps_log: bool = False


@dataclass(frozen=True)
class Retention:
    """The log behind a stream's mark that the source still has, and how long it will; None: not known, or for ever.

    `bytes`: so much of it there is at least. `room_bytes`: so much more may be written until the source lets go of what
    is not read. `keeps_seconds`: so long a stream that stops now can be taken up again at least. `danger`: why that end
    is near; empty where it is not.
    """

    bytes: int | None = None
    room_bytes: int | None = None
    keeps_seconds: float | None = None
    danger: str = ""


@dataclass(frozen=True)
class Finding:
    """What a check found. `refuse`: nothing may be made until it is mended. `remedy`: the statement that mends it.

    `untested`: refused as well, unless the user takes a version that nobody here knows (`--allow-untested`). `note`:
    what is as it should be, and good to know before the start; only `check` says it.
    """

    level: Literal["refuse", "untested", "warn", "note"]
    what: str
    remedy: str = ""


@dataclass(frozen=True)
class Listing:
    """What a source has: the tables that match a selection, and what was left out of it and why."""

    tables: tuple[Table, ...]
    findings: tuple[Finding, ...]


ALREADY_MADE = "already made"
"""In place of a slot's name, for a stream that runs already: there is no slot to check, and none to be made."""


@dataclass(frozen=True)
class Objects:
    """Objects at the source that the user made for us; we use them and never drop them."""

    publication: str | None = None
    slot: str | None = None

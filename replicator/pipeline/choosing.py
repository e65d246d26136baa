"""Which tables a run follows: the selection's, as the ledger has them or new; and what may be done to their targets.

A table's phase tells whether its copy has ever begun. Until then (`chosen`) the user's options and what stands at the
target decide whether the target may be emptied; from then on the ledger's answer is final.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from replicator.engine import ALREADY_MADE, Finding, Objects, Source, Target
from replicator.errors import Refused, SchemaChanged
from replicator.model.position import NEVER
from replicator.model.saved import save_shape
from replicator.model.schema import Name, Table
from replicator.model.selection import Places
from replicator.model.stream import Followed, StreamState
from replicator.pipeline.options import SyncOptions
from replicator.pipeline.preflight import admit

NEW = ("chosen", "returning")


def choose(
    source: Source, target: Target, places: Places, options: SyncOptions, known: StreamState | None
) -> list[Followed]:
    """Raises Refused with everything that is in the way, before anything is made."""
    catalog = source.catalog
    listing = catalog.tables(options.selection, options.policies)
    landing = options.selection.land((t.name for t in listing.tables), catalog.default_schema, places)
    if not listing.tables and not any(finding.level == "refuse" for finding in listing.findings):
        raise Refused("no table matches", remedy="look at --table and --exclude; the default is public.*")
    kept = known.tables if known is not None and known.phase != "preparing" else {}
    tables = [
        _followed(table, landing[table.name], kept.get(table.name), options.policies.get(table.name, {}))
        for table in listing.tables
    ]
    fresh = [f for f in tables if f.phase in NEW]
    findings: list[Finding] = list(listing.findings)
    if known is None or fresh:
        findings += source.findings([f.table for f in fresh], _objects(options, known))
    findings += target.structure.findings(fresh, known.tables if known else {})
    findings += _taken(fresh, target.ledger.owners(options.name), places)
    findings += _filled(target, fresh, known, options)
    admit(findings)
    return tables


def _objects(options: SyncOptions, known: StreamState | None) -> Objects:
    if known is not None and known.phase != "preparing":
        return Objects(known.identity.publication, known.identity.slot or ALREADY_MADE)
    return options.objects


def _followed(table: Table, target: Name, old: Followed | None, policies: Mapping[str, Mapping[str, str]]) -> Followed:
    if old is None or old.phase == "chosen":
        return Followed(table, target, policies=policies)
    if old.phase in ("left", "returning"):
        return replace(old, table=table, target=target, phase="returning", floor=str(NEVER), policies=policies)
    if old.target != target or plain(old.policies) != plain(policies):
        raise Refused(
            f"{table.name} was copied into {old.target.name} with other --map or [columns] settings",
            remedy=f"take the settings back, or {anew(table.name)}",
        )
    if old.phase == "copying":
        return replace(old, table=table)
    if (difference := _replaced(old.table, table)) is not None:
        raise SchemaChanged(f"{table.name}: {difference}", remedy=anew(table.name))
    return old


def _replaced(old: Table, new: Table) -> str | None:
    """What the log alone would not tell: a table or a column that is another one under the same name."""
    if old.id != new.id:
        return "it was dropped and made again, or another table took its name"
    numbers = {column.name: column.number for column in new.columns}
    for column in old.columns:
        if numbers.get(column.name, column.number) != column.number:
            return f"column {column.name} was dropped and added again, or another column took its name"
    return None


def _taken(tables: Sequence[Followed], owners: Mapping[Name, str], places: Places) -> list[Finding]:
    """Targets of other streams in the same ledger."""
    by_place = {(places.fold(name.schema), places.fold(name.name)): stream for name, stream in owners.items()}
    return [
        Finding(
            "refuse",
            f"{f.table.name} would land in {f.target.name!r}, which stream {stream!r} writes",
            f"--map '{f.table.name}=another_name'",
        )
        for f in tables
        if (stream := by_place.get((places.fold(f.target.schema), places.fold(f.target.name))))
    ]


def _filled(
    target: Target, tables: Sequence[Followed], known: StreamState | None, options: SyncOptions
) -> list[Finding]:
    """A target table with rows in it that are not ours is refused, unless the user said what to do with them."""
    found: list[Finding] = []
    before = known.tables if known else {}
    for name, how in target.structure.survey(tables).items():
        mine = before.get(name)
        if how != "filled":
            continue
        if mine is not None and mine.phase != "chosen":
            if not mine.may_empty:
                found.append(_appended(name))
        elif not options.truncate and not options.append:
            found.append(
                Finding(
                    "refuse",
                    f"the target table for {name} is not empty, and there is no saved position for it in stream "
                    f"{options.name}; refusing to guess",
                    "empty it, or pass --truncate (its rows are deleted) or --append (its rows stay)",
                )
            )
    return found


def _appended(name: Name) -> Finding:
    return Finding(
        "refuse",
        f"{name} was copied into a target table that had rows of its own (--append), and cannot be copied again: "
        "nobody can tell its rows from them",
        "empty the target table yourself, or map the source table to another one",
    )


def survey(target: Target, state: StreamState, tables: list[Followed], *, truncate: bool) -> list[Followed]:
    """Which target tables are ours to make and to empty; recorded before anything is made."""
    stands = target.structure.survey(tables)
    surveyed = []
    for followed in tables:
        old = state.tables.get(followed.table.name)
        how = stands[followed.table.name]
        if old is not None and old.phase != "chosen":
            may_empty = old.may_empty or how != "filled"
        else:
            may_empty = how != "filled" or truncate
        made = how == "absent" or (old is not None and old.made)
        surveyed.append(replace(followed, made=made, may_empty=may_empty))
    return surveyed


def reshaped(state: StreamState, tables: Iterable[Followed]) -> list[Name]:
    """Tables whose target, if we made it, has a shape that is no longer theirs."""
    return [
        f.table.name
        for f in tables
        if (old := state.tables.get(f.table.name))
        and (save_shape(old.table) != save_shape(f.table) or plain(old.policies) != plain(f.policies))
    ]


def plain(policies: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    return {column: dict(chosen) for column, chosen in policies.items() if chosen}


def anew(name: Name) -> str:
    return f"copy it anew: run once with --exclude '{name}', then without it"

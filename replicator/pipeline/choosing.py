"""Which tables a run follows: the selection's, as the ledger has them or new; and what may be done to their targets.

A table's phase tells whether its copy has ever begun. Until then (`chosen`) the user's options and what stands at the
target decide whether the target may be emptied; from then on the ledger's answer is final.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from replicator import remedies
from replicator.engine import CopySource, Finding, Target
from replicator.errors import Refused, SchemaChanged
from replicator.model.options import TableOptions
from replicator.model.policies import ColumnPolicies, concrete
from replicator.model.position import NEVER
from replicator.model.saved import save_shape
from replicator.model.schema import Name, Table
from replicator.model.selection import Places, matches
from replicator.model.stream import Followed, StreamState
from replicator.pipeline.options import Options
from replicator.pipeline.preflight import weighed

NEW = ("chosen", "returning")
PENDING = (*NEW, "copying")
SHOWN = 20
RESTART = "copy all anew: replicator backfill SOURCE TARGET --restart"
Ready = Callable[[Sequence[Followed]], list[Finding]]
"""What the command asks of the source for tables whose copy is to begin."""
Stands = Mapping[Name, Literal["absent", "empty", "filled"]]
"""How each target table stands, by the source's name."""


@dataclass(frozen=True)
class Choice:
    tables: list[Followed]
    findings: list[Finding]

    @property
    def fresh(self) -> list[Followed]:
        return [followed for followed in self.tables if followed.phase in NEW]


def choose(
    source: CopySource, target: Target, places: Places, options: Options, known: StreamState | None, ready: Ready
) -> Choice:
    """Touches nothing. Raises Refused and SchemaChanged for what would be wrong to go on from."""
    if target.same_as(source.identity()):
        raise Refused("SOURCE and TARGET are the same database", remedy="name another database as TARGET")
    catalog = source.catalog
    listing = catalog.tables(options.selection, options.policies)
    landing = options.selection.land((t.name for t in listing.tables), catalog.default_schema, places)
    if not listing.tables and not any(finding.level == "refuse" for finding in listing.findings):
        left_out = "".join(f"; {finding.what}" for finding in listing.findings[:SHOWN])
        raise Refused(
            f"no table matches{left_out}",
            remedy=f"look at --table and --exclude; the default is {catalog.default_schema}.*",
        )
    kept = known.tables if known is not None and known.phase != "preparing" else {}
    chosen = Choice(
        [
            _followed(
                Followed(
                    table,
                    landing[table.name],
                    policies=concrete(options.policies.get(table.name, {}), table.names),
                    options=options.wishes.of(table.name, catalog.default_schema),
                ),
                kept.get(table.name),
                restart=options.restart,
                remedy=anew(table.name) if known is None or known.phase != "backfill" else RESTART,
            )
            for table in listing.tables
        ],
        list(listing.findings),
    )
    chosen.findings.extend(_idle(options, catalog.default_schema, listing.tables))
    stands = target.structure.survey(chosen.fresh)
    # One whose copy was cut off may be another one at the source by now.
    pending = [followed for followed in chosen.tables if followed.phase in PENDING]
    before = _ours(known, pending, stands)
    chosen.findings.extend(weighed(ready(chosen.fresh), allow_untested=options.allow_untested))
    chosen.findings.extend(target.structure.findings(pending, before))
    chosen.findings.extend(_taken(chosen.fresh, target.ledger.owners(options.name), places))
    chosen.findings.extend(_filled(stands, before, options))
    chosen.findings.extend(_gone(target, chosen.tables, known))
    return chosen


def _followed(wanted: Followed, old: Followed | None, *, restart: bool, remedy: str) -> Followed:
    """The table as it is wanted now, joined with what the ledger has of it."""
    if old is None or old.phase == "chosen":
        return wanted
    if old.phase in ("left", "returning") or restart:
        # Of another place the ledger says nothing: there no copy has begun.
        return returning(old, wanted) if old.target == wanted.target else wanted
    table = wanted.table
    if old.phase == "copying" and old.target == wanted.target and _settings(old) != _settings(wanted):
        # Its copy has not ended: it begins anew with the new settings. One beside rows of somebody else is a single
        # transaction, so nothing of it is there.
        if old.may_empty:
            return returning(old, wanted)
        return replace(old, table=table, policies=wanted.policies, options=wanted.options)
    if old.target != wanted.target or _settings(old) != _settings(wanted):
        raise Refused(
            f"{table.name} was copied into {old.target.name} with other --map, --insert-only, [columns] or "
            "[table_options] settings",
            remedy="take the settings back; or copy it anew with them: "
            + remedies.recopy(table.name, options=" --config FILE")
            + " (backfill: --restart); for another --map leave the table out once, with --exclude",
        )
    if old.phase == "copying":
        return replace(old, table=table, options=wanted.options)
    if (difference := _replaced(old.table, table)) is not None:
        raise SchemaChanged(f"{table.name}: {difference}", remedy=remedy)
    return replace(old, options=wanted.options)


def returning(old: Followed, wanted: Followed) -> Followed:
    """A table that is to be copied anew: what may be done to its target stays as it was decided once."""
    return replace(
        wanted, phase="returning", floor=str(NEVER), made=old.made, may_empty=old.may_empty, as_of=None, carried=""
    )


def _settings(followed: Followed) -> tuple[dict[str, dict[str, str]], TableOptions]:
    return plain(followed.policies), followed.options.of_the_copy


def _idle(options: Options, default_schema: str, tables: Sequence[Table]) -> list[Finding]:
    """Settings for tables and columns that are not there change nothing, and would be believed to."""
    columns = {table.name: table.names for table in tables}
    excluded = [name for name in options.policies if matches(options.selection.exclude, name, default_schema)]
    named = options.wishes.idle(list(columns), default_schema)
    if isinstance(options.policies, ColumnPolicies):
        named += options.policies.idle(columns)
    named += [
        f"{name}.{column}"
        for name, chosen in options.policies.items()
        for column in chosen
        if column not in columns.get(name, ()) and name not in excluded
    ]
    needless = [t.name for t in tables if t.key and options.wishes.of(t.name, default_schema).digest_column]
    return [
        Finding("refuse", f"{name} has a key by which its rows are found", "take its digest_column out")
        for name in needless
    ] + [
        Finding("refuse", f"the settings name {each}, which is not among the followed tables", "correct the name")
        for each in named
    ]


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
            f"--map {remedies.shell(f'{f.table.name}=another_name')}",
        )
        for f in tables
        if (stream := by_place.get((places.fold(f.target.schema), places.fold(f.target.name))))
    ]


def _ours(known: StreamState | None, tables: Iterable[Followed], stands: Stands) -> dict[Name, Followed]:
    """Of these tables, what the ledger has of their targets as they stand. Another place is not meant by it; and rows
    that are there before the copy has begun are somebody else's, whoever was about to make the table."""
    before = known.tables if known else {}
    return {
        f.table.name: old
        for f in tables
        if (old := before.get(f.table.name))
        and old.target == f.target
        and not (old.phase == "chosen" and stands[f.table.name] == "filled")
    }


def _filled(stands: Stands, before: Mapping[Name, Followed], options: Options) -> list[Finding]:
    """A target table with rows in it that are not ours is refused, unless the user said what to do with them."""
    found: list[Finding] = []
    foreign: list[Name] = []
    for name, how in stands.items():
        mine = before.get(name)
        if how != "filled":
            continue
        if mine is not None and mine.phase != "chosen":
            if not mine.may_empty:
                found.append(_appended(name))
        elif not options.truncate and not options.append:
            foreign.append(name)
    if foreign:
        tables, those, it = ("table", "is", "it") if len(foreign) == 1 else ("tables", "are", "them")
        found.append(
            Finding(
                "refuse",
                f"the target {tables} for {remedies.named(foreign)} {those} not empty, and there is no saved position "
                f"for {it} in stream {options.name}; refusing to guess",
                f"empty {it}, or pass --truncate (the rows are deleted) or --append (the rows stay)",
            )
        )
    return found


def _gone(target: Target, tables: Sequence[Followed], known: StreamState | None) -> list[Finding]:
    """A copy that somebody has removed is not complete, whatever the ledger says."""
    copied = [followed for followed in tables if followed.phase in ("copied", "live")]
    return [
        Finding(
            "refuse",
            f"the target table of {name} is gone",
            RESTART if known is not None and known.phase == "backfill" else anew(name),
        )
        for name, how in target.structure.survey(copied).items()
        if how == "absent"
    ]


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
    before = _ours(state, tables, stands)
    surveyed = []
    for followed in tables:
        old = before.get(followed.table.name)
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
        and (save_shape(old.table) != save_shape(f.table) or _settings(old) != _settings(f))
    ]


def plain(policies: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    return {column: dict(chosen) for column, chosen in policies.items() if chosen}


def anew(name: Name) -> str:
    return f"copy it anew: {remedies.recopy(name)}"

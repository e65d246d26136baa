"""The results of commands, on stdout: for a person, and for `status` also as JSON (docs/reference/status.md)."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from replicator import remedies
from replicator.errors import Unfinished, UsageError
from replicator.model.stream import Followed
from replicator.pipeline.pulse import shown

if TYPE_CHECKING:
    from replicator.pipeline.checking import Checked
    from replicator.pipeline.dropping import Dropped
    from replicator.pipeline.standing import Standing

JSON_FORMAT = 1
LEVELS = {"refuse": "REFUSE", "warn": "WARN", "note": "note"}


def checked(found: Checked, name: str, verb: str) -> None:
    for followed, stored in found.tables:
        columns = ", ".join(
            f"{column.name} {column.native_name} > {kept}"
            for column, kept in zip(followed.table.columns, stored, strict=True)
        )
        click.echo(f"{'table':8}{followed.table.name} > {followed.target.name}: {columns or 'no columns'}")
    for level, word in reversed(LEVELS.items()):
        for finding in found.findings:
            if finding.level == level:
                click.echo(f"{word:8}{finding.what}")
                if finding.remedy:
                    click.echo(f"{'':8}remedy: {remedies.of_stream(finding.remedy, name)}")
    counts = Counter(finding.level for finding in found.findings)
    said = f"{counts['refuse']} to mend first, {counts['warn']} warnings"
    click.echo(f"{'ready' if found.ready else 'not ready'}: {len(found.tables)} tables to be {verb}; {said}")


def backfilled(tables: Sequence[Followed], copied: int) -> None:
    """`copied`: how many this run has copied. Raises Unfinished where the tables are of different times."""
    times = sorted({followed.as_of or "an unknown time" for followed in tables})
    if len(times) == 1:
        if copied:
            click.echo(f"copied {len(tables)} tables, as of {times[0]}")
        else:
            click.echo(f"nothing to copy: {len(tables)} tables are complete, as of {times[0]}; --restart copies anew")
        return
    for followed in sorted(tables, key=lambda each: (each.as_of or "", each.table.name)):
        click.echo(f"{followed.as_of}  {followed.table.name}")
    raise Unfinished(
        f"all {len(tables)} tables are copied, but as of {len(times)} different times, since the copy was cut off",
        remedy="where they must fit together, copy all again under one snapshot: --restart",
    )


def agreed(made: Sequence[Followed]) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("--tables asks before it drops tables, and there is nobody to ask", remedy="add --yes")
    names = ", ".join(sorted(followed.target.name for followed in made))
    return click.confirm(f"drop {len(made)} tables at the target with all their rows ({names})?", err=True)


def dropped(outcome: Dropped, name: str) -> None:
    """Raises Unfinished where something is left at the source."""
    for what in outcome.removed:
        click.echo(f"removed {what}")
    if outcome.tables:
        click.echo(f"the copied tables stay: {', '.join(sorted(outcome.tables))}")
    if outcome.left:
        raise Unfinished(
            f"left at the source: {outcome.why}; a slot that stays keeps the source's log for ever, until its disk is "
            "full",
            remedy=("run there:" if outcome.ours else "if no other target has a stream of this name, run there:")
            + "".join(f"\n    {statement}" for statement in outcome.left),
        )
    if outcome.why and not outcome.left:
        raise Unfinished(f"the target keeps nothing of {name!r}; {outcome.why}", remedy="run it again later")
    if not outcome.removed:
        click.echo(f"there is nothing of {name!r} to drop")


def status(found: Sequence[Standing]) -> None:
    if not found:
        click.echo("no streams")
    for each in found:
        document = _document(each)
        click.echo(f"{document['name']}: {document['phase']}, {'running' if each.running else 'not running'}")
        for key in ("source", "position", "publication", "slot"):
            if document[key] is not None:
                click.echo(f"  {key:12}{document[key]}")
        if each.heard is not None:
            _say_runner(document["runner"], each.running)
        tables = document["tables"]
        phases = Counter(table["phase"] for table in tables)
        click.echo(f"  {'tables':12}{len(tables)}: {', '.join(f'{n} {phase}' for phase, n in sorted(phases.items()))}")
        for table in tables:
            as_of = f", copied as of {table['as_of']}" if table["as_of"] else ""
            gave_way = f", {table['overwritten']:,} rows overwritten" if table["overwritten"] else ""
            click.echo(f"    {table['source']} > {table['target']}: {table['phase']}{as_of}{gave_way}")


def _say_runner(runner: dict[str, Any], running: bool) -> None:
    ago = time.time() - runner["heard_at"]
    said = f"last heard {ago:.0f} s ago"
    if running and ago > 15:
        said = f"applying or copying since {ago:.0f} s ago"
    click.echo(f"  {'runner':12}pid {runner['pid']} on {runner['host']}, {said}")
    if runner["lag_seconds"] is not None:
        click.echo(f"  {'lag':12}{runner['lag_seconds']:.1f} s")
    if runner["retained_bytes"] is not None:
        click.echo(f"  {'kept log':12}{_kept(runner)}")
    if runner["danger"] is not None:
        click.echo(f"  {'danger':12}{runner['danger']}")
    if runner["error"] is not None:
        click.echo(f"  {'last error':12}{runner['error']}")


def _kept(runner: dict[str, Any]) -> str:
    parts = [f"{shown(runner['retained_bytes'])} at the source"]
    if runner["room_bytes"] is not None:
        parts.append(f"lost after {shown(max(0, runner['room_bytes']))} more")
    if runner["keeps_seconds"] is not None:
        parts.append(f"there for {runner['keeps_seconds'] / 3600:.1f} h at least once the stream stands")
    return ", ".join(parts)


def status_json(found: Sequence[Standing]) -> None:
    click.echo(json.dumps({"format": JSON_FORMAT, "streams": [_document(each) for each in found]}, indent=2))


def _document(each: Standing) -> dict[str, Any]:
    state, heard = each.state, each.heard
    log = state.phase != "backfill"
    return {
        "name": state.identity.name,
        "phase": state.phase,
        "running": each.running,
        "source": json.loads(state.source).get("url"),
        "position": state.mark,
        "publication": (state.identity.publication or state.identity.object_name) if log else None,
        "slot": (state.identity.slot or state.identity.object_name) if log else None,
        "runner": None
        if heard is None
        else {
            "pid": heard.pid,
            "host": heard.host,
            "started_at": heard.started_at,
            "heard_at": heard.at,
            "head": heard.head,
            "lag_seconds": heard.lag_seconds,
            "retained_bytes": heard.retained_bytes,
            "room_bytes": heard.room_bytes,
            "keeps_seconds": heard.keeps_seconds,
            "danger": heard.danger,
            "error": heard.error,
        },
        "tables": [
            {
                "source": str(followed.table.name),
                "target": followed.target.name,
                "phase": followed.phase,
                "floor": followed.floor,
                "as_of": followed.as_of,
                "insert_only": followed.options.insert_only,
                "overwritten": followed.overwritten,
            }
            for _, followed in sorted(state.tables.items())
        ],
    }

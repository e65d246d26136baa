"""The command line: options to a configuration, errors to exit codes. No logic."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

import click
from pydantic import SecretStr

from replicator import __version__, config, logs, printing, remedies
from replicator.engine import find
from replicator.errors import GaveUp, Refused, ReplicatorError, Retryable, UsageError
from replicator.pipeline.options import End, Options
from replicator.pipeline.stop import Stop

log = logging.getLogger("replicator")
_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Commands(click.Group):
    """Errors become exit codes here, once for all commands."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Retryable as error:
            # Of a command that does not wait for its peers.
            _fail(GaveUp(error.what, remedy="start the server, or correct the URL; then run it again"))
        except ReplicatorError as error:
            _fail(error, ctx.obj or remedies.DEFAULT)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            # Neither a stack trace nor a driver's text, which may quote a row, unless they are asked for.
            if log.isEnabledFor(logging.DEBUG):
                raise
            _fail(
                ReplicatorError(
                    f"unexpected failure: {type(error).__name__}",
                    remedy="the saved position is kept; run again with --verbose for the trace, and report it",
                )
            )


def _fail(error: ReplicatorError, name: str = remedies.DEFAULT) -> NoReturn:
    logs.ended(remedies.of_stream(error.what, name), remedies.of_stream(error.remedy, name), error.exit_code)
    sys.exit(error.exit_code)


def _pair(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        old, equals, new = value.rpartition("=")
        if not equals or not old or not new:
            raise click.BadParameter(f"{value!r} is not OLD=NEW")
        pairs[old] = new
    return pairs


def _options(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    def apply(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


_source = click.argument("source", required=False)
_target = click.argument("target", required=False)
_common = _options(
    click.option("--config", "file", type=click.Path(path_type=Path), help="TOML file with any of these settings."),
    click.option("--name", help="The stream's name: a-z, 0-9 and _, at most 40. [default: default]"),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="Lines on stderr. [default: text]"),
    click.option("-v", "--verbose", is_flag=True, help="Say more."),
)
_selection = _options(
    click.option(
        "--table",
        "tables",
        multiple=True,
        metavar="PATTERN",
        help="schema.table with *; repeatable. [default: public.*; of other engines the database's own tables]",
    ),
    click.option("--exclude", multiple=True, metavar="PATTERN", help="Tables to leave out; repeatable."),
    click.option(
        "--map",
        multiple=True,
        metavar="OLD=NEW",
        callback=_pair,
        help="schema.table=name: where it lands; repeatable.",
    ),
)
_insert_only = click.option(
    "--insert-only",
    multiple=True,
    metavar="PATTERN",
    help="Tables of which only inserts and TRUNCATE are followed; they need no key. Repeatable.",
)
_filled = _options(
    click.option("--truncate", is_flag=True, default=None, help="Empty target tables that have rows."),
    click.option("--append", is_flag=True, default=None, help="Copy beside the rows that target tables have."),
)
_untested = click.option(
    "--allow-untested",
    is_flag=True,
    default=None,
    help="Take a server of a version that is not known, or behind a proxy.",
)
_give_up = click.option(
    "--give-up-after", type=float, metavar="SECONDS", help="Exit 6 when a peer stays away this long."
)
_max_retained = click.option(
    "--max-retained",
    metavar="SIZE",
    help="Give up the stream's slot (exit 4) when the source keeps more log for it: 50GB.",
)
ONE_SHOT_S = 300.0
"""How long a command that promises an end waits for a peer that is away."""


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="replicator")
def main() -> None:
    """Copy and follow databases: each source transaction once, whole, and in order.

    SOURCE and TARGET are postgresql://user@host:port/database, mysql://, mariadb:// or sqlite:///file.db, which as a
    SOURCE is for `backfill` alone. Passwords: REPLICATOR_SOURCE_PASSWORD and REPLICATOR_TARGET_PASSWORD, the files that
    the same with _FILE behind them name, or ~/.pgpass.
    """


@main.command()
@_source
@_target
@_common
@_selection
@_insert_only
@_filled
@_untested
@click.option("--backfill", is_flag=True, help="Check for `backfill`, which needs no log, instead of `sync`.")
@click.option("--values", is_flag=True, help="Read every row too, and look for what the target cannot hold.")
def check(file: Path | None, verbose: bool, backfill: bool, values: bool, **given: Any) -> None:
    """Is everything ready? Every failed check prints what mends it; makes nothing.

    Exits with 3 where `sync` (or `backfill`) would refuse.
    """
    from replicator.pipeline.checking import check_backfill, check_sync

    settings = _settings(file, verbose, given)
    source, target = _ends(settings)
    follows = source.engine.capabilities.reads_log and not backfill
    checked = (check_sync if follows else check_backfill)(source, target, _asked(settings, target), values=values)
    printing.checked(checked, settings.name, "followed" if follows else "copied")
    sys.exit(0 if checked.ready else Refused.exit_code)


@main.command()
@_source
@_target
@_common
@_selection
@_insert_only
@_filled
@_untested
@click.option("--once", is_flag=True, help="Stop when all that was committed before the start is applied.")
@_give_up
@_max_retained
def sync(file: Path | None, verbose: bool, once: bool, **given: Any) -> None:
    """Copy what is missing, then follow the log until stopped."""
    from replicator.pipeline.sync import Sync
    from replicator.terminal import copy_report

    settings = _settings(file, verbose, given)
    stop = _stop(8 if once else 0)
    source, target = _ends(settings, log=True)
    options = replace(
        _asked(settings, target),
        once=once,
        give_up_s=settings.give_up_after or (ONE_SHOT_S if once else None),
        max_retained=settings.max_retained,
    )
    if options.max_retained is not None and not source.engine.capabilities.keeps_log:
        raise UsageError(
            "max_retained: this source keeps its log by time, whoever reads it",
            remedy="binlog_expire_logs_seconds at the source says for how long",
        )
    with copy_report() as report:
        mark = Sync(source, target, options, stop, report).run()
    click.echo(f"{'everything is applied, at' if once else 'stopped cleanly at'} {mark or 'no position yet'}")


@main.command()
@_source
@_target
@_common
@_selection
@_filled
@_untested
@click.option("--restart", is_flag=True, help="Copy all tables again, under one snapshot.")
@_give_up
def backfill(file: Path | None, verbose: bool, restart: bool, **given: Any) -> None:
    """Copy a snapshot of the tables, once. Needs no log, and makes nothing at the source.

    A run that was cut off goes on where it stopped; since a snapshot cannot be taken up again, its tables then stand
    at different times, which are printed (exit 8).
    """
    from replicator.pipeline.backfill import Backfill
    from replicator.terminal import copy_report

    settings = _settings(file, verbose, given)
    stop = _stop(8)
    source, target = _ends(settings)
    options = replace(_asked(settings, target), restart=restart, give_up_s=settings.give_up_after or ONE_SHOT_S)
    with copy_report() as report:
        command = Backfill(source, target, options, stop, report)
        tables = command.run()
    printing.backfilled(tables, command.copied)


@main.command()
@_source
@_target
@click.argument("tables", nargs=-1, metavar="TABLE...")
@_common
@_untested
@click.option("--all", "everything", is_flag=True, help="All tables, under a new slot: for a position that is lost.")
@_give_up
def recopy(file: Path | None, verbose: bool, tables: tuple[str, ...], everything: bool, **given: Any) -> None:
    """Copy tables of a stopped stream again; `sync` then goes on. TABLE is schema.table, with * for any text.

    The columns' and tables' settings stay as they were, or with --config become those of the file.
    """
    from replicator.pipeline.recopy import Recopy
    from replicator.terminal import copy_report

    # With SOURCE and TARGET in the configuration file, the first words are tables.
    words = [word for word in (given["source"], given["target"], *tables) if word is not None]
    urls, tables = [word for word in words if "://" in word], tuple(word for word in words if "://" not in word)
    given["source"], given["target"] = [*urls, None, None][:2]
    if everything == bool(tables):
        raise UsageError("name the tables to copy again, or give --all", remedy="replicator recopy --help")
    settings = _settings(file, verbose, given)
    stop = _stop(8)
    source, target = _ends(settings, log=True)
    options = replace(
        _asked(settings, target),
        recopy=tables,
        own_settings=file is not None,
        give_up_s=settings.give_up_after or ONE_SHOT_S,
    )
    with copy_report() as report:
        copied = Recopy(source, target, options, stop, report).copied()
    click.echo(f"copied again: {remedies.named(copied)}; `replicator sync` goes on from here")


@main.command()
@_target
@_common
@click.option("--json", "as_json", is_flag=True, help="One JSON document (docs/reference/status.md).")
def status(file: Path | None, verbose: bool, as_json: bool, **given: Any) -> None:
    """Streams, tables, positions and lag, as the target has them; needs no source."""
    from replicator.pipeline.standing import standings

    settings = config.load(file, given, ends=("target",))
    logs.configure(settings.log_format, verbose=verbose)
    named = given["name"] is not None or "name" in settings.model_fields_set
    (printing.status_json if as_json else printing.status)(
        standings(_end("TARGET", settings.target), settings.name if named else None)
    )


@main.command()
@_source
@_target
@_common
@click.option("--tables", "with_tables", is_flag=True, help="Drop the copied tables too (asks first).")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--leave-source", is_flag=True, help="Forget the stream even if its source cannot be reached.")
def drop(file: Path | None, verbose: bool, with_tables: bool, yes: bool, leave_source: bool, **given: Any) -> None:
    """Remove what the tool made: slot, publications, bookkeeping. Never the copied tables, unless --tables.

    Exits with 8 where something is left for you to run at the source.
    """
    from replicator.pipeline.dropping import drop as remove

    settings = _settings(file, verbose, given)
    source, target = _ends(settings)
    dropped = remove(
        source,
        target,
        settings.name,
        tables=with_tables,
        leave_source=leave_source,
        agreed=(lambda made: True) if yes else printing.agreed,
    )
    printing.dropped(dropped, settings.name)


def _settings(file: Path | None, verbose: bool, given: dict[str, Any]) -> config.Config:
    settings = config.load(file, given)
    logs.configure(settings.log_format, verbose=verbose)
    click.get_current_context().find_root().obj = settings.name  # for the remedies
    return settings


def _stop(exit_code: int) -> Stop:
    stop = Stop(exit_code)
    stop.install()
    return stop


def _asked(settings: config.Config, target: End) -> Options:
    return Options(
        settings.name,
        settings.selection,
        settings.objects,
        settings.policies(target.engine.policies()),
        settings.wishes,
        truncate=settings.truncate,
        append=settings.append,
        allow_untested=settings.allow_untested,
    )


def _ends(settings: config.Config, *, log: bool = False) -> tuple[End, End]:
    source, target = _end("SOURCE", settings.source), _end("TARGET", settings.target)
    if log and not source.engine.capabilities.reads_log:
        raise UsageError("SOURCE: this engine has no log to follow", remedy="`replicator backfill` copies it once")
    if not target.engine.capabilities.writes:
        raise UsageError("TARGET: this engine is not a target yet", remedy="use sqlite:///file.db")
    if source.engine is target.engine and source.endpoint.place == target.endpoint.place:
        raise UsageError("SOURCE and TARGET are the same database")
    return source, target


def _end(role: Literal["SOURCE", "TARGET"], url: SecretStr | None) -> End:
    assert url is not None
    text = url.get_secret_value()
    try:
        engine = find(text)
        endpoint = engine.endpoint(text, config.password(role))
    except UsageError as error:
        raise UsageError(f"{role}: {error.what}", remedy=error.remedy) from None
    if endpoint.shown != text and "***" in endpoint.shown and any(text in word for word in sys.argv):
        log.warning(
            "the password in %s can be seen in the list of processes; prefer "
            "REPLICATOR_%s_PASSWORD, its _FILE form or ~/.pgpass",
            endpoint.shown,
            role,
        )
    return End(engine, endpoint)


@main.command()
@click.option("--seconds", default=15.0, show_default=True, help="How long the writer runs.")
@click.option("--file", "path", default="demo.db", show_default=True, type=click.Path(path_type=Path))
def demo(seconds: float, path: Path) -> None:
    """Embedded PostgreSQL to a SQLite file, live; no server needed."""
    from replicator.demo.run import run

    sys.exit(run(path, seconds))

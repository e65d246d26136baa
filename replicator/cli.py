"""The command line: options to a configuration, errors to exit codes. No logic."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from replicator import __version__, config, logs
from replicator.engine import find
from replicator.errors import ReplicatorError, UsageError
from replicator.pipeline.stop import Stop

log = logging.getLogger("replicator")
_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Commands(click.Group):
    """Errors become exit codes here, once for all commands."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ReplicatorError as error:
            _fail(error)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
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


def _fail(error: ReplicatorError) -> NoReturn:
    click.echo(f"error: {error}", err=True)
    sys.exit(error.exit_code)


def _pair(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        old, equals, new = value.rpartition("=")
        if not equals or not old or not new:
            raise click.BadParameter(f"{value!r} is not OLD=NEW")
        pairs[old] = new
    return pairs


def _stream_options(command: _Command) -> _Command:
    """SOURCE and TARGET, and what every command on them takes."""
    options: list[Callable[[_Command], _Command]] = [
        click.argument("source", required=False),
        click.argument("target", required=False),
        click.option("--config", "file", type=click.Path(path_type=Path), help="TOML file with any of these settings."),
        click.option("--name", help="The stream's name: a-z, 0-9 and _, at most 40. [default: default]"),
        click.option("--table", "tables", multiple=True, metavar="PATTERN", help="schema.table with *; repeatable."),
        click.option("--exclude", multiple=True, metavar="PATTERN", help="Tables to leave out; repeatable."),
        click.option(
            "--map", multiple=True, metavar="OLD=NEW", callback=_pair, help="Where a table lands; repeatable."
        ),
        click.option("--truncate", is_flag=True, default=None, help="Empty target tables that have rows."),
        click.option("--append", is_flag=True, default=None, help="Copy beside the rows that target tables have."),
        click.option("--log-format", type=click.Choice(["text", "json"]), help="Lines on stderr. [default: text]"),
        click.option("-v", "--verbose", is_flag=True, help="Say more."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="replicator")
def main() -> None:
    """Copy and follow databases: each source transaction once, whole, and in order."""


@main.command()
@_stream_options
@click.option("--once", is_flag=True, help="Stop when all that was committed before the start is applied.")
@click.option("--give-up-after", type=float, metavar="SECONDS", help="Exit 6 when a peer stays away this long.")
def sync(file: Path | None, verbose: bool, once: bool, **given: Any) -> None:
    """Copy what is missing, then follow the log until stopped."""
    from replicator.pipeline.options import SyncOptions
    from replicator.pipeline.sync import Sync
    from replicator.terminal import copy_report

    settings = config.load(file, given)
    logs.configure(settings.log_format, verbose=verbose)
    stop = Stop(exit_code=8 if once else 0)
    stop.install()
    source, target = _ends(settings)
    options = SyncOptions(
        settings.name,
        settings.selection,
        settings.objects,
        settings.policies(target.engine.policies()),
        truncate=settings.truncate,
        append=settings.append,
        once=once,
        give_up_s=settings.give_up_after or (300.0 if once else None),
    )
    with copy_report() as report:
        mark = Sync(source, target, options, stop, report).run()
    click.echo(f"{'everything is applied, at' if once else 'stopped cleanly at'} {mark or 'no position yet'}")


def _ends(settings: config.Config) -> tuple[Any, Any]:
    from replicator.pipeline.options import End

    found = []
    for role, url in (("SOURCE", settings.source), ("TARGET", settings.target)):
        text = url.get_secret_value()
        try:
            engine = find(text)
            endpoint = engine.endpoint(text, config.password(role))  # type: ignore[arg-type]
        except UsageError as error:
            raise UsageError(f"{role}: {error.what}", remedy=error.remedy) from None
        if endpoint.shown != text and "***" in endpoint.shown and any(text in word for word in sys.argv):
            log.warning(
                "the password in %s can be seen in the list of processes; prefer "
                "REPLICATOR_%s_PASSWORD, its _FILE form or ~/.pgpass",
                endpoint.shown,
                role,
            )
        found.append(End(engine, endpoint))
    if not found[0].engine.capabilities.reads_log:
        raise UsageError("SOURCE: this engine has no log to follow")
    if not found[1].engine.capabilities.writes:
        raise UsageError("TARGET: this engine is not a target yet", remedy="use sqlite:///file.db")
    return found[0], found[1]


@main.command()
@click.option("--seconds", default=15.0, show_default=True, help="How long the writer runs.")
@click.option("--file", "path", default="demo.db", show_default=True, type=click.Path(path_type=Path))
def demo(seconds: float, path: Path) -> None:
    """Embedded PostgreSQL to a SQLite file, live; no server needed."""
    from replicator.demo.run import run

    sys.exit(run(path, seconds))

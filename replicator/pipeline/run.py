"""What every command that copies shares: both ends opened anew for each attempt, errors that may pass tried again."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import Generic, TypeVar

from replicator.engine import CopySource, Target
from replicator.errors import Fenced, LoginRefused, ReplicatorError, Retryable
from replicator.model.stream import StreamState
from replicator.pipeline.options import End, Options
from replicator.pipeline.preflight import admit
from replicator.pipeline.progress import Counted, Report
from replicator.pipeline.pulse import Pulse
from replicator.pipeline.retry import until_done
from replicator.pipeline.stop import Stop

log = logging.getLogger("replicator")
AnySource = TypeVar("AnySource", bound=CopySource)


class Run(Generic[AnySource]):
    """`_open` and `_work` are the command's own. After any failure the ledger is the whole truth: nothing that an
    attempt has learned is carried into the next."""

    def __init__(self, source: End, target: End, options: Options, stop: Stop, report: Report) -> None:
        self._source_end = source
        self._target_end = target
        self._options = options
        self._stop = stop
        self._report = Counted(report)
        self._pulse = Pulse(options.name, options.max_retained)
        self._epoch: int | None = None
        """The one that this run holds, once it has claimed the stream: another one in the ledger ends it."""

    def _open(self) -> AnySource:
        raise NotImplementedError

    def _work(self, source: AnySource, target: Target) -> None:
        raise NotImplementedError

    def _until_done(self) -> None:
        until_done(self._attempt, lambda: self._report.signs, self._stop, self._options.give_up_s)

    def _attempt(self) -> None:
        """A server that has let us in before and now ends a login is shutting down, or starting, or cut off."""
        try:
            with ExitStack() as ends:
                target = self._target_end.engine.target(self._target_end.endpoint)
                ends.callback(target.close)
                self._stop.cancel = target.cancel
                admit(target.findings())
                try:
                    source = self._open()
                    ends.callback(source.close)
                    self._work(source, target)
                except Fenced:
                    raise
                except ReplicatorError as error:
                    self._tell(target, error)
                    raise
        except LoginRefused as error:
            if self._epoch is None:
                raise
            raise Retryable(error.what, remedy=error.remedy) from error

    def _hold(self, known: StreamState | None, state: StreamState) -> None:
        """The stream is claimed. `known`: what was in the ledger when this attempt looked at it, without holding it.

        Raises Retryable where another run has held it since then: what was chosen may be out of date.
        """
        self._epoch = state.epoch
        if state.epoch != (known.epoch if known else 0) + 1:
            raise Retryable(f"another run has had stream {state.identity.name!r} while this one was starting")

    def _tell(self, target: Target, error: ReplicatorError) -> None:
        """Leave the error where `status` finds it. The connection may be what has failed: then nobody is told."""
        if self._epoch is None:
            return
        try:
            target.applier.rollback()
            self._pulse.say(target.ledger, error=error.what)
        except Exception as failure:
            log.debug("the error could not be left at the target: %s", type(failure).__name__)

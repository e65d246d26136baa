"""The one policy for errors that may pass: close both ends, wait, start again at the last mark."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import tenacity

from replicator.errors import GaveUp, Retryable
from replicator.pipeline.stop import Stop

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
log = logging.getLogger("replicator")


class _Failures:
    """How long and how often attempts have failed since the last sign of life."""

    def __init__(self) -> None:
        self._signs = 0
        self.count = 0
        self.since = 0.0

    def note(self, signs: int) -> None:
        """One more failure; `signs` counts the signs of life so far."""
        if self.count == 0 or signs != self._signs:
            self.count, self.since = 0, time.monotonic()
        self._signs = signs
        self.count += 1


class _Wait(tenacity.wait.wait_base):
    """Growing waits with jitter, which begin anew after a sign of life."""

    def __init__(self, failures: _Failures) -> None:
        self._failures = failures
        self._growing = tenacity.wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        retry_state.attempt_number = self._failures.count
        return self._growing(retry_state)


class _Stop(tenacity.stop.stop_base):
    """A stop is asked for, or the failures have lasted too long."""

    def __init__(self, failures: _Failures, stop: Stop, give_up_s: float | None) -> None:
        self._failures, self._stop, self._limit = failures, stop, give_up_s

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        lasted = time.monotonic() - self._failures.since
        return self._stop.requested or (self._limit is not None and lasted >= self._limit)


def until_done(attempt: Callable[[], None], signs: Callable[[], int], stop: Stop, give_up_s: float | None) -> None:
    """Run `attempt` until it returns, or a stop is asked for.

    `signs` counts signs of life: what became durable. Raises GaveUp when `give_up_s` seconds have passed since the
    first failure after the last of them.
    """
    failures = _Failures()
    trials = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Retryable),
        wait=_Wait(failures),
        stop=_Stop(failures, stop, give_up_s),
        sleep=stop.sleep,
        before_sleep=_say,
    )

    def tried() -> None:
        if stop.requested:
            return
        try:
            attempt()
        except Retryable:
            failures.note(signs())
            raise

    try:
        trials(tried)
    except tenacity.RetryError as error:
        last = error.last_attempt.exception()
        assert isinstance(last, Retryable)
        if stop.requested:
            return
        raise GaveUp(
            f"gave up after {give_up_s:.0f} s: {last.what}",
            remedy="mend the peer, then start again: it goes on from the saved position",
        ) from last


def _say(state: tenacity.RetryCallState) -> None:
    assert state.outcome is not None and state.next_action is not None
    error = state.outcome.exception()
    assert isinstance(error, Retryable)
    log.warning("%s; trying again in %.1f s", error.what, state.next_action.sleep)

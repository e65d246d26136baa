"""The one policy for errors that may pass: close both ends, wait, start again at the last mark."""

from __future__ import annotations

import logging
from collections.abc import Callable

import tenacity

from replicator.errors import GaveUp, Retryable
from replicator.pipeline.stop import Stop

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
log = logging.getLogger("replicator")


def until_done(
    attempt: Callable[[], None], progressed: Callable[[], bool], stop: Stop, give_up_s: float | None
) -> None:
    """Run `attempt` until it returns, or a stop is asked for.

    The waits grow with jitter, and begin anew after an attempt that `progressed`. Raises GaveUp when no attempt has
    progressed for `give_up_s` seconds.
    """
    again = True
    while again and not stop.requested:
        again = False
        try:
            for trial in _trials(stop, give_up_s):
                with trial:
                    try:
                        attempt()
                    except Retryable as error:
                        if stop.requested:
                            return
                        if progressed():
                            _say(error, 0.0)
                            again = True
                        else:
                            raise
        except tenacity.RetryError as error:
            last = error.last_attempt.exception()
            assert isinstance(last, Retryable)
            if stop.requested:
                return
            raise GaveUp(
                f"gave up after {give_up_s:.0f} s: {last.what}",
                remedy="mend the peer, then start again: it goes on from the saved position",
            ) from last


class _Either(tenacity.stop.stop_base):
    """The time is up, or a stop is asked for."""

    def __init__(self, limit: tenacity.stop.stop_base, stop: Stop) -> None:
        self._limit, self._stop = limit, stop

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        return self._stop.requested or self._limit(retry_state)


def _trials(stop: Stop, give_up_s: float | None) -> tenacity.Retrying:
    limit = tenacity.stop_after_delay(give_up_s) if give_up_s is not None else tenacity.stop_never
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Retryable),
        wait=tenacity.wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S),
        stop=_Either(limit, stop),
        sleep=stop.sleep,
        before_sleep=_before_sleep,
    )


def _before_sleep(state: tenacity.RetryCallState) -> None:
    assert state.outcome is not None and state.next_action is not None
    error = state.outcome.exception()
    assert isinstance(error, Retryable)
    _say(error, state.next_action.sleep)


def _say(error: Retryable, wait: float) -> None:
    log.warning("%s; trying again in %.1f s", error.what, wait)

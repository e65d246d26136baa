"""Programs started by tests end with them, and the faulty applier fails where it was told to."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import wait
from tests.support.faults import FAILPOINTS, FailingApply, FaultyApplier, frozen, run_program, run_replicator


def python(script: str, **env: str) -> Any:
    return run_program([sys.executable, "-c", script], env)


def test_a_program_runs_to_its_end_and_its_output_stays() -> None:
    with python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(5)") as program:
        assert program.wait(30) == 5
        assert not program.running()
    assert (program.stdout(), program.stderr()) == ("out\n", "err\n")


def test_much_output_does_not_block() -> None:
    with python("print('x' * 5_000_000)") as program:
        assert program.wait(30) == 0
    assert len(program.stdout()) == 5_000_001


def test_a_program_that_does_not_end_is_ended_with_its_children() -> None:
    script = (
        "import subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)']);"
        "print('child', child.pid, 'started'); time.sleep(100)"
    )
    with python(script) as program:
        child = int(program.wait_for_text("started", 30).split()[1])
        with pytest.raises(AssertionError, match="still running"):
            program.wait(0.1)
    assert program.wait(0) == -signal.SIGKILL

    def gone() -> bool:
        return not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE

    wait.until(gone, 10, "the child to end")


def test_kill_and_signal() -> None:
    with python("import time; print('up'); time.sleep(100)") as program:
        program.wait_for_text("up")
        program.signal(signal.SIGTERM)
        assert program.wait(30) == -signal.SIGTERM
        program.signal(signal.SIGTERM)
        assert program.kill() == -signal.SIGTERM


def test_waiting_for_text_ends_with_the_program() -> None:
    never = pytest.raises(AssertionError, match=r"'ready' was never printed \(ended with 0\)")
    with python("print('something else')") as program, never:
        program.wait_for_text("ready", 30)


def test_frozen_means_standing_still() -> None:
    script = "import time\nwhile True: print(time.time()); time.sleep(0.01)"
    with python(script) as program:
        wait.until(program.stdout, 30, "the first line")
        with frozen(program.pid):
            wait.until(lambda: psutil.Process(program.pid).status() == psutil.STATUS_STOPPED, 5, "a stop")
            before = program.stdout()
            time.sleep(0.1)
            assert program.stdout() == before
        wait.until(lambda: program.stdout() != before, 10, "more lines")
        os.kill(program.pid, signal.SIGSTOP)
    assert not program.running()


def test_a_frozen_block_survives_the_end_of_its_process() -> None:
    with python("import time; time.sleep(100)") as program, frozen(program.pid):
        program.kill()


def test_failpoints_are_handed_on_and_never_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    show = "import os; print(os.environ.get('REPLICATOR_FAILPOINT'))"
    monkeypatch.setenv("REPLICATOR_FAILPOINT", "shutdown=kill")
    with python(show) as program:
        assert program.wait(30) == 0
        assert program.stdout() == "None\n"


@pytest.mark.parametrize("wrong", ["row_aplied=kill", "row_applied", "row_applied:x=kill", "row_applied=die"])
def test_a_misspelt_failpoint_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="no such failpoint"):
        run_replicator(["--help"], failpoint=wrong)


def test_the_failpoints_are_those_of_the_product() -> None:
    """A plain reading of the file: this library imports nothing of the product."""
    source = Path(__file__).parents[2].joinpath("replicator", "failpoints.py").read_text(encoding="utf-8")
    assert all(f'"{name}"' in source for name in FAILPOINTS)


class Recorder:
    """An applier that remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[str] = []
        self.closed = False

    def prepare(self, tables: list[str]) -> list[str]:
        return tables

    def apply(self, batch: str) -> str:
        self.batches.append(batch)
        return f"did {batch}"

    def close(self) -> None:
        self.closed = True


def test_the_applier_passes_everything_on() -> None:
    real = Recorder()
    applier = FaultyApplier(real)
    assert applier.prepare(["t"]) == ["t"]
    assert applier.apply("a") == "did a"
    assert applier.batches == ["a"]
    applier.rollback()
    assert not real.closed
    applier.close()
    assert (real.closed, applier.calls, applier.applied) == (True, 1, 1)


def test_reject_applies_nothing_and_fail_after_everything() -> None:
    real = Recorder()
    applier = FaultyApplier(real).reject(2).fail_after(3, lambda: OSError("lost"))
    applier.apply("a")
    with pytest.raises(FailingApply):
        applier.apply("b")
    with pytest.raises(OSError, match="lost"):
        applier.apply("b")
    applier.apply("c")
    assert real.batches == ["a", "b", "c"]
    applier.reject(2)
    other = Recorder()
    applier.around(other).apply("d")
    with pytest.raises(FailingApply):
        applier.apply("e")
    assert other.batches == ["d"]


def test_hold_blocks_until_released() -> None:
    real = Recorder()
    applier = FaultyApplier(real)
    gate = applier.hold(2)
    applier.apply("a")
    thread = threading.Thread(target=applier.apply, args=("b",))
    thread.start()
    assert applier.holding.wait(10)
    assert real.batches == ["a"]
    gate.set()
    thread.join(10)
    assert real.batches == ["a", "b"]


def test_slow_is_slow() -> None:
    applier = FaultyApplier(Recorder()).slow(0.05)
    start = time.monotonic()
    applier.apply("a")
    assert time.monotonic() - start >= 0.05


def test_until_names_what_it_waited_for(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"waited 0\.05 s in vain for the moon; last seen: \[\]"):
        wait.until(list, 0.05, "the moon")
    assert wait.until(lambda: 7, 0, "seven") == 7
    path = tmp_path / "file"
    with pytest.raises(AssertionError, match="the file"):
        wait.for_file(path, 0.05)
    path.write_text("content")
    assert wait.for_file(path, 1, "tent") == "content"
    with pytest.raises(AssertionError, match="listener"):
        wait.for_port(1, timeout=0.05)

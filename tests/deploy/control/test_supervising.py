"""The supervisor: what ends it, what it starts again, after how long."""

import os
import signal
import subprocess
import sys
import time

import pytest

from descent.deploy.control import supervising
from descent.deploy.control.supervising import CANNOT_START, delays


def supervised(code, tmp_path):
    """A supervisor over `python -c code`, with `n` the number of the child."""
    counted = (
        f"import sys, os, time, pathlib\np = pathlib.Path({str(tmp_path / 'n')!r})\n"
        "n = int(p.read_text()) + 1 if p.exists() else 1\np.write_text(str(n))\n" + code
    )
    file = supervising.__file__
    return subprocess.Popen(
        [sys.executable, "-P", "-S", file, "0", "1", sys.executable, "-S", "-c", counted],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("code", [0, CANNOT_START])
def test_an_orderly_end_is_an_end(tmp_path, code):
    with supervised(f"sys.exit({code})", tmp_path) as process:
        process.communicate(timeout=10)
    assert process.returncode == code
    assert (tmp_path / "n").read_text() == "1"


def test_a_death_is_answered(tmp_path):
    with supervised("os.kill(os.getpid(), 9) if n == 1 else sys.exit(0)", tmp_path) as process:
        out, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "died (signal 9); again in 0.1 s" in out
    assert (tmp_path / "n").read_text() == "2"


def test_one_that_never_lives_is_given_up(tmp_path):
    with supervised("sys.exit(1)", tmp_path) as process:
        out, _ = process.communicate(timeout=10)
    assert process.returncode == CANNOT_START
    assert "given up" in out
    assert (tmp_path / "n").read_text() == "3"


def test_one_that_was_up_is_never_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("DESCENT_HOME", str(tmp_path))
    code = (
        f"pathlib.Path({str(tmp_path / 'node.json')!r}).write_text('{{\"pid\": %d}}' % os.getpid())\n"
        "sys.exit(0 if n == 5 else 1)"
    )
    with supervised(code, tmp_path) as process:
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "given up" not in out
    assert (tmp_path / "n").read_text() == "5"


def test_a_signal_is_handed_on_and_ends_it(tmp_path):
    with supervised("time.sleep(30)", tmp_path) as process:
        until = time.monotonic() + 10
        while not (tmp_path / "n").exists() and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGTERM)
        process.communicate(timeout=10)
    assert (tmp_path / "n").read_text() == "1"


def test_a_signal_that_comes_while_the_child_is_being_started_ends_it(monkeypatch):
    class Told(subprocess.Popen):
        def __init__(self, *args, **options):
            signal.raise_signal(signal.SIGTERM)
            super().__init__(*args, **options)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(subprocess, "Popen", Told)
    try:
        sleeping = [sys.executable, "-S", "-c", "import time; time.sleep(30)"]
        assert supervising.supervise(sleeping, []) == -signal.SIGTERM
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_delays_double_and_begin_again_after_a_long_life():
    waits, wait = [], 0.0
    for _ in range(9):
        wait = delays(1.0, wait)
        waits.append(wait)
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0])
    assert delays(61.0, 10.0) == 0.1

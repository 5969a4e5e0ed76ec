"""The benchmark harness: medians, ratios, bars, absent peers. No timings here."""

import json

import numpy as np
import pytest

from bench import report, store
from bench.compare import Bar, Result, compare
from bench.race import Work, race
from bench.sides.gpt import Shape, weights
from bench.sides.llmc import write_checkpoint
from bench.sides.process import Side

HERE = "tests.test_bench:"


def halving(data):
    """A side: halves a number at each step."""
    x = float(data["x"][0])

    def run(n):
        nonlocal x
        x /= 2**n
        return x

    return run


def needing_what_is_not_there(data):
    import a_package_nobody_has  # noqa: F401


def without_checkout(data):
    raise FileNotFoundError(2, "no checkout", "/nowhere/llm.c")


def breaking_in_step(data):
    def run(n):
        raise ZeroDivisionError("in the step")

    return run


def dying(data):
    import os

    os._exit(3)


def work(*sides, **settings):
    return Work(
        "halving",
        lambda: {"x": np.array([1024.0])},
        sides,
        **{"steps": 2, "check": 3, "rounds": 3, "busy": True} | settings,
    )


RESULT = Result(
    "a work",
    {"descent": 2.0, "torch eager": 5.0, "torch.compile": 3.0},
    {"descent": 1.00001, "torch eager": 1.0, "torch.compile": 1.0},
    memory={"descent": 60e6, "torch eager": 100e6},
    bars=(
        Bar(2.5, ("torch eager",)),
        Bar(2, ("torch eager", "torch.compile")),
        Bar(1 / 0.75, ("torch eager",), of="memory"),
        Bar(1, ("jax",)),
    ),
    absent={"jax": "missing: jax is not installed"},
)


def test_bars_are_met_or_missed_against_the_best_peer():
    lines = [report.bar_line(RESULT, bar)[1:] for bar in RESULT.bars]
    assert lines == [
        ("≥ 2.5×", "2.5×", "**met**"),
        ("≥ 2×", "1.5×", "missed: 25 % short"),
        ("≤ 0.75×", "0.6×", "**met**"),
        ("≥ 1×", "—", "not measured (jax: missing: jax is not installed)"),
    ]
    assert report.summary([RESULT]).startswith("2 of 4 bars met, 1 missed, 0 without")


def test_a_bar_for_a_side_that_is_absent_is_not_measured():
    only_eager = Result(
        "w", {"descent eager": 1.0, "a": 9.0}, {"descent eager": 1.0, "a": 1.0},
        bars=(Bar(1, ("a",)),), absent={"descent": "failed: NameError"},
    )  # fmt: skip
    verdict = report.bar_line(only_eager, only_eager.bars[0])[3]
    assert verdict == "not measured (descent: failed: NameError)"


def test_speed_with_another_loss_is_no_result():
    wrong = Result(
        "w", {"descent": 1.0, "a": 9.0, "b": 9.0}, {"descent": 2.0, "a": 1.0, "b": 1.0},
        bars=(Bar(1, ("a",)),),
    )  # fmt: skip
    assert wrong.disagreeing() == ["descent"]
    assert report.bar_line(wrong, wrong.bars[0])[3] == "no result: other loss (descent)"
    not_a_number = Result("w", {"descent": 1.0}, {"descent": float("nan")})
    assert not_a_number.disagreeing() == ["descent"]


def test_two_sides_that_differ_are_both_doubted():
    two = Result("w", {"descent": 1.0, "a": 2.0}, {"descent": 2.0, "a": 1.0})
    assert two.disagreeing() == ["descent", "a"]


def test_a_disturbed_measurement_is_no_result():
    noisy = Result(
        "w", {"descent": 1.0, "a": 9.0}, {"descent": 1.0, "a": 1.0},
        bars=(Bar(1, ("a",)),), disturbed={"a": 0.7},
    )  # fmt: skip
    assert report.bar_line(noisy, noisy.bars[0])[3].startswith("no result: other processes")


def test_compare_takes_the_median_after_warm_up(monkeypatch):
    clock = iter([0, 50, 100, 101, 101, 108, 108, 111])  # two warm-up rounds; 1, 7, 3 seconds
    monkeypatch.setattr("bench.compare.time.perf_counter", lambda: next(clock))
    result = compare("w", {"descent": lambda: 0.5}, rounds=3, steps=2, rest_s=0)
    assert result.seconds == {"descent": 1.5}
    assert result.losses == {"descent": 0.5}


def test_sides_are_raced_in_processes_and_absent_ones_named():
    result = race(
        work(
            Side("descent", HERE + "halving"),
            Side("peer", HERE + "halving"),
            Side("jax", HERE + "needing_what_is_not_there"),
            Side("llm.c", HERE + "without_checkout"),
            Side("broken", HERE + "breaking_in_step"),
            Side("dead", HERE + "dying"),
            bars=(Bar(1e-9, ("peer",)), Bar(1, ("jax",))),
            memory=True,
        )
    )
    assert result.losses == {"descent": 128.0, "peer": 128.0}  # after `check` steps
    assert result.memory["descent"] > 1e6
    assert result.absent == {
        "jax": "missing: a_package_nobody_has is not installed",
        "llm.c": "missing: /nowhere/llm.c is not there",
        "broken": "failed: ZeroDivisionError: in the step",
        "dead": "failed: ended, code 3",
    }
    assert [report.bar_line(result, bar)[3][:12] for bar in result.bars] == [
        "**met**",
        "not measured",
    ]
    assert "| jax | missing: a_package_nobody_has is not installed |" in report.table(result)


def test_a_python_that_is_not_there_is_a_missing_peer(monkeypatch):
    monkeypatch.setenv("DESCENT_PEERS_PYTHON", "/nowhere/python")
    result = race(work(Side("jax", HERE + "halving", guest=True)))
    assert result.absent == {"jax": "missing: there is no /nowhere/python"}


def test_rows_not_run_again_are_kept(tmp_path):
    old, other, new = RESULT, Result("b", {"descent": 1.0}, {}), Result("a work", {"x": 2.0}, {})
    file = tmp_path / "results.json"
    store.save(file, [("2026-01-01", "here", old), ("2026-01-01", "here", other)])
    kept = store.load(file)
    assert kept[0][2] == old
    merged = store.merge(kept, [("2026-02-02", "there", new)])
    assert [(date, r.work) for date, _, r in merged] == [
        ("2026-02-02", "a work"),
        ("2026-01-01", "b"),
    ]
    page = report.document(merged, "What the profile shows.")
    assert "2026-02-02, there." in page
    assert "What the profile shows." in page
    assert "incomplete" not in page
    assert "No row yet for: c, d." in report.document(merged, "", ["c", "d"])
    assert json.loads(file.read_text())[0]["result"]["work"] == "a work"


@pytest.mark.parametrize(
    ("seconds", "said"), [(1.5, "1.5 s"), (0.1234, "123 ms"), (2.5e-5, "25 µs"), (4e-9, "4 ns")]
)
def test_durations(seconds, said):
    assert report.duration(seconds) == said


def test_llm_c_checkpoint_has_the_documented_layout(tmp_path):
    shape = Shape(vocab=5, block=3, batch=1, layers=2, heads=1, width=4, tie=True)
    data = weights(shape)
    with open(tmp_path / "model.bin", "wb") as file:
        write_checkpoint(file, shape, data)
    raw = (tmp_path / "model.bin").read_bytes()
    header = np.frombuffer(raw[:1024], np.int32)
    assert header[:8].tolist() == [20240326, 3, 3, 5, 2, 1, 4, 128]
    numbers = np.frombuffer(raw[1024:], np.float32)
    assert np.array_equal(numbers[:20].reshape(5, 4), data["wte.weight"])
    assert not numbers[20:512].any()  # the padded vocabulary
    assert np.array_equal(numbers[512:524].reshape(3, 4), data["wpe.weight"])
    assert len(numbers) == 512 + sum(v.size for n, v in data.items() if n != "wte.weight")

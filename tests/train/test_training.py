"""The loop: resume to the last bit, whole checkpoints, clear errors, NaN named."""

import json
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import descent.random
from descent.models.gpt import GPT, GPTConfig
from descent.train.checkpoint import CheckpointError, load_weights, save_weights
from descent.train.loop import Evaluated, Finished, Training
from descent.train.metrics import MetricsFile, bits_per_byte
from descent.train.nonfinite import NonFiniteError
from descent.train.settings import TrainSettings, learning_rate

TOKENS = np.random.default_rng(0).integers(0, 11, 400)


class Batches:
    """Windows of TOKENS from a generator whose state is saved."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(3)

    def next(self):
        starts = self.rng.integers(0, 380, 4)
        rows = TOKENS[starts[:, None] + np.arange(9)]
        return rows[:, :-1], rows[:, 1:]

    def state(self):
        return self.rng.bit_generator.state

    def load_state(self, state):
        self.rng.bit_generator.state = state


def training(folder, **changes) -> Training:
    descent.random.manual_seed(5)
    model = GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8, dropout=0.2))
    settings = {
        "max_steps": 12, "eval_every": 5, "save_every": 4, "warmup_steps": 2, "compile": False,
        **changes,
    }  # fmt: skip

    def fixed():
        rows = TOKENS[np.arange(0, 350, 9)[:, None] + np.arange(9)]
        return [(rows[:, :-1], rows[:, 1:])]

    return Training(model, Batches(), TrainSettings(**settings), folder, fixed, fixed)


def weights(t: Training) -> dict[str, np.ndarray]:
    return {k: v.array.copy() for k, v in t.model.state_dict().items()}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_interrupted_and_resumed_equals_uninterrupted_to_the_last_bit(tmp_path, optimizer) -> None:
    whole = training(tmp_path / "a", optimizer=optimizer, accumulate=2, momentum=0.9)
    list(whole.run())

    first = training(tmp_path / "b", optimizer=optimizer, accumulate=2, momentum=0.9)
    first.should_stop = lambda: first.step >= 7
    reasons = [e.reason for e in first.run() if isinstance(e, Finished)]
    assert reasons == ["stopped"]
    assert first.step == 7
    descent.random.rand((50,))  # a new process would have another random state

    second = training(tmp_path / "b", optimizer=optimizer, accumulate=2, momentum=0.9)
    latest = second.latest()
    assert latest is not None
    second.resume(latest)
    assert second.step == 7
    list(second.run())
    for name, w in weights(whole).items():
        np.testing.assert_array_equal(weights(second)[name], w, err_msg=name)
    assert second.best_val_loss == whole.best_val_loss


def test_accumulation_is_a_mean_over_equal_batches(tmp_path) -> None:
    """Two half batches give the step that one whole batch gives."""
    one = training(tmp_path / "one", clip=None, optimizer="sgd", max_steps=1, weight_decay=0.0)
    two = training(
        tmp_path / "two", clip=None, optimizer="sgd", max_steps=1, accumulate=2, weight_decay=0.0
    )
    one.model.h[0].mlp.dropout.p = 0.0
    for t in (one, two):
        for m in t.model.modules():
            if hasattr(m, "p"):
                m.p = 0.0
            if hasattr(m, "dropout") and isinstance(m.dropout, float):
                m.dropout = 0.0
    x, y = Batches().next()
    batches = iter([(x[:2], y[:2]), (x[2:], y[2:])])
    one.batches.next = lambda: (x, y)
    two.batches.next = lambda: next(batches)
    one.one_step()
    two.one_step()
    for name, w in weights(one).items():
        np.testing.assert_allclose(weights(two)[name], w, atol=1e-7, err_msg=name)


def test_patience_stops_and_best_weights_are_kept(tmp_path) -> None:
    t = training(tmp_path, max_steps=40, eval_every=2, patience=2, learning_rate=0.5, clip=None)
    events = list(t.run())
    assert events[-1].reason == "patience"
    best = min(e.val_loss for e in events if isinstance(e, Evaluated))
    assert events[-1].best_val_loss == best
    fresh = training(tmp_path / "x")
    load_weights(tmp_path / "model.safetensors", fresh.model)
    from descent.train.metrics import evaluate

    assert evaluate(fresh.model, fresh.val_eval()) == pytest.approx(best, rel=1e-6)


def test_rolling_checkpoints_keep_the_newest(tmp_path) -> None:
    t = training(tmp_path, max_steps=12, save_every=3, keep=2)
    list(t.run())
    names = sorted(p.name for p in t.checkpoints.iterdir())
    assert names == ["step-00000009.safetensors", "step-00000012.safetensors"]


def test_nan_stops_with_the_first_op_that_made_it(tmp_path) -> None:
    t = training(tmp_path)
    t.model.ln_f.weight.array[:] = 3e38  # the next product overflows
    with pytest.raises(NonFiniteError, match=r"step 0.*first came out of op layer_norm.*ln_f"):
        list(t.run())
    t = training(tmp_path)
    forward = t.model.ln_f.forward
    t.model.ln_f.forward = lambda x: forward(x.masked_fill(x == x, -float("inf")))  # all masked
    with pytest.raises(NonFiniteError, match=r"step 0.*NaN first came out of op layer_norm"):
        list(t.run())
    t = training(tmp_path)
    t.model.wte.weight.array[0, 0] = np.nan
    with pytest.raises(NonFiniteError, match=r"the parameter wte.weight holds NaN"):
        list(t.run())


def test_a_checkpoint_of_another_model_is_refused(tmp_path) -> None:
    t = training(tmp_path)
    list(t.run())
    other = GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=8))
    with pytest.raises(CheckpointError, match=r"(?s)weights of another model.*h\.1\."):
        load_weights(tmp_path / "model.safetensors", other)
    with pytest.raises(CheckpointError, match="is not a training checkpoint"):
        t.resume(tmp_path / "model.safetensors")


@pytest.mark.parametrize("damage", [b"", b"\xff" * 40, b"\x10\0\0\0\0\0\0\0not json at all!"])
def test_damaged_files_are_one_clear_error(tmp_path, damage) -> None:
    t = training(tmp_path)
    save_weights(tmp_path / "w.safetensors", t.model)
    (tmp_path / "w.safetensors").write_bytes(damage)
    with pytest.raises(CheckpointError, match=r"w.safetensors can't be read as safetensors"):
        load_weights(tmp_path / "w.safetensors", t.model)


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from tests.train.test_training import training
    import descent.data.files as files
    t = training(Path(sys.argv[1]), save_every=4)
    real, calls = os.replace, []
    def replace(a, b):          # the moment before a checkpoint gets its name
        if "step-00000008" in str(b):
            os.kill(os.getpid(), signal.SIGKILL)
        real(a, b)
    os.replace = replace
    list(t.run())
"""


def test_kill_9_in_the_middle_of_a_save_leaves_the_previous_checkpoint(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    whole = training(tmp_path / "whole")
    list(whole.run())
    t = training(tmp_path)
    latest = t.latest()
    assert latest is not None
    assert latest.name == "step-00000004.safetensors"
    t.resume(latest)
    assert t.step == 4
    list(t.run())
    np.testing.assert_array_equal(weights(t)["wte.weight"], weights(whole)["wte.weight"])


def test_metrics_survive_a_line_cut_short(tmp_path) -> None:
    m = MetricsFile(tmp_path / "metrics.jsonl")
    m.append(step=1, loss=2.0)
    with open(m.path, "a") as f:
        f.write('{"step": 2, "lo')
    m.append(step=3, loss=1.0)
    assert [row["step"] for row in m.read()] == [1, 3]
    assert json.loads(m.path.read_text().splitlines()[0]) == {"step": 1, "loss": 2.0}


def test_bits_per_byte() -> None:
    assert bits_per_byte(np.log(256), 10, 10) == pytest.approx(8.0)
    assert bits_per_byte(np.log(2), 30, 60) == pytest.approx(0.5)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "wsd", "constant", "step"])
def test_schedules_start_warm_and_end_low(schedule) -> None:
    s = TrainSettings(
        max_steps=100, warmup_steps=10, schedule=schedule, decay_at=50, learning_rate=1.0
    )
    rates = [learning_rate(t, s) for t in range(100)]
    assert rates[0] == pytest.approx(1 / 11)
    assert max(rates) <= 1.0
    end = {"cosine": 0.1, "linear": 0.1, "wsd": 0.1, "constant": 1.0, "step": 0.1}[schedule]
    assert rates[-1] == pytest.approx(end, abs=0.06)


def test_inverse_sqrt_goes_on_where_a_segment_ended() -> None:
    s = TrainSettings(max_steps=100, warmup_steps=10, schedule="inverse_sqrt", learning_rate=1.0)
    assert learning_rate(39, s) == learning_rate(39, s, 20) == pytest.approx(0.5)


def test_bad_settings_say_what_is_right() -> None:
    with pytest.raises(ValueError, match="schedule must be one of cosine"):
        TrainSettings(schedule="cosin")
    with pytest.raises(ValueError, match="max_steps must be at least 1: got 0"):
        TrainSettings(max_steps=0)
    with pytest.raises(ValueError, match=r"unknown training settings \['lr'\]"):
        TrainSettings.from_dict({"lr": 1})

"""`descent up complete` as a process: stopped, killed and resumed, it ends with the same bits."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from descent.goals.complete import CompleteOptions, up
from descent.goals.events import Compared, Said
from descent.goals.folder import RunError

STEPS = 240
ARGS = ["--steps", str(STEPS), "--n-layer", "1", "--n-head", "2", "--n-embd", "48",
        "--block-size", "48", "--vocab-size", "300", "--no-serve"]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Real text: this package's sources for data handling."""
    source = Path(__file__).parents[2] / "descent" / "data"
    folder = tmp_path_factory.mktemp("data")
    for file in source.glob("*.py"):
        (folder / file.name).write_text(file.read_text())
    return folder


def start(runs: Path, name: str, data: Path, *args: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "descent", "up", "complete", "--data", str(data), "--runs", str(runs),
         "--name", name, *args],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def finish(process: subprocess.Popen) -> str:
    out, _ = process.communicate(timeout=300)
    return out


def checkpoint(run: Path) -> Path:
    return max((run / "checkpoints").glob("step-*.safetensors"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    out = finish(start(runs, "whole", data, *ARGS))
    assert f"Training finished at step {STEPS}" in out
    return runs / "whole"


def same_bits(a: Path, b: Path) -> None:
    first, second = load_file(checkpoint(a)), load_file(checkpoint(b))
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(second[name], array, err_msg=name)
    assert load_file(a / "model.safetensors").keys() == load_file(b / "model.safetensors").keys()
    results = [json.loads((r / "config.json").read_text())["results"] for r in (a, b)]
    assert results[0] == results[1]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_stopped_and_resumed_ends_with_the_same_bits(whole, data, tmp_path, how) -> None:
    process = start(tmp_path, "run", data, *ARGS)
    deadline = time.monotonic() + 300
    while not list((tmp_path / "run" / "checkpoints").glob("step-*.safetensors")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(how)
    out = finish(process)
    if how == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 0, out
        assert "Traceback" not in out
    reached = int(checkpoint(tmp_path / "run").stem.removeprefix("step-"))
    if reached < STEPS:  # else it had finished before the signal reached it
        again = finish(start(tmp_path, "run", data, "--no-serve"))  # it finishes its plan
        assert "Going on" in again
        assert f"Training finished at step {STEPS}" in again
    same_bits(whole, tmp_path / "run")


def test_the_run_folder_is_readable_by_other_tools(whole) -> None:
    config = json.loads((whole / "config.json").read_text())
    assert config["format"] == "descent-run.v1"
    assert config["goal"] == "complete"
    assert config["training"]["max_steps"] == STEPS
    assert 0 < config["results"]["val_bits_per_byte"] < 8
    assert 0 < config["baseline"]["bits_per_byte"] < 8
    weights = load_file(whole / "model.safetensors")
    assert weights["wte.weight"].shape == (config["model"]["config"]["vocab_size"], 48)
    rows = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == STEPS
    assert rows[-1]["val_loss"] < rows[0]["val_loss"]
    names = {p.name for p in whole.iterdir()}
    assert not [n for n in names if n.endswith((".pkl", ".pt", ".part"))]


def test_character_tokens_and_another_model_type(data, tmp_path) -> None:
    options = CompleteOptions(
        data=str(data), steps=15, runs=tmp_path, name="chars", type="gru", characters=True,
        model={"n_embd": 16},
    )  # fmt: skip
    events = list(up(options))
    assert any(isinstance(e, Said) and "characters" in e.text for e in events)
    compared = next(e for e in events if isinstance(e, Compared))
    assert compared.model_bits_per_byte < 8


def test_a_changed_setting_is_refused(whole, data) -> None:
    options = CompleteOptions(
        data=str(data), steps=5, runs=whole.parent, name="whole", model={"n_layer": 3}
    )
    with pytest.raises(RunError, match="n_layer 1, not 3"):
        list(up(options))

"""`descent finetune`: from a run folder and a text to a run that serves; stopped, it goes on."""

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

from descent.data.errors import DataError
from descent.goals.complete import CompleteOptions
from descent.goals.complete import up as complete
from descent.goals.events import Said, SideBySide
from descent.goals.finetune import FinetuneOptions, up
from descent.goals.finetune_call import finetune
from descent.goals.folder import RunError, RunFolder
from descent.goals.loading import load_completer
from descent.train.finetune import FinetuneSettings
from descent.train.loop import Finished

TEXT = "".join(f"The {a} {b}s a {c}.\n" for a in ("cat", "dog", "cow") for b in ("see", "like", "hear")
               for c in ("bird", "tree", "stone", "song"))  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A small run to begin with, on this package's own sources."""
    runs = tmp_path_factory.mktemp("base")
    source = Path(__file__).parents[2] / "descent" / "data"
    options = CompleteOptions(
        data=str(source), steps=20, runs=runs, name="base", type="gpt", vocab_size=300,
        model={"n_layer": 2, "n_head": 2, "n_embd": 32, "block_size": 32},
    )  # fmt: skip
    list(complete(options))
    return runs / "base"


@pytest.fixture
def text(tmp_path) -> Path:
    (tmp_path / "text.txt").write_text(TEXT * 4)
    return tmp_path / "text.txt"


def options(base, text, tmp_path, name="run", **settings) -> FinetuneOptions:
    chosen = {"steps": 24, "eval_every": 8, "save_every": 4, "compile": False, "sample_tokens": 8,
              "lora_dropout": 0.1, "batch_size": 2, **settings}  # fmt: skip
    s = FinetuneSettings.from_dict(chosen)
    return FinetuneOptions(str(base), str(text), s, name, tmp_path / "runs")


@pytest.mark.parametrize("method", ["full", "last", "lora", "qlora"])
def test_it_learns_and_what_it_learned_is_served(base, text, tmp_path, method) -> None:
    more = {"lora_targets": ("c_attn", "c_fc", "c_proj"), "learning_rate": 2e-2}
    o = options(
        base, text, tmp_path, method=method, steps=60, eval_every=20,
        **(more if "lora" in method else {"learning_rate": 5e-3}),
    )  # fmt: skip
    events = list(up(o))
    compared = next(e for e in events if isinstance(e, SideBySide))
    gain = 0.02 if "lora" in method else 0.1  # the base has hardly learned: little to steer
    assert compared.loss_after < compared.loss_before - gain
    assert compared.held_out
    assert len(compared.before) == len(compared.after) == 1
    completer, run, _ = load_completer(tmp_path / "runs" / "run")
    assert completer.complete_text("The cat", max_tokens=4, seed=1)
    if method in ("lora", "qlora"):
        adapter = load_file(run.path / "adapter" / "adapter_model.safetensors")
        assert "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight" in adapter
        state = load_file(max((run.path / "checkpoints").iterdir()))
        assert not [n for n in state if "wte" in n]  # what is frozen is not written again
    assert not list(run.path.glob("*.part"))


@pytest.mark.parametrize("method", ["full", "lora"])
def test_stopped_and_resumed_ends_with_the_same_bits(base, text, tmp_path, method) -> None:
    list(up(options(base, text, tmp_path, "whole", method=method)))
    asked = iter([False] * 13 + [True] * 100)
    events = list(up(options(base, text, tmp_path, "run", method=method), lambda: next(asked)))
    assert next(e for e in events if isinstance(e, Finished)).reason == "stopped"
    again = list(up(options(base, text, tmp_path, "run", method=method)))
    assert any(isinstance(e, Said) and "Going on" in e.text for e in again)
    runs = tmp_path / "runs"
    one, two = (
        load_file(runs / n / "checkpoints/step-00000024.safetensors") for n in ("whole", "run")
    )
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(two[name], array, err_msg=name)
    after = [json.loads((runs / n / "config.json").read_text())["after"] for n in ("whole", "run")]
    assert after[0] == after[1]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_loses_nothing_but_the_steps_since_the_last_save(
    base, text, tmp_path, how
) -> None:
    command = [
        sys.executable, "-m", "descent", "finetune", str(base), str(text), "--runs", str(tmp_path),
        "--name", "run", "--steps", "100000", "--save-every", "20", "--no-compile", "--no-serve",
        "--method", "lora",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list((tmp_path / "run" / "checkpoints").glob("step-*.safetensors")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(how)
    out, _ = process.communicate(timeout=120)
    assert "Traceback" not in out
    assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 0), out
    saved = list((tmp_path / "run" / "checkpoints").glob("step-*.safetensors"))
    assert saved
    assert load_file(saved[0])


def test_a_full_disk_leaves_the_last_checkpoint(base, text, tmp_path, monkeypatch) -> None:
    import descent.train.checkpoint as checkpoint

    real, calls = checkpoint.write_atomically, []

    def full(path, data):
        if "step-" in str(path):
            calls.append(path)
            if len(calls) > 2:
                raise OSError(28, "No space left on device", str(path))
        return real(path, data)

    monkeypatch.setattr(checkpoint, "write_atomically", full)
    with pytest.raises(OSError, match="No space"):
        list(up(options(base, text, tmp_path)))
    (kept,) = (tmp_path / "runs/run/checkpoints").glob("step-*.safetensors")
    assert kept.name == "step-00000008.safetensors"
    monkeypatch.setattr(checkpoint, "write_atomically", real)
    again = list(up(options(base, text, tmp_path)))
    assert next(e for e in again if isinstance(e, Finished)).step == 24


def test_the_python_call_shares_the_table(base, text, tmp_path) -> None:
    import descent

    found = descent.finetune(
        str(base), str(text), runs=tmp_path, name="py", steps=5, batch_size=2, compile=False,
        sample_tokens=4,
    )  # fmt: skip
    assert found.loss_after > 0
    assert isinstance(found.write("The", sample_tokens=3), str)
    with pytest.raises(ValueError, match=r"unknown settings \['lr'\]"):
        finetune(str(base), str(text), lr=1)
    assert (tmp_path / "py" / "model.safetensors").is_file()


def test_the_command_line_has_every_setting() -> None:
    from dataclasses import fields

    from typer.main import get_command

    from descent.cli.main import app

    flags = {p.name for p in get_command(app).commands["finetune"].params}
    assert {f.name for f in fields(FinetuneSettings)} <= flags


def test_a_run_begun_otherwise_is_refused(base, text, tmp_path) -> None:
    list(up(options(base, text, tmp_path, steps=2)))
    with pytest.raises(RunError, match="has method full, not lora"):
        list(up(options(base, text, tmp_path, method="lora")))
    (tmp_path / "other.txt").write_text(TEXT)
    with pytest.raises(RunError, match="was trained on"):
        list(up(options(base, tmp_path / "other.txt", tmp_path)))
    with pytest.raises(RunError, match="began with"):
        list(up(options("elsewhere", text, tmp_path)))
    weights = base / "model.safetensors"
    before = weights.read_bytes()
    try:
        broken = bytearray(before)
        broken[-64:] = bytes(64)
        weights.write_bytes(bytes(broken))
        RunFolder.open(base)
        with pytest.raises(RunError, match="not the model this run began with"):
            list(up(options(base, text, tmp_path)))
    finally:
        weights.write_bytes(before)


def test_bad_sources_are_one_sentence(base, text, tmp_path) -> None:
    with pytest.raises(RunError, match="can't be taken up"):
        list(up(options("/nowhere/model", text, tmp_path)))
    with pytest.raises(DataError, match="no such file"):
        list(up(options(base, "/nowhere/text", tmp_path, name="b")))
    (tmp_path / "e.txt").write_text("")
    with pytest.raises(DataError, match="nothing to learn"):
        list(up(options(base, tmp_path / "e.txt", tmp_path, name="c")))


def test_a_text_of_a_few_words_and_a_csv(base, tmp_path) -> None:
    (tmp_path / "t.txt").write_text("A very short text.")
    events = list(up(options(base, tmp_path / "t.txt", tmp_path, steps=3)))
    assert any(isinstance(e, Said) and "shorter than a window" in e.text for e in events)
    (tmp_path / "t.csv").write_text("who,what\n" + "".join(f"me,row {i}\n" for i in range(30)))
    o = options(
        base, tmp_path / "t.csv", tmp_path, name="csv", steps=3, column="what", start_token="<s>"
    )
    list(up(o))
    config = json.loads((tmp_path / "runs/csv/config.json").read_text())
    assert config["data"]["documents"] == 27  # a tenth of thirty rows is held out


def test_what_does_not_fit_is_refused_with_what_would(base, text, tmp_path, monkeypatch) -> None:
    from descent.goals import fitting

    monkeypatch.setattr(fitting, "free_memory_bytes", lambda: (80 << 20) + 600_000)
    with pytest.raises(RunError, match=r"full fine-tuning .* takes about .*; this fits.*--method"):
        list(up(options(base, text, tmp_path, batch_size=16, block_size=32, checkpointing=False)))
    monkeypatch.setattr(fitting, "free_memory_bytes", lambda: 1000)
    with pytest.raises(RunError, match="choose a smaller model"):
        list(up(options(base, text, tmp_path, name="b")))


def test_short_memory_turns_checkpointing_on_and_changes_nothing(
    base, text, tmp_path, monkeypatch
) -> None:
    from descent.goals import fitting

    settings = {"steps": 4, "batch_size": 8, "block_size": 32, "lora_dropout": 0.0}
    list(up(options(base, text, tmp_path, name="a", **settings)))
    monkeypatch.setattr(fitting, "free_memory_bytes", lambda: (80 << 20) + 2_400_000)
    events = list(up(options(base, text, tmp_path, name="b", **settings)))
    assert any(isinstance(e, Said) and "computed again" in e.text for e in events)
    runs = tmp_path / "runs"
    one, two = (load_file(runs / n / "checkpoints/step-00000004.safetensors") for n in "ab")
    for name, array in one.items():
        np.testing.assert_array_equal(two[name], array, err_msg=name)

"""`descent up translate` from pairs to a translator: events, files, resuming, errors."""

import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from descent.cli.main import app
from descent.data.errors import DataError
from descent.goals.events import Ready, Said
from descent.goals.folder import RunError, RunFolder
from descent.goals.translate import TranslateOptions, load_translator, up
from descent.train.loop import Finished, Stepped

WORDS = {"one": "eins", "two": "zwei", "three": "drei", "four": "vier", "red": "rot"}


@pytest.fixture
def pairs(tmp_path):
    rng = np.random.default_rng(0)
    rows = [rng.choice(list(WORDS), rng.integers(1, 5)).tolist() for _ in range(120)]
    lines = [f"{' '.join(r)}.\t{' '.join(WORDS[w] for w in r)}." for r in rows]
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


SMALL = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_hidden": 16}


def options(pairs, **changes):
    settings = {"learning_rate": 5e-3, "warmup_steps": 5, "compile": False}
    given = dict(
        data=str(pairs), steps=12, runs=pairs.parent / "runs", vocab_size=300, batch_tokens=128,
        model=SMALL, training=settings, every=6, sample_every_s=1e9, beam=2,
    )  # fmt: skip
    return TranslateOptions(**{**given, **changes})


def weights(path):
    return (path / "model.safetensors").read_bytes()


def losses(events):
    return [e.loss for e in events if isinstance(e, Stepped)]


def test_from_pairs_to_a_translator(pairs):
    events = list(up(options(pairs, valid=str(pairs), test=str(pairs))))
    ready = events[-1]
    assert isinstance(ready, Ready)
    said = " ".join(e.text for e in events if isinstance(e, Said))
    assert "Read 120 sentence pairs to learn from, 120 for validation, 120 for the test" in said
    assert "Baseline: word for word, by IBM Model 1: BLEU" in said
    assert "BLEU on the test pairs" in said
    run = RunFolder.open(pairs.parent / "runs" / "translate")
    assert run.config["results"]["steps"] == 12
    assert 0 <= run.config["results"]["bleu"] <= 100 < 2 * run.config["baseline_bleu"]
    assert "nrefs:1" in run.config["results"]["signature"]
    found = losses(events)
    assert found[-1] < found[0]
    translator = load_translator(run)
    assert len(translator(["one two.", "red."])) == 2
    assert translator(["one two."]) == translator(["one two."])


def test_resumed_with_the_same_bits(pairs):
    whole = list(up(options(pairs, name="whole")))
    seen = []
    for event in up(options(pairs, name="parts"), should_stop=lambda: len(seen) == 8):
        if isinstance(event, Stepped):
            seen.append(event.loss)
        last = event
    assert isinstance(last, Finished)
    assert last.reason == "stopped"
    events = list(up(options(pairs, name="parts")))
    assert "Going on with the run" in events[0].text
    assert seen + losses(events) == losses(whole)
    runs = pairs.parent / "runs"
    assert weights(runs / "parts") == weights(runs / "whole")


def test_the_run_keeps_its_pairs(pairs):
    list(up(options(pairs, steps=6)))
    pairs.write_text("gone\tweg\n" * 20)
    events = list(up(options(pairs, steps=6)))
    assert "Going on" in events[0].text
    lines = (pairs.parent / "runs/translate/train.jsonl").read_text().splitlines()
    assert len(lines) == 116
    assert json.loads(lines[0]).keys() == {"source", "target"}


def test_held_out_pairs(pairs):
    events = list(up(options(pairs, steps=6)))
    assert "116 sentence pairs to learn from, 2 for validation, 2 for the test" in events[0].text


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": None}, RunError, "say what to learn from: --data pairs.tsv"),
        ({"data": "none.tsv"}, DataError, "none.tsv can't be read: No such file"),
        ({"valid": "v.tsv"}, RunError, "give --valid and --test both, or neither"),
        ({"model": {"n_head": 3}}, RunError, "multiple of n_head"),
        ({"model": {"n_heads": 3}}, RunError, "n_heads"),
        ({"training": {"schedule": "cosin"}}, RunError, "schedule must be one of"),
        ({"model": {"block_size": 3}}, DataError, "no sentence pair has fewer than 3 tokens"),
        ({"vocab_size": 20}, DataError, "vocab_size=20 is too small"),
    ],
)
def test_what_is_wrong_is_said(pairs, changes, error, message):
    with pytest.raises(error, match=message):
        list(up(options(pairs, **changes)))


def test_without_sacrebleu_it_says_so_before_training(pairs, monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(RunError, match=r"pip install 'descent-ml\[translate\]'"):
        list(up(options(pairs)))


def test_other_settings_for_a_run_that_exists(pairs):
    list(up(options(pairs, steps=6)))
    with pytest.raises(RunError, match="has n_embd 16, not 32"):
        list(up(options(pairs, model={**SMALL, "n_embd": 32})))


def test_a_run_of_another_kind_is_no_translator(tmp_path):
    run = RunFolder.create(tmp_path / "names", {"goal": "names", "model": {"type": "rnn"}})
    with pytest.raises(RunError, match=r"tokenizer.json is missing"):
        load_translator(run)


def test_command_line(pairs):
    runner, runs = CliRunner(), pairs.parent / "runs"
    sizes = "--n-layer 1 --n-head 2 --n-embd 16 --n-hidden 16 --vocab-size 300 --no-compile"
    command = f"up translate --data {pairs} --runs {runs} --steps 8 --beam 1 {sizes}"
    result = runner.invoke(app, command.split())
    assert result.exit_code == 0, result.output
    assert "Baseline: word for word" in result.output
    assert "--say" in result.output
    result = runner.invoke(app, ["up", "translate", "--runs", str(runs), "--say", "one two."])
    assert result.exit_code == 0, result.output
    assert result.output.count("\n") == 1

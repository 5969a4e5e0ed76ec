"""`descent bench model` and `descent profile`: what they print, write, and refuse."""

import json

import pytest
from typer.testing import CliRunner

from descent.cli.main import app, expected_errors
from descent.costs import Machine, machine, profiling
from descent.costs.machine import Bandwidth
from descent.goals import complete, names
from descent.goals.complete import CompleteOptions
from descent.goals.folder import RunFolder
from descent.goals.names import NamesOptions
from descent.goals.profiling import run_training

MACHINE = Machine("a test", 2, 100.0, "none", (Bandwidth(1 << 20, 50.0, 50.0),), {})
QUICK = ["--seconds", "0.01"]


@pytest.fixture(autouse=True)
def known_machine(monkeypatch):
    monkeypatch.setattr(machine, "_measure", lambda: MACHINE)
    monkeypatch.setattr(machine, "_read", lambda file: MACHINE)
    monkeypatch.setattr(profiling, "measure_machine", lambda: MACHINE)


def descent(*args):
    return CliRunner().invoke(app, [str(a) for a in args], env={"COLUMNS": "80"})


def printed(*args):
    result = descent(*args)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*args):
    error = descent(*args).exception
    assert isinstance(error, expected_errors()), error
    return str(error)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A tiny run of either goal."""
    folder = tmp_path_factory.mktemp("runs")
    text = folder / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog\n" * 200)
    sizes = {"n_layer": 1, "n_head": 2, "n_embd": 16, "block_size": 16}
    for _ in complete.up(
        CompleteOptions(str(text), steps=4, runs=folder, characters=True, model=sizes)
    ):
        pass
    items = folder / "items.txt"
    items.write_text("\n".join(f"na{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"))
    recipe = {"accumulate": 2, "clip": None, "optimizer": "sgd"}
    for _ in names.up(
        NamesOptions(
            str(items), steps=4, runs=folder, type="mlp", model={"n_hidden": 8}, training=recipe
        )
    ):
        pass
    return folder


def test_a_model_by_name():
    text = printed("bench", "model", "makemore-mlp", "--batch", 4, *QUICK)
    for word in ("11,897 parameters", "batch 4×3", "affine", "backward", "tokens/s", "MFU", "peak"):
        assert word in text
    assert max(map(len, (x for x in text.splitlines() if "│" in x or "──" in x))) <= 80


@pytest.mark.parametrize("name", ["bigram", "nplm", "bow", "rnn", "wavenet", "cnn", "gpt"])
def test_every_model_of_the_package(name):
    report = json.loads(printed("bench", "model", name, "--batch", 2, "--json", *QUICK))
    assert report["operations"] > 0
    assert report["tokens"] > 0
    assert {r["name"] for r in report["phases"]} == {"forward", "backward", "update"}


def test_json_holds_everything():
    args = ("bench", "model", "makemore-transformer", "--batch", 2, "--block", 8, "--json", *QUICK)
    report = json.loads(printed(*args))
    assert report["batch"] == "batch 2×8"
    assert report["tokens"] == 16
    assert report["machine"]["gflops"] == 100.0
    assert sum(r["operations"] for r in report["by_op"]) == pytest.approx(report["operations"])
    first = report["entries"][0]
    assert {"op", "path", "phase", "floor_s", "seconds", "live_bytes"} <= set(first)


def test_inference_has_no_backward():
    args = ("bench", "model", "makemore-transformer", "--batch", 1, "--inference", "--json", *QUICK)
    report = json.loads(printed(*args))
    assert {e["phase"] for e in report["entries"]} == {"forward"}
    assert report["peak_bytes"] > report["start_bytes"]


def test_profile_of_a_text_run(runs, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in (runs / "complete").rglob("*") if p.is_file()}
    text = printed("profile", runs / "complete", *QUICK)
    page = (runs / "complete" / "timeline.html").read_text(encoding="utf-8")
    assert "timeline.html" in text
    assert "clip_grad_norm" in page
    assert "AdamW" in text
    after = {p: p.stat().st_mtime_ns for p in (runs / "complete").rglob("*") if p.is_file()}
    assert before == {p: t for p, t in after.items() if p in before}  # nothing of the run changed
    assert set(after) - set(before) == {runs / "complete" / "timeline.html"}


def test_profile_of_a_names_run_with_its_own_recipe(runs, tmp_path):
    out = tmp_path / "page.html"
    report = json.loads(printed("profile", runs / "names", "--out", out, "--json", *QUICK))
    assert out.is_file()
    ops = {e["op"] for e in report["entries"]}
    assert "SGD" in ops
    assert (
        sum(e["op"] == "cross_entropy" and e["phase"] == "forward" for e in report["entries"]) == 2
    )
    assert report["tokens"] % 2 == 0  # two batches of one step


def test_the_step_is_the_one_training_would_make_next(runs):
    training = run_training(RunFolder.open(runs / "complete"))
    assert training.step == 4
    assert len(training.optimizer.state) > 0


def test_a_run_with_another_batch(runs):
    report = json.loads(
        printed("bench", "model", runs / "complete", "--batch", 3, "--json", *QUICK)
    )
    assert report["batch"] == "batch 3×16"


def test_unknown_models_list_the_known(tmp_path):
    message = refused("bench", "model", "nanogtp")
    for word in ("'nanogtp'", "nanogpt", "gpt2", "run folder"):
        assert word in message


def test_a_folder_that_is_no_run_says_what_a_run_is(tmp_path):
    assert "config.json" in refused("profile", tmp_path)
    assert "descent up" in refused("profile", tmp_path / "nowhere")
    (tmp_path / "config.json").write_text('{"format": "descent-run.v1", "goal": "complete"}')
    assert "half-written" in refused("profile", tmp_path)


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["gpt", "--batch", 0], "--batch must be at least 1"),
        (["gpt", "--block", -3], "--block must be at least 1"),
        (["wavenet", "--block", 7], "power of two"),
        (["wavenet", "--batch", 1], "wavenet can't take batch 1×8"),
        (["gpt2-xl"], "GB"),
    ],
)
def test_sizes_that_can_not_be(args, part, monkeypatch):
    from descent.costs import presets

    monkeypatch.setattr(presets, "_available_bytes", lambda: 8 << 30)
    assert part in refused("bench", "model", *args)


def test_a_run_has_its_own_block_size(runs):
    assert "block size" in refused("bench", "model", runs / "complete", "--block", 4)


@pytest.mark.parametrize("command", [["bench", "model", "gpt"], ["profile", "makemore-mlp"]])
def test_seconds_must_be_positive(command):
    assert "--seconds" in refused(*command, "--seconds", "-1")

"""The goal `names` on real names: the whole way, resuming to the bit, and wrong input."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from descent.data import DataError
from descent.data.names import read_items
from descent.goals.events import ItemsSampled, LossTable, Ready, Said
from descent.goals.folder import RunError
from descent.goals.items import load_items
from descent.goals.loading import load_completer
from descent.goals.names import NamesOptions, up
from descent.train.loop import Evaluated, Finished, Stepped
from tests.data.known import known, some_names

TINY = {
    "transformer": {"n_layer": 1, "n_head": 2, "n_embd": 8},
    "gpt": {"n_layer": 1, "n_head": 2, "n_embd": 8},
    "bigram": {},
    "mlp": {"n_embd": 4, "n_hidden": 16},
    "nplm": {"n_embd": 4, "n_hidden": 16, "batch_norm": True, "pad": 0},
    "bow": {"n_embd": 8, "n_hidden": 8},
    "rnn": {"n_embd": 8, "n_hidden": 8},
    "gru": {"n_embd": 8, "n_hidden": 8},
    "lstm": {"n_embd": 8, "n_hidden": 8},
    "wavenet": {"n_embd": 4, "n_hidden": 8},
    "cnn": {"n_embd": 8, "n_layer": 2},
}


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A file of 300 real names."""
    path = tmp_path_factory.mktemp("data") / "few.txt"
    path.write_text("\n".join(some_names()[:300]) + "\n")
    return path


def options(runs, data, type="transformer", **more):
    return NamesOptions(
        **{
            "data": str(data), "runs": runs, "type": type, "model": TINY[type], "steps": 30,
            "training": {"learning_rate": 5e-3, "warmup_steps": 3}, "samples": 6, **more,
        }
    )  # fmt: skip


def run(o, stop_after=None):
    """All events; `stop_after` asks the run to stop once so many steps are made."""
    events = []

    def enough():
        return stop_after is not None and len(only(events, Stepped)) >= stop_after

    for event in up(o, enough):
        events.append(event)
    return events


def only(events, kind):
    return [e for e in events if isinstance(e, kind)]


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_the_whole_way(few, tmp_path):
    events = run(options(tmp_path, few, steps=60))
    said = " ".join(e.text for e in only(events, Said))
    assert "300 items" in said
    assert "240 to learn from, 30 for development, 30 for the test" in said
    (table,) = only(events, LossTable)
    names = [row[0] for row in table.rows]
    assert [n.split()[0] for n in names] == [
        "2-gram",
        "3-gram",
        "4-gram",
        "5-gram",
        "5-gram,",
        "transformer,",
    ]
    mine = table.rows[-1]
    assert mine[1] < 3.0 < np.log(27)  # it has learned something (of names 2.7, of words 2.93)
    assert only(events, Evaluated)[-1].val_loss == pytest.approx(mine[2], abs=1e-5)
    (report,) = only(events, ItemsSampled)
    assert len(report.in_train) + len(report.in_test) + len(report.new) == 6
    known_names = set(read_items(few))
    assert not known_names & set(report.new)
    assert known_names >= {*report.in_train, *report.in_test}
    ready = events[-1]
    assert isinstance(ready, Ready)
    config = json.loads((tmp_path / "names" / "config.json").read_text())
    assert config["results"]["dev_loss"] == mine[2]
    assert config["results"]["steps"] == 60


@pytest.mark.parametrize("type", TINY)
def test_every_type_learns_stops_goes_on_and_serves(few, tmp_path, type):
    one, two = tmp_path / "one", tmp_path / "two"
    run(options(one, few, type))
    stopped = run(options(two, few, type), stop_after=13)
    assert only(stopped, Finished)[-1].reason == "stopped"
    assert not only(stopped, LossTable)
    resumed = run(options(two, few, type))
    assert only(resumed, Said)[0].text.startswith("Going on")
    assert [e.step for e in only(resumed, Stepped)] == list(range(14, 31))
    a, b = weights(one / "names"), weights(two / "names")
    assert a.keys() == b.keys()
    assert all(np.array_equal(a[k], b[k]) for k in a)

    completer, _, _ = load_completer(one / "names")
    prompt = completer.encode("")
    assert prompt.ids == (0,)
    assert completer.encode("em").ids[0] == 0
    text = completer.complete_text("", max_tokens=12, seed=1)
    assert text == completer.complete_text("", max_tokens=12, seed=1)
    assert "." not in text


def test_again_goes_on_from_where_it_ended(few, tmp_path):
    run(options(tmp_path, few, steps=20))
    more = run(options(tmp_path, few, steps=25))
    assert [e.step for e in only(more, Stepped)] == list(range(21, 46))
    assert only(more, Finished)[-1].step == 45


def test_stopped_before_anything_was_measured(few, tmp_path):
    events = run(options(tmp_path, few), stop_after=2)
    assert not only(events, Ready)
    again = run(options(tmp_path, few))
    assert [e.step for e in only(again, Stepped)] == list(range(3, 31))


def test_minutes_are_turned_into_steps(few, tmp_path):
    events = run(options(tmp_path, few, "bigram", steps=None, minutes=0.001))
    finished = only(events, Finished)[-1].step
    assert finished >= 20
    assert [e.step for e in only(events, Stepped)] == list(range(1, finished + 1))


def test_timing_leaves_no_trace(few, tmp_path):
    timed, plain = tmp_path / "timed", tmp_path / "plain"
    events = run(options(timed, few, "nplm", steps=None, minutes=0.001))
    steps = only(events, Finished)[-1].step
    run(options(plain, few, "nplm", steps=steps))
    a, b = weights(timed / "names"), weights(plain / "names")
    assert all(np.array_equal(a[k], b[k]) for k in a)


def test_the_run_keeps_its_data(few, tmp_path):
    data = tmp_path / "mine.txt"
    data.write_text(few.read_text())
    run(options(tmp_path, data))
    before = load_items(only(run(options(tmp_path, data)), Ready)[0].run)
    data.write_text("something\nelse\n" * 20)
    assert load_items(only(run(options(tmp_path, data)), Ready)[0].run).train == before.train


def test_sample_only_trains_nothing(few, tmp_path):
    run(options(tmp_path, few))
    before = weights(tmp_path / "names")
    (report,) = run(options(tmp_path, few, sample_only=True, samples=9, top_k=1))
    names = {*report.in_train, *report.in_test, *report.new}
    assert len(names) == 1  # the likeliest character each time: always the same name
    after = weights(tmp_path / "names")
    assert all(np.array_equal(before[k], after[k]) for k in before)


def test_a_dot_inside_items(tmp_path):
    data = tmp_path / "abbreviations.txt"
    data.write_text("\n".join(f"st. {c}{d}" for c in "abcdef" for d in "uvwxyz") + "\n")
    run(options(tmp_path, data, "rnn", steps=80, training={"learning_rate": 0.02}))
    completer, _, _ = load_completer(tmp_path / "names")
    assert "." in completer.complete_text("st", max_tokens=6, temperature=0.0)


def test_the_lectures_presets(few, tmp_path):
    sizes = {"lecture-mlp": 11_897, "lecture-batchnorm": 12_097, "lecture-wavenet": 76_579}
    data = tmp_path / "letters.txt"
    data.write_text("\n".join(read_items(known("names.txt"))[::40]))  # all 26 letters occur
    for preset, parameters in sizes.items():
        o = NamesOptions(data=str(data), runs=tmp_path, name=preset, preset=preset, steps=12)
        events = run(o)
        assert f"{parameters:,} parameters" in only(events, LossTable)[0].rows[-1][0]
        settings = json.loads((tmp_path / preset / "config.json").read_text())["training"]
        assert settings["optimizer"] == "sgd"
        assert all(e.lr == 0.1 and e.tokens in (96, 256) for e in only(events, Stepped))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "given.txt"),
        (lambda p: p.write_text(""), "given.txt"),
        (lambda p: p.write_text("\n \n\n"), "empty 1 .*given.txt"),
        (lambda p: p.write_text("anna\nbert\n"), "2 items .* at least 10"),
        (lambda p: p.mkdir(), "is a folder; names are learned from one file"),
        (lambda p: p.write_bytes(bytes(range(256)) * 50), "given.txt"),
        (lambda p: p.write_text("short\n" * 20 + "x" * 300), "item 21 has 300 characters"),
    ],
    ids=["missing", "empty", "blank", "two", "folder", "binary", "prose"],
)
def test_wrong_data_is_one_sentence(make, message, tmp_path):
    path = tmp_path / "given.txt"
    make(path)
    with pytest.raises(DataError, match=message):
        run(options(tmp_path, path))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"type": "perceptron", "model": {}},
            "unknown model type 'perceptron'; known: gpt, llama, trans",
        ),
        ({"preset": "lecture-9"}, "unknown preset 'lecture-9'; known: lecture-mlp"),
        ({"model": {"n_embd": 9, "n_head": 2}}, "n_embd must be a multiple of n_head"),
        ({"model": {"block_size": 4}}, "block_size=4 is too short for transformer"),
        ({"training": {"learning_rate": -1.0}}, "learning_rate must be positive"),
        ({"training": {"seed": -5}}, "seed must be 0 or more: got -5"),
        ({"steps": 0}, "steps and minutes must be positive"),
        ({"name": "a/b c"}, "run name 'b c'"),
    ],
)
def test_wrong_settings_are_one_sentence(few, tmp_path, more, message):
    type = more.pop("type", "transformer")
    o = NamesOptions(**{"data": str(few), "runs": tmp_path, "type": type, "steps": 5, **more})
    with pytest.raises(RunError, match=message):
        run(o)


def test_a_run_of_something_else_is_left_alone(few, tmp_path):
    run(options(tmp_path, few))
    before = weights(tmp_path / "names")
    other = tmp_path / "other.txt"
    other.write_text(few.read_text())
    for o, message in [
        (options(tmp_path, other), "was trained on .*few.txt, not on .*other.txt"),
        (options(tmp_path, few, "gru"), "has (type transformer, not gru|n_)"),
        (
            options(tmp_path, few, training={"batch_size": 7}),
            "is trained with batch_size 32, not 7",
        ),
        (options(tmp_path, few, model={"n_layer": 3}), "has n_layer 1, not 3"),
    ]:
        with pytest.raises(RunError, match=message):
            run(o)
    after = weights(tmp_path / "names")
    assert all(np.array_equal(before[k], after[k]) for k in before)
    assert only(run(options(tmp_path, few, "gru", fresh=True)), Ready)


def test_sample_only_without_a_run(tmp_path):
    with pytest.raises(RunError, match="there is no run folder"):
        run(NamesOptions(runs=Path(tmp_path), sample_only=True))

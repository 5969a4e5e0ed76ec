"""`descent up complete` on code begins with the model in the package; on anything else it does not."""

import json
from pathlib import Path

import pytest

from descent.goals.complete import CompleteOptions, up
from descent.goals.events import Ready, SideBySide
from descent.goals.from_base import base_for
from descent.hub.boxed import boxed

SOURCES = Path(__file__).parents[2] / "descent" / "data"


@pytest.fixture
def code(tmp_path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    for file in SOURCES.glob("*.py"):
        (folder / file.name).write_text(file.read_text())
    return folder


def options(tmp_path, data, **more) -> CompleteOptions:
    return CompleteOptions(None if data is None else str(data), runs=tmp_path / "runs", **more)


def test_the_base_is_a_run_with_its_sources_named():
    base = boxed("descent-code")
    assert base is not None
    config = json.loads((base / "config.json").read_text())
    assert config["command"].startswith("descent up complete --data installed")
    assert config["results"]["val_bits_per_byte"] < config["baseline"]["bits_per_byte"]
    rows = json.loads((base / "manifest.json").read_text())
    assert all(row["licence"] for row in rows)
    assert sum(file.stat().st_size for file in base.iterdir()) < 8_000_000


def test_code_begins_with_it_and_improves(tmp_path, code):
    events = list(up(options(tmp_path, code, steps=12)))
    [beside] = [e for e in events if isinstance(e, SideBySide)]
    assert beside.loss_after < beside.loss_before
    assert isinstance(events[-1], Ready)
    assert events[-1].run.path == tmp_path / "runs" / "complete"
    again = list(up(options(tmp_path, None, steps=4)))  # no --data: the run knows it
    assert (
        json.loads((again[-1].run.path / "metrics.jsonl").read_text().splitlines()[-1])["step"]
        == 16
    )


def test_without_code_the_base_itself_is_served(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    events = list(up(options(tmp_path, None)))
    assert isinstance(events[-1], Ready)
    assert events[-1].run.path == boxed("descent-code")
    assert not (tmp_path / "runs").exists()


def test_the_code_of_the_current_folder_is_the_default(tmp_path, code, monkeypatch):
    (code / "metrics.jsonl").write_text('{"step": 1}\n')  # what else lies in a project
    monkeypatch.chdir(code)
    events = list(up(options(tmp_path, None, steps=2)))
    config = json.loads((tmp_path / "runs" / "complete" / "config.json").read_text())
    assert config["source"] == str(code)
    assert isinstance(events[-1], Ready)


@pytest.mark.parametrize(
    "more",
    [{"scratch": True}, {"type": "rnn"}, {"characters": True}, {"model": {"n_layer": 1}},
     {"vocab_size": 500}, {"infill": 0.5}, {"preset": "lecture-gpt"}],
)  # fmt: skip
def test_whoever_asks_for_something_else_gets_it(tmp_path, code, more):
    assert base_for(options(tmp_path, code, **more)) is None


def test_prose_does_not_begin_with_it(tmp_path):
    (tmp_path / "a.txt").write_text("Es war einmal ein Mädchen. " * 50)
    assert base_for(options(tmp_path, tmp_path / "a.txt")) is None
    assert base_for(options(tmp_path, "installed")) is None

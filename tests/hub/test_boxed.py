"""A run packed into the package's form: small, found by name, and nearly the same model."""

import json

import numpy as np
import pytest

from descent import from_numpy, no_grad
from descent.data.tokenizers import ByteBPE
from descent.hub import boxed as room
from descent.hub.finding import find
from descent.hub.formats.errors import FormatError
from descent.hub.loading import load
from descent.models.building import build
from descent.train.checkpoint import load_weights, save_weights

SIZES = {"vocab_size": 300, "block_size": 16, "n_layer": 2, "n_head": 2, "n_embd": 32}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    model = build("gpt", SIZES)
    save_weights(folder / "model.safetensors", model)
    ByteBPE.train("some text to learn pairs from " * 20, 300).save(folder / "tokenizer.json")
    config = {
        "format": "descent-run.v1", "created": 1, "goal": "complete", "source": "/home/me/secret",
        "model": {"type": "gpt", "config": SIZES}, "results": {"steps": 10},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "manifest.json").write_text("[]")
    return folder, model


def test_packed_is_a_quarter_and_predicts_the_same(run, tmp_path, monkeypatch):
    folder, model = run
    packed = room.pack(folder, tmp_path / "base" / "descent-code", command="descent up …")
    sizes = [(f / "model.safetensors").stat().st_size for f in (folder, packed)]
    assert sizes[1] < 0.32 * sizes[0]
    config = json.loads((packed / "config.json").read_text())
    assert config["command"] == "descent up …"
    assert "secret" not in json.dumps(config)
    assert (packed / "manifest.json").is_file()

    monkeypatch.setattr(room, "_HERE", tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    assert find("descent-code") == packed
    ids = from_numpy(np.arange(16)[None])
    with no_grad():
        want = model.eval()(ids)[0].array
        for how in (lambda: load(packed).build(), lambda: _filled(packed)):
            got = how()(ids)[0].array
            assert np.abs(got - want).max() < 0.02 * np.abs(want).max()


def _filled(packed):
    model = build("gpt", SIZES)
    load_weights(packed / "model.safetensors", model)
    return model.eval()


def test_a_run_that_is_not_at_its_end_is_refused(run, tmp_path):
    folder, _ = run
    config = json.loads((folder / "config.json").read_text())
    del config["results"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(FormatError, match="no results"):
        room.pack(folder, tmp_path / "packed", command="")
    assert not (tmp_path / "packed").exists()

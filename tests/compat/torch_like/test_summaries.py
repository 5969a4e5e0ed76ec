"""SummaryWriter: one JSON object per line."""

import json

import numpy as np
import pytest

import descent
from descent.compat.torch_like.summaries import SummaryWriter


def test_lines(tmp_path, capsys):
    with SummaryWriter(log_dir=tmp_path / "run") as writer:
        writer.add_scalar("Loss/train", descent.tensor(1.5), 3)
        writer.add_scalars("acc", {"a": 1, "b": np.float32(0.25)}, 4, walltime=9.0)
        writer.add_text("note", "hello")
        writer.add_histogram("w", descent.arange(4.0), 1, bins=2)
        writer.add_hparams({"lr": 0.1}, {"loss": descent.tensor(2.0)})
        writer.flush()
    writer.add_scalar("after", 1)  # closing is not the end
    writer.close()
    lines = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [(x["tag"], x.get("value"), x["step"]) for x in lines] == [
        ("Loss/train", 1.5, 3),
        ("acc/a", 1, 4),
        ("acc/b", 0.25, 4),
        ("note", None, None),
        ("w", None, 1),
        ("hparams", None, None),
        ("after", 1, None),
    ]
    assert lines[1]["wall_time"] == 9.0
    assert lines[4]["counts"] == [2, 2]
    assert lines[4]["edges"] == [0, 1.5, 3]
    assert lines[5]["metrics"] == {"loss": 2.0}
    assert str(tmp_path / "run" / "metrics.jsonl") in capsys.readouterr().err
    assert writer.get_logdir() == str(tmp_path / "run")


def test_what_is_left_out_says_so(tmp_path):
    writer = SummaryWriter(tmp_path)
    with pytest.raises(AttributeError, match="add_image is not in Descent; add_scalar"):
        writer.add_image("a", None)
    writer.close()


def test_the_default_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writer = SummaryWriter(comment="_mlp")
    writer.add_scalar("x", 1)
    writer.close()
    assert [p.name for p in (tmp_path / "runs").glob("*_mlp/*")] == ["metrics.jsonl"]

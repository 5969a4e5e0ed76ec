"""Everything a user sees, in a few seconds: runs before every commit."""

import json
import subprocess
import sys

import numpy as np
import pytest

import descent as dc
from descent.nn import functional as F
from descent.scalar import Value


def test_scalar_floor() -> None:
    a, b = Value(-4.0), Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    assert (round(g.data, 4), round(a.grad, 4), round(b.grad, 4)) == (24.7041, 138.8338, 645.5773)


def test_tensor_floor_agrees_with_the_scalar_floor() -> None:
    x = dc.tensor([[0.5, -1.0, 2.0]], dtype=dc.float64, requires_grad=True)
    F.softmax(x.tanh(), -1)[0, 2].backward()
    v = [Value(t) for t in (0.5, -1.0, 2.0)]
    top = [t.tanh().exp() for t in v]
    (top[2] / (top[0] + top[1] + top[2])).backward()
    np.testing.assert_allclose(x.grad.array[0], [t.grad for t in v], rtol=1e-12)


def test_a_network_learns() -> None:
    dc.manual_seed(0)
    x = dc.rand(64, 2) * 2 - 1
    y = (x[:, 0] * x[:, 1] > 0).long()
    model = dc.nn.Sequential(dc.nn.Linear(2, 16), dc.nn.Tanh(), dc.nn.Linear(16, 2))
    optimizer = dc.optim.AdamW(model.parameters(), lr=0.05)
    for _ in range(200):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model(x).argmax(1) == y).float().mean().item() > 0.95


def test_from_files_to_a_completion_and_its_scalars(tmp_path) -> None:
    from descent.generate import Sampling
    from descent.goals.complete import CompleteOptions, up
    from descent.goals.loading import load_completer
    from descent.view.floors import Explanation

    folder = tmp_path / "code"
    folder.mkdir()
    for i in range(8):
        text = "".join(f"def f{i}_{j}(a, b):\n    return a + b\n\n" for j in range(30))
        (folder / f"m{i}.py").write_text(text)
    options = CompleteOptions(
        data=str(folder), steps=60, runs=tmp_path, name="tiny", vocab_size=300,
        model={"n_layer": 1, "n_head": 2, "n_embd": 32, "block_size": 32},
        training={"learning_rate": 1e-2, "warmup_steps": 5},
    )  # fmt: skip
    events = [type(e).__name__ for e in up(options)]
    assert events[-1] == "Ready"
    assert {"Said", "Planned", "Stepped", "Evaluated", "Compared"} <= set(events)
    completer, run, model = load_completer(tmp_path / "tiny")
    config = json.loads((run.path / "config.json").read_text())
    assert config["results"]["val_bits_per_byte"] < 1.5
    from descent.generate import complete

    ids = completer.encode("def f1_2(a, b):\n    return").ids
    pieces = complete(
        completer.model, completer.tokenizer, ids, Sampling(max_tokens=6, temperature=0)
    )
    assert "".join(p.text for p in pieces).startswith(" a + b")
    e = Explanation(completer, model, "def f1_2(a, b):\n    return")
    floor = e.element(e.logits_record())
    assert floor.value.data == pytest.approx(floor.computed, rel=1e-4)


def test_the_command_answers() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "descent", "--help"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    for command in ("up", "explain", "show", "run", "serve"):
        assert command in run.stdout

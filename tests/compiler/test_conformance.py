"""Every model of the package: a compiled training step gives what the eager one gives."""

import numpy as np
import pytest

import descent as dc
from descent import nn, optim
from descent.models.building import MODELS, build
from tests.models.test_models import CASES, each_model

V, B, T = 11, 4, 8


def batches(n, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        x, y = rng.integers(0, V, (B, T)), rng.integers(0, V, (B, T))
        y[0, 2:] = -1
        yield dc.from_numpy(x), dc.from_numpy(y)


def trained(kind, config, compiled, steps=4, optimizer="adamw"):
    dc.manual_seed(3)
    model = build(kind, config)
    model.train()
    params = list(model.parameters())
    opt = optim.AdamW(params, lr=1e-2) if optimizer == "adamw" else optim.SGD(params, lr=0.1)

    def step(x, y):
        _, loss = model(x, y)
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        return loss

    run = dc.compile(step, keep_grads=True) if compiled else step
    losses = []
    for i, (x, y) in enumerate(batches(steps)):
        opt.param_groups[0]["lr"] = 1e-2 / (1 + i)  # a schedule is no reason to compile again
        losses.append(run(x, y).item())
    if compiled:
        assert run.refused is None, run.refused
        assert len(run.programs) == 1
    grads = [None if p.grad is None else p.grad.array.copy() for p in params]
    return losses, [p.array for p in params], [b.array for b in model.buffers()], grads


def test_every_model_is_here():
    assert {kind for kind, _ in CASES} == set(MODELS)


@each_model
def test_compiled_equals_eager(kind, config):
    eager, compiled = trained(kind, config, False), trained(kind, config, True)
    np.testing.assert_allclose(compiled[0], eager[0], rtol=2e-5)
    for a, b in zip(compiled[1], eager[1]):
        np.testing.assert_allclose(a, b, atol=3e-4, rtol=1e-3)  # Adam divides by small moments
    for a, b in zip(compiled[2], eager[2]):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    for a, b in zip(compiled[3], eager[3]):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("kind", ["gpt", "nplm"])
def test_inference_equals_eager(kind):
    config = dict(CASES[{"gpt": 13, "nplm": 3}[kind]][1])
    model = build(kind, config).eval()
    x = next(batches(1))[0]

    @dc.compile
    def logits(x):
        with dc.no_grad():
            return model(x)[0]

    with dc.no_grad():
        expected = model(x)[0].numpy()
    np.testing.assert_allclose(logits(x).numpy(), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(logits(x).numpy(), expected, rtol=1e-5, atol=1e-5)

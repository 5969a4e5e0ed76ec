"""Random programs of views and in-place changes: never a silently wrong gradient.

Each program is a list of statements on float64 tensors. Where PyTorch computes a gradient, ours is
the same or we refuse as PyTorch would (RuntimeError); where PyTorch refuses and we do not, our
gradient must be the central difference of the program itself.
"""

import numpy as np
import pytest

VIEWS = [
    "{a}[0]", "{a}[-1:]", "{a}.t()", "{a}.reshape(-1)", "{a}.view(-1)", "{a}[..., 1:]",
    "{a}.unsqueeze(0)", "{a}.transpose(0, -1)", "{a}.flatten()[1:4]", "{a}.detach()", "{a}[..., ::2]",
]  # fmt: skip
MAKES = [
    "{a} * 2",
    "{a}.exp()",
    "{a} * {a}",
    "{a} + 1",
    "{a}.clone()",
    "{a}.sum() * x",
    "{a}.tanh()",
]
CHANGES = [
    "{a}.mul_(2)", "{a}.add_(1)", "{a} *= 3", "{a}.mul_({a})", "{a}[0] = 2", "{a}[..., 0] += 1",
    "{a}.zero_()", "{a}.exp_()", "{a}[..., :1] = w[0, 0]", "{a}.sub_(w.sum())", "{a}.tanh_()",
    "{a}.copy_({b}.sum())", "{a}.add_({b}.sum())", "{a}.pow_(2)", "{a}.mul_(w[1, 1])",
    "{a}[{a} > 0.5] = 0.25", "{a}.fill_(0.5)", "{a}.div_(2)", "{a}.clamp_(-1, 1)",
]  # fmt: skip


def random_program(rng):
    names, lines = ["y"], ["y = x * w"]
    for i in range(int(rng.integers(3, 9))):
        a, b = rng.choice(names), rng.choice(names)
        group = rng.choice(3, p=[0.35, 0.2, 0.45])
        form = str(rng.choice([VIEWS, MAKES, CHANGES][group])).format(a=a, b=b)
        if group == 2:
            lines.append(form)
        else:
            names.append(f"v{i}")
            lines.append(f"v{i} = {form}")
    total = " + ".join(f"({n} * {n}).sum()" for n in dict.fromkeys(rng.choice(names, 2)))
    return [*lines, f"loss = {total}"]


def run(T, lines, x, w, backward=True):
    x, w = T.tensor(x, requires_grad=True), T.tensor(w, requires_grad=True)
    names = {"x": x, "w": w}
    exec("\n".join(lines), names)
    if not backward:
        return float(names["loss"])
    names["loss"].backward()
    return [np.zeros((2, 3)) if t.grad is None else np.array(t.grad.tolist()) for t in (x, w)]


def numeric(T, lines, x, w, step=1e-6):
    grads = []
    for target in (x, w):
        g = np.zeros_like(target)
        for at in np.ndindex(target.shape):
            before, ends = target[at], []
            for s in (step, -step):
                target[at] = before + s
                ends.append(run(T, lines, x, w, backward=False))
            target[at] = before
            g[at] = (ends[0] - ends[1]) / (2 * step)
        grads.append(g)
    return grads


def outcome(T, lines, x, w):
    try:
        return run(T, lines, x, w)
    except (RuntimeError, IndexError) as error:
        return error


@pytest.mark.oracle
def test_random_programs():
    import torch

    import descent

    rng = np.random.default_rng(8)
    computed = refused = 0
    for _ in range(700):
        lines = random_program(rng)
        x, w = rng.uniform(0.1, 0.9, (2, 3)), rng.uniform(0.1, 0.9, (2, 3))
        theirs, ours = outcome(torch, lines, x, w), outcome(descent, lines, x, w)
        text = "\n".join(lines)
        if isinstance(ours, Exception):
            refused += 1
            assert isinstance(theirs, Exception), f"{text}\nours: {ours!r}"
            continue
        computed += 1
        right = theirs
        if isinstance(theirs, Exception):
            if ".detach()" in text:
                continue  # a difference would see what detach hides
            right = numeric(descent, lines, x, w)
        for mine, r in zip(ours, right):
            np.testing.assert_allclose(mine, r, rtol=1e-4, atol=1e-5, err_msg=text)
    assert computed > 200
    assert refused > 50

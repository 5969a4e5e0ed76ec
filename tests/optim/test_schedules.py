"""Schedules against PyTorch's over 100 steps, the plain functions, saving and combining."""

import math

import pytest

import descent
from descent import optim
from descent.nn import Parameter
from descent.optim import cosine_with_warmup, lr_scheduler, warmup_stable_decay
from descent.optim.schedule import inverse_sqrt


def our_optimizer(kind="SGD", **options):
    a, b = Parameter(descent.tensor([1.0])), Parameter(descent.tensor([1.0]))
    groups = [{"params": [a]}, {"params": [b], "lr": 0.5}]
    return getattr(optim, kind)(groups, **{"lr": 0.1, **options})


def torch_optimizer(kind="SGD", **options):
    import torch

    a, b = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))
    groups = [{"params": [a]}, {"params": [b], "lr": 0.5}]
    return getattr(torch.optim, kind)(groups, **{"lr": 0.1, **options})


RECIPES = {
    "lambda": lambda s, o: s.LambdaLR(o, lambda t: 0.95**t),
    "lambdas": lambda s, o: s.LambdaLR(o, [lambda t: 1 / (t + 1), lambda t: 0.5]),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda t: 0.9 + 0.001 * t),
    "step": lambda s, o: s.StepLR(o, 7, 0.5),
    "multistep": lambda s, o: s.MultiStepLR(o, [3, 20, 20, 70], 0.3),
    "constant": lambda s, o: s.ConstantLR(o, 0.25, 9),
    "linear": lambda s, o: s.LinearLR(o, 0.1, 0.9, 33),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.97),
    "polynomial": lambda s, o: s.PolynomialLR(o, 60, 1.7),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 23, 0.001),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 9, 1, 0.01),
    "restarts, doubling": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 2),
    "one cycle": lambda s, o: s.OneCycleLR(o, 1.0, total_steps=101),
    "one cycle, linear": lambda s, o: s.OneCycleLR(
        o, [1.0, 2.0], epochs=11, steps_per_epoch=10, pct_start=0.2, anneal_strategy="linear"
    ),
    "one cycle, three phases": lambda s, o: s.OneCycleLR(
        o, 1.0, total_steps=101, three_phase=True, base_momentum=0.7
    ),
    "one cycle, no momentum": lambda s, o: s.OneCycleLR(
        o, 1.0, total_steps=101, cycle_momentum=False
    ),
    "sequence": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, 1.0, 10), s.CosineAnnealingLR(o, 90), s.ConstantLR(o, 0.5, 4)],
        [10, 80],
    ),
    "sequence of functions": lambda s, o: s.SequentialLR(
        o, [s.LambdaLR(o, lambda t: (t + 1) / 5), s.ExponentialLR(o, 0.9)], [5]
    ),
    "chain": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 8), s.ExponentialLR(o, 0.95)]),
    "nested": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.5, 20), s.StepLR(o, 4, 0.8)], [13]
    ),
}  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
@pytest.mark.parametrize("name", list(RECIPES))
def test_hundred_steps_equal_torch(name, kind):
    import torch

    options = {"momentum": 0.9} if kind == "SGD" else {}
    ours, theirs = our_optimizer(kind, **options), torch_optimizer(kind, **options)
    mine, peer = RECIPES[name](lr_scheduler, ours), RECIPES[name](torch.optim.lr_scheduler, theirs)
    watched = "momentum" if kind == "SGD" else "betas"
    for _ in range(100):
        for g, h in zip(ours.param_groups, theirs.param_groups):
            assert g["lr"] == pytest.approx(h["lr"], rel=1e-12, abs=1e-18)
            assert g[watched] == pytest.approx(h[watched], rel=1e-12)
        assert mine.get_last_lr() == pytest.approx(peer.get_last_lr(), rel=1e-12, abs=1e-18)
        ours.step()
        theirs.step()
        mine.step()
        peer.step()


@pytest.mark.oracle
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateau_equals_torch(mode, threshold_mode):
    import torch

    ours, theirs = our_optimizer(), torch_optimizer()
    options = dict(
        mode=mode, factor=0.5, patience=2, threshold=0.05, threshold_mode=threshold_mode,
        cooldown=3, min_lr=[0.004, 0.001],
    )  # fmt: skip
    mine = lr_scheduler.ReduceLROnPlateau(ours, **options)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for t in range(100):
        metric = math.sin(t / 5) + t / 40 * (-1 if t % 30 < 15 else 1)
        mine.step(metric)
        peer.step(metric)
        assert [g["lr"] for g in ours.param_groups] == [g["lr"] for g in theirs.param_groups]
    assert ours.param_groups[0]["lr"] < 0.1


@pytest.mark.parametrize("name", list(RECIPES))
def test_saved_and_loaded_goes_on(name):
    options = {"momentum": 0.9}
    ours = our_optimizer(**options)
    mine = RECIPES[name](lr_scheduler, ours)
    for _ in range(37):
        mine.step()
    again_optimizer = our_optimizer(**options)
    again = RECIPES[name](lr_scheduler, again_optimizer)
    again_optimizer.load_state_dict(ours.state_dict())
    again.load_state_dict(mine.state_dict())
    for _ in range(40):
        mine.step()
        again.step()
        assert again_optimizer.param_groups[0]["lr"] == ours.param_groups[0]["lr"]
        assert again.get_last_lr() == mine.get_last_lr()


@pytest.mark.parametrize(
    "name", ["step", "multistep", "constant", "linear", "exponential", "polynomial", "cosine"]
)
def test_recursion_equals_closed_form(name):
    mine = RECIPES[name](lr_scheduler, our_optimizer())
    for _ in range(100):
        assert mine.get_last_lr() == pytest.approx(mine.closed_form(), rel=1e-9, abs=1e-12)
        mine.step()


def test_resuming_needs_the_initial_rate():
    with pytest.raises(KeyError, match="initial_lr"):
        lr_scheduler.StepLR(our_optimizer(), 3, last_epoch=5)


def test_wrong_settings_are_named():
    o = our_optimizer()
    with pytest.raises(TypeError, match="not an Optimizer"):
        lr_scheduler.StepLR([1], 3)
    with pytest.raises(ValueError, match="total_steps"):
        lr_scheduler.OneCycleLR(o, 1.0)
    short = lr_scheduler.OneCycleLR(o, 1.0, total_steps=3, cycle_momentum=False)
    for _ in range(3):
        short.step()
    with pytest.raises(ValueError, match="Tried to step 4 times"):
        short.step()
    with pytest.raises(ValueError, match="momentum"):
        lr_scheduler.OneCycleLR(optim.Adagrad([Parameter(descent.tensor([1.0]))]), 1.0, 10)
    with pytest.raises(ValueError, match="milestone"):
        lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 3)], [5])


def test_cosine_with_warmup():
    rates = [cosine_with_warmup(t, peak=1.0, warmup=4, total=104, floor=0.1) for t in range(120)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[54] == pytest.approx(0.55)
    assert rates[104:] == [0.1] * 16
    assert rates[4:105] == sorted(rates[4:105], reverse=True)


def test_inverse_sqrt_is_the_papers():
    """§5.3: d^(−1/2) · min(step^(−1/2), step · warmup^(−3/2)), step from 1."""
    d, warmup = 512, 4000
    for step in (1, 2, 3999, 4000, 4001, 100_000):
        paper = d**-0.5 * min(step**-0.5, step * warmup**-1.5)
        assert inverse_sqrt(step - 1, peak=(d * warmup) ** -0.5, warmup=warmup) == (
            pytest.approx(paper)
        )
    assert inverse_sqrt(0, peak=1.0, warmup=0) == 1.0


@pytest.mark.parametrize("shape", ["linear", "sqrt"])
def test_warmup_stable_decay(shape):
    rates = [
        warmup_stable_decay(t, peak=2.0, warmup=1, total=20, decay=8, floor=0.5, shape=shape)
        for t in range(25)
    ]
    assert rates[0] == 1.0
    assert rates[1:13] == [2.0] * 12
    assert rates[13] == pytest.approx(0.5 + 1.5 * (7 / 8 if shape == "linear" else 1 - 8**-0.5))
    assert rates[20:] == [0.5] * 5


def test_warmup_stable_decay_checks():
    with pytest.raises(ValueError, match="exceed"):
        warmup_stable_decay(0, peak=1.0, total=5, warmup=3, decay=3)
    with pytest.raises(ValueError, match="shape"):
        warmup_stable_decay(0, peak=1.0, total=5, shape="cubic")

"""What `descent.nn` and `descent.optim` offer, and under whose names."""

import pytest

import descent
from descent import nn, optim

OURS = {"summary", "record_modules", "module_stack", "current_path"}
OUR_SCHEDULES = {"schedule", "cosine_with_warmup", "warmup_stable_decay"}


@pytest.mark.parametrize(
    "module", [nn, nn.init, nn.utils, nn.functional, optim, optim.lr_scheduler], ids=str
)
def test_all_names_exist_once(module):
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_reached_from_the_top():
    assert descent.nn is nn
    assert descent.optim is optim
    with pytest.raises(AttributeError, match="nothing_like_this"):
        descent.nothing_like_this  # noqa: B018


@pytest.mark.oracle
def test_names_are_pytorchs():
    import torch

    assert {n for n in nn.__all__ if not hasattr(torch.nn, n)} == OURS
    assert {n for n in optim.__all__ if not hasattr(torch.optim, n)} == OUR_SCHEDULES
    for name in optim.lr_scheduler.__all__:
        assert hasattr(torch.optim.lr_scheduler, name)
    for name in {*nn.init.__all__, *nn.utils.__all__} - {"without_values"}:
        assert hasattr(torch.nn.init, name) or hasattr(torch.nn.utils, name)


@pytest.mark.oracle
def test_a_model_trains_as_in_pytorch():
    """Thirty AdamW steps of a small network under a schedule, clipped: the same losses."""
    import torch

    def losses(lib):
        lib.manual_seed(0)
        net = lib.nn.Sequential(
            lib.nn.Embedding(7, 8), lib.nn.Flatten(), lib.nn.Linear(24, 16), lib.nn.BatchNorm1d(16),
            lib.nn.Tanh(), lib.nn.Dropout(0.1), lib.nn.Linear(16, 7),
        )  # fmt: skip
        optimizer = lib.optim.AdamW(net.parameters(), lr=0.01)
        schedule = lib.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=31)
        x, y = lib.randint(0, 7, (32, 3)), lib.randint(0, 7, (32,))
        found = []
        for _ in range(30):
            loss = lib.nn.functional.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            lib.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            found.append(loss.item())
        return found

    ours, theirs = losses(descent), losses(torch)
    assert ours == pytest.approx(theirs, rel=1e-3)
    assert ours[:5] == pytest.approx(theirs[:5], rel=1e-5)
    assert ours[-1] < 0.7 * ours[0]

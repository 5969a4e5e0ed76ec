"""Every layer against PyTorch's: same seed → same weights, same forward, same gradients, same repr."""

import numpy as np
import pytest

import descent
from descent import nn
from tests.nn.peers import build, same_results, same_weights

pytestmark = pytest.mark.oracle


def x(*shape):
    return np.random.default_rng(sum(shape) + 1).standard_normal(shape)


def ids(high, *shape):
    return np.random.default_rng(3).integers(0, high, shape)


# name: (how to build it from either nn, arguments of forward)
LAYERS = {
    "linear": (lambda n: n.Linear(5, 7), [x(3, 5)]),
    "linear, wide": (lambda n: n.Linear(33, 17, bias=False), [x(2, 3, 33)]),
    "linear, vector": (lambda n: n.Linear(5, 1), [x(5)]),
    "bilinear": (lambda n: n.Bilinear(3, 4, 5), [x(6, 3), x(6, 4)]),
    "bilinear, no bias": (lambda n: n.Bilinear(3, 2, 1, bias=False), [x(2, 6, 3), x(2, 6, 2)]),
    "identity": (lambda n: n.Identity(54, unused=True), [x(3)]),
    "flatten": (lambda n: n.Flatten(), [x(2, 3, 4)]),
    "flatten two": (lambda n: n.Flatten(0, 1), [x(2, 3, 4)]),
    "unflatten": (lambda n: n.Unflatten(1, (3, 4)), [x(2, 12, 2)]),
    "embedding": (lambda n: n.Embedding(11, 6), [ids(11, 4, 3)]),
    "embedding, padding": (lambda n: n.Embedding(11, 6, padding_idx=2), [ids(11, 9)]),
    "embedding, norm": (lambda n: n.Embedding(11, 6, max_norm=1.0), [ids(11, 9)]),
    "layer norm": (lambda n: n.LayerNorm(6), [x(2, 3, 6)]),
    "layer norm, two axes": (lambda n: n.LayerNorm((3, 6), eps=1e-3), [x(2, 3, 6)]),
    "layer norm, no bias": (lambda n: n.LayerNorm(6, bias=False), [x(2, 6)]),
    "layer norm, plain": (lambda n: n.LayerNorm(6, elementwise_affine=False), [x(2, 6)]),
    "rms norm": (lambda n: n.RMSNorm(6), [x(2, 3, 6)]),
    "rms norm, eps": (lambda n: n.RMSNorm([3, 6], eps=0.1), [x(2, 3, 6)]),
    "batch norm": (lambda n: n.BatchNorm1d(4), [x(8, 4)]),
    "batch norm, time": (lambda n: n.BatchNorm1d(4, momentum=0.3), [x(8, 4, 5)]),
    "batch norm, mean": (lambda n: n.BatchNorm1d(4, momentum=None), [x(8, 4)]),
    "batch norm, plain": (
        lambda n: n.BatchNorm1d(4, affine=False, track_running_stats=False), [x(8, 4)]
    ),
    "group norm": (lambda n: n.GroupNorm(2, 6), [x(3, 6, 5)]),
    "group norm, plain": (lambda n: n.GroupNorm(3, 6, affine=False), [x(3, 6)]),
    "instance norm": (lambda n: n.InstanceNorm1d(4), [x(3, 4, 5)]),
    "instance norm, tracked": (
        lambda n: n.InstanceNorm1d(4, affine=True, track_running_stats=True), [x(3, 4, 5)]
    ),
    "instance norm, one": (lambda n: n.InstanceNorm1d(4, affine=True), [x(4, 5)]),
    "dropout": (lambda n: n.Dropout(0.3), [x(20, 4)]),
    "dropout, all": (lambda n: n.Dropout(1.0), [x(3, 4)]),
    "dropout, none": (lambda n: n.Dropout(0.0), [x(3, 4)]),
    "conv": (lambda n: n.Conv1d(3, 5, 2), [x(2, 3, 7)]),
    "conv, all": (
        lambda n: n.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2, bias=False),
        [x(2, 4, 9)],
    ),
    "conv, same": (lambda n: n.Conv1d(3, 5, 3, padding="same", dilation=2), [x(2, 3, 7)]),
    "conv, circular": (
        lambda n: n.Conv1d(3, 5, 3, padding=1, padding_mode="circular"), [x(2, 3, 7)]
    ),
    "relu": (lambda n: n.ReLU(), [x(9)]),
    "relu6": (lambda n: n.ReLU6(), [4 * x(9)]),
    "elu": (lambda n: n.ELU(0.7), [x(9)]),
    "celu": (lambda n: n.CELU(0.7), [x(9)]),
    "selu": (lambda n: n.SELU(), [x(9)]),
    "gelu": (lambda n: n.GELU(), [x(9)]),
    "gelu, tanh": (lambda n: n.GELU("tanh"), [x(9)]),
    "silu": (lambda n: n.SiLU(), [x(9)]),
    "mish": (lambda n: n.Mish(), [x(9)]),
    "glu": (lambda n: n.GLU(), [x(3, 8)]),
    "leaky relu": (lambda n: n.LeakyReLU(0.2), [x(9)]),
    "prelu": (lambda n: n.PReLU(), [x(2, 3)]),
    "prelu, channels": (lambda n: n.PReLU(3, init=0.1), [x(2, 3, 4)]),
    "rrelu": (lambda n: n.RReLU(), [x(9)]),
    "hardtanh": (lambda n: n.Hardtanh(-0.5, 0.7), [x(9)]),
    "hardshrink": (lambda n: n.Hardshrink(), [x(9)]),
    "softshrink": (lambda n: n.Softshrink(0.3), [x(9)]),
    "hardsigmoid": (lambda n: n.Hardsigmoid(), [4 * x(9)]),
    "hardswish": (lambda n: n.Hardswish(), [4 * x(9)]),
    "sigmoid": (lambda n: n.Sigmoid(), [x(9)]),
    "log sigmoid": (lambda n: n.LogSigmoid(), [x(9)]),
    "tanh": (lambda n: n.Tanh(), [x(9)]),
    "tanhshrink": (lambda n: n.Tanhshrink(), [x(9)]),
    "softplus": (lambda n: n.Softplus(2.0, 3.0), [3 * x(9)]),
    "softsign": (lambda n: n.Softsign(), [x(9)]),
    "threshold": (lambda n: n.Threshold(0.1, 20.0), [x(9)]),
    "softmax": (lambda n: n.Softmax(dim=1), [x(3, 4)]),
    "log softmax": (lambda n: n.LogSoftmax(dim=-1), [x(3, 4)]),
    "softmin": (lambda n: n.Softmin(dim=0), [x(3, 4)]),
    "sequential": (
        lambda n: n.Sequential(n.Linear(5, 8), n.Tanh(), n.Dropout(0.2), n.Linear(8, 2)), [x(3, 5)]
    ),
}  # fmt: skip


def tolerance(name):
    # PyTorch keeps 1/alpha and 1/6 of these in float32 whatever the dtype
    return 1e-7 if name in ("celu", "hardsigmoid") else 1e-9


@pytest.mark.parametrize("name", list(LAYERS))
def test_training(name):
    make, args = LAYERS[name]
    ours, theirs = build(make)
    same_weights(ours, theirs)
    assert repr(ours) == repr(theirs)
    same_results(ours, theirs, *args, tol=tolerance(name))
    same_weights(ours, theirs, rtol=1e-9)  # buffers were updated alike


@pytest.mark.parametrize("name", list(LAYERS))
def test_evaluation(name):
    make, args = LAYERS[name]
    ours, theirs = build(make, seed=1)
    if "norm" in name:  # statistics to use
        same_results(ours, theirs, *args)
        ours.zero_grad()
        theirs.zero_grad()
    same_results(ours.eval(), theirs.eval(), *args, tol=tolerance(name))
    same_weights(ours, theirs, rtol=1e-9)


LOSSES = {
    "mse": (lambda n, **o: n.MSELoss(**o), [x(3, 4), x(3, 4) + 1]),
    "l1": (lambda n, **o: n.L1Loss(**o), [x(3, 4), x(3, 4) + 1]),
    "smooth l1": (lambda n, **o: n.SmoothL1Loss(beta=0.5, **o), [x(3, 4), x(4, 3).T.copy()]),
    "huber": (lambda n, **o: n.HuberLoss(delta=0.5, **o), [x(3, 4), x(4, 3).T.copy()]),
    "soft margin": (lambda n, **o: n.SoftMarginLoss(**o), [x(6), np.sign(x(6) - 0.1)]),
    "kl": (lambda n, **o: n.KLDivLoss(**o), [x(3, 4), np.exp(x(3, 4))]),
    "kl, log": (lambda n, **o: n.KLDivLoss(log_target=True, **o), [x(3, 4), x(3, 4) + 1]),
    "cross entropy": (lambda n, **o: n.CrossEntropyLoss(**o), [x(6, 4), ids(4, 6)]),
    "cross entropy, ignoring": (
        lambda n, **o: n.CrossEntropyLoss(ignore_index=1, label_smoothing=0.1, **o),
        [x(6, 4, 2), ids(4, 6, 2)],
    ),
    "nll": (lambda n, **o: n.NLLLoss(**o), [x(6, 4), ids(4, 6)]),
    "bce": (lambda n, **o: n.BCELoss(**o), [1 / (1 + np.exp(-x(6))), (x(6) > 0).astype(float)]),
    "bce logits": (lambda n, **o: n.BCEWithLogitsLoss(**o), [x(6), (x(6) > 0.1).astype(float)]),
    "poisson": (lambda n, **o: n.PoissonNLLLoss(**o), [x(6), np.exp(x(6))]),
    "gaussian": (lambda n, **o: n.GaussianNLLLoss(**o), [x(6), x(6) + 1, np.exp(x(6))]),
    "hinge": (lambda n, **o: n.HingeEmbeddingLoss(**o), [x(6), np.sign(x(6) - 0.1)]),
    "cosine": (
        lambda n, **o: n.CosineEmbeddingLoss(0.2, **o),
        [x(6, 3), x(3, 6).T.copy(), np.sign(x(6))],
    ),
    "ranking": (lambda n, **o: n.MarginRankingLoss(0.3, **o), [x(6), x(7)[:6], np.sign(x(6))]),
    "multi margin": (lambda n, **o: n.MultiMarginLoss(**o), [x(6, 4), ids(4, 6)]),
    "triplet": (
        lambda n, **o: n.TripletMarginLoss(swap=True, **o), [x(6, 3), x(6, 4)[:, :3], x(7, 3)[:6]]
    ),
}  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", list(LOSSES))
def test_losses(name, reduction):
    import torch

    make, args = LOSSES[name]
    ours, theirs = make(nn, reduction=reduction), make(torch.nn, reduction=reduction)
    assert repr(ours) == repr(theirs)
    args = [np.ascontiguousarray(a) for a in args]
    if name.startswith("kl") and reduction == "mean":
        with pytest.warns(UserWarning, match="batchmean"):
            theirs(*[torch.tensor(a) for a in args])
        reduction = "batchmean"
        ours, theirs = make(nn, reduction=reduction), make(torch.nn, reduction=reduction)
    same_results(ours, theirs, *args, wrt=1 if name == "soft margin" else 9)


def test_loss_weights_are_buffers():
    import torch

    weight = np.array([0.1, 0.5, 1.0, 2.0])
    ours = nn.CrossEntropyLoss(weight=descent.tensor(weight))
    theirs = torch.nn.CrossEntropyLoss(weight=torch.tensor(weight))
    same_weights(ours, theirs)
    same_results(ours, theirs, x(6, 4), ids(4, 6))
    pos = np.array([3.0, 1.0])
    ours = nn.BCEWithLogitsLoss(pos_weight=descent.tensor(pos))
    theirs = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(pos))
    same_weights(ours, theirs)
    same_results(ours, theirs, x(3, 2), (x(3, 2) > 0).astype(float))


def test_embedding_from_pretrained():
    table = descent.tensor(x(4, 3))
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad
    assert (layer(descent.tensor([1, 1])).numpy() == table.numpy()[[1, 1]]).all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.Dropout(1.5), ValueError, "between 0 and 1"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), AssertionError, "within num_embeddings=3"),
        (lambda: nn.GroupNorm(4, 6), ValueError, "divisible"),
        (lambda: nn.Conv1d(3, 4, 2, groups=2), ValueError, "divisible"),
        (lambda: nn.Conv1d(3, 4, 2, stride=2, padding="same"), ValueError, "strided"),
        (lambda: nn.BatchNorm1d(3)(descent.zeros(3)), ValueError, "2D or 3D"),
        (lambda: nn.Linear(3, 4, device="cuda"), RuntimeError, "CPU"),
        (lambda: nn.Linear(3, 4)(descent.zeros(2, 5)), RuntimeError, "5"),
    ],
)
def test_wrong_use_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_float64_layers_draw_the_float64_stream():
    import torch

    descent.manual_seed(4)
    ours = nn.Linear(5, 4, dtype=descent.float64)
    torch.manual_seed(4)
    same_weights(ours, torch.nn.Linear(5, 4, dtype=torch.float64))

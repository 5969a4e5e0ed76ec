"""Multi-head attention against PyTorch's."""

import numpy as np
import pytest

import descent
from descent import nn
from tests.nn.peers import build, same_results, same_weights


def x(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


HIDE = np.array([[False, False, True], [False, True, True]])  # [B=2, S=3]
CAUSAL = np.triu(np.ones((4, 3), bool), 1)  # [L=4, S=3]

CONFIGS = {
    "plain": {},
    "no bias": {"bias": False},
    "batch first": {"batch_first": True},
    "bias kv": {"add_bias_kv": True},
    "zero": {"add_zero_attn": True},
    "both": {"add_bias_kv": True, "add_zero_attn": True},
    "other sizes": {"kdim": 5, "vdim": 3},
    "dropout": {"dropout": 0.3},
}
CALLS = {
    "weights": {},
    "no weights": {"need_weights": False},
    "per head": {"average_attn_weights": False},
    "padding": {"key_padding_mask": HIDE},
    "mask": {"attn_mask": CAUSAL},
    "causal": {"attn_mask": CAUSAL[:3], "is_causal": True, "need_weights": False},
    "numbers": {"attn_mask": x(4, 3, seed=4), "need_weights": False},
    "all masks": {"attn_mask": CAUSAL, "key_padding_mask": HIDE, "need_weights": False},
    "three axes": {"attn_mask": np.stack([np.roll(CAUSAL, i, 0) for i in range(4)])},
}


@pytest.mark.oracle
@pytest.mark.parametrize("call", list(CALLS))
@pytest.mark.parametrize("name", list(CONFIGS))
def test_equals_torch(name, call):
    config, kwargs = CONFIGS[name], dict(CALLS[call])
    ours, theirs = build(lambda n: n.MultiheadAttention(6, 2, **config))
    same_weights(ours, theirs)
    if name == "dropout" and not kwargs.get("need_weights", True):
        ours.eval()  # PyTorch's fused kernel draws its own mask
        theirs.eval()
    if name in ("bias kv", "zero", "both"):
        kwargs.pop("is_causal", None)  # PyTorch's hint would hide the added keys as well
    length = kwargs["attn_mask"].shape[-2] if call == "causal" else 4
    q, k, v = (
        x(length, 2, 6),
        x(3, 2, config.get("kdim", 6), seed=1),
        x(3, 2, config.get("vdim", 6), seed=2),
    )
    if config.get("batch_first"):
        q, k, v = (np.ascontiguousarray(a.swapaxes(0, 1)) for a in (q, k, v))
    same_results(ours, theirs, q, k, v, **kwargs)


@pytest.mark.oracle
@pytest.mark.parametrize("batch_first", [True, False])
def test_self_attention_and_without_a_batch(batch_first):
    import torch

    ours, theirs = build(lambda n: n.MultiheadAttention(6, 3, batch_first=batch_first))
    same_results(ours, theirs, x(4, 6), x(3, 6), x(3, 6, seed=1))
    a = x(4, 5, 6)
    y, w = ours(*[descent.tensor(a)] * 3)
    z, u = theirs(*[torch.tensor(a)] * 3)
    np.testing.assert_allclose(y.tolist(), z.tolist(), atol=1e-12)
    np.testing.assert_allclose(w.tolist(), u.tolist(), atol=1e-12)


@pytest.mark.oracle
def test_names_and_repr():
    ours, theirs = build(lambda n: n.MultiheadAttention(4, 2, kdim=3, add_bias_kv=True))
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.MultiheadAttention(5, 2), AssertionError, "divisible"),
        (lambda: nn.MultiheadAttention(0, 2), ValueError, "greater than 0"),
        (lambda: nn.MultiheadAttention(4, 2)(*[descent.zeros(3, 1, 5)] * 3), AssertionError, "5"),
        (lambda: nn.MultiheadAttention(4, 2)(*[descent.zeros(3)] * 3), AssertionError, "1-D"),
        (
            lambda: nn.MultiheadAttention(4, 2)(*[descent.zeros(3, 1, 4)] * 3, is_causal=True),
            RuntimeError, "Need attn_mask",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(
                *[descent.zeros(3, 1, 4)] * 3, attn_mask=descent.zeros(1, 3, 3)
            ),
            RuntimeError, "batch · heads = 2",
        ),
    ],
)  # fmt: skip
def test_wrong_use_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()

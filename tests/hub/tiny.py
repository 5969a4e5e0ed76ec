"""Small models with random weights, and what they answer."""

import numpy as np

import descent as dc
from descent.hub.bundle import Bundle
from descent.hub.weights import Weights, stored_array
from descent.models.naming import shapes

GPT = {"vocab_size": 70, "block_size": 32, "n_layer": 2, "n_head": 2, "n_embd": 32}
LLAMA = {
    "vocab_size": 70, "block_size": 32, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_embd": 32,
    "head_dim": 8, "n_hidden": 64, "norm_eps": 1e-5, "rope_base": 10000.0, "tie": False,
}  # fmt: skip


def tiny(kind: str = "gpt", seed: int = 0, **changes) -> Bundle:
    """A bundle of random weights; tied heads left out as in every format."""
    config = {**(GPT if kind == "gpt" else LLAMA), **changes}
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in shapes(kind, config).items():
        if name == "lm_head.weight" and config.get("tie", kind == "gpt"):
            continue
        base = 1.0 if len(shape) == 1 and name.endswith("weight") else 0.0
        arrays[name] = (base + 0.3 * rng.normal(size=shape)).astype(np.float32)
    stored = {name: stored_array(a) for name, a in arrays.items()}
    return Bundle(kind, config, Weights(stored), None, {"format": "memory", "name": "tiny"})


def ids(seed: int = 1, b: int = 2, t: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 70, (b, t))


def logits(bundle: Bundle, tokens: np.ndarray | None = None) -> np.ndarray:
    with dc.no_grad():
        return bundle.build()(dc.tensor(ids() if tokens is None else tokens))[0].array


def same_weights(a: Bundle, b: Bundle) -> None:
    assert set(a.weights) == set(b.weights)
    for name in a.weights:
        np.testing.assert_array_equal(np.asarray(a.weights[name]), np.asarray(b.weights[name]))

"""The Transformer's layers against PyTorch's."""

import numpy as np
import pytest

import descent
from descent import nn
from tests.nn.peers import build, same_results, same_weights


def x(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


CAUSAL = np.triu(np.ones((4, 4), bool), 1)
HIDE = np.array([[False, False, False, True], [False, False, True, True]])
CONFIGS = [
    {"dropout": 0.0},
    {"dropout": 0.0, "norm_first": True, "activation": "gelu"},
    {"dropout": 0.0, "bias": False, "batch_first": True, "layer_norm_eps": 1e-3},
]


@pytest.mark.oracle
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("masks", [{}, {"src_mask": CAUSAL, "src_key_padding_mask": HIDE}])
def test_encoder_layer(config, masks):
    ours, theirs = build(lambda n: n.TransformerEncoderLayer(6, 2, 10, **config))
    same_weights(ours, theirs)
    shape = (2, 4, 6) if config.get("batch_first") else (4, 2, 6)
    same_results(ours, theirs, x(*shape), **masks)


@pytest.mark.oracle
@pytest.mark.parametrize("config", CONFIGS)
def test_decoder_layer(config):
    ours, theirs = build(lambda n: n.TransformerDecoderLayer(6, 2, 10, **config))
    same_weights(ours, theirs)
    shapes = [(2, 4, 6), (2, 5, 6)] if config.get("batch_first") else [(4, 2, 6), (5, 2, 6)]
    same_results(ours, theirs, x(*shapes[0]), x(*shapes[1], seed=1), tgt_mask=CAUSAL)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_encoder_stack():
    def make(n):
        layer = n.TransformerEncoderLayer(6, 2, 10, dropout=0.0)
        return n.TransformerEncoder(layer, 3, norm=n.LayerNorm(6))

    ours, theirs = build(make)
    same_weights(ours, theirs)
    same_results(ours, theirs, x(4, 2, 6))


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_whole_transformer():
    ours, theirs = build(lambda n: n.Transformer(6, 2, 2, 2, 10, dropout=0.0))
    same_weights(ours, theirs)
    same_results(ours, theirs, x(5, 2, 6), x(4, 2, 6, seed=1), tgt_mask=CAUSAL)
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    assert (np.isinf(mask.numpy()) == CAUSAL).all()


def test_unknown_activation_and_dropout():
    with pytest.raises(RuntimeError, match="relu/gelu"):
        nn.TransformerEncoderLayer(4, 2, activation="tanh")
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.5)
    a = descent.ones(3, 1, 4)
    assert layer(a).tolist() != layer(a).tolist()
    layer.eval()
    assert layer(a).tolist() == layer(a).tolist()

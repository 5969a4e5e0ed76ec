"""Every model of the list: shapes, loss, causality, learning, files, generation, sizes."""

import numpy as np
import pytest

import descent as dc
from descent import nn, optim
from descent.generate.sessions import CachedSession, ModelLanguage, WindowSession
from descent.models.building import MODELS, build
from descent.train.checkpoint import load_weights, save_weights

V, B, T = 11, 3, 7

SMALL = {"vocab_size": V, "n_embd": 8}
CASES = [
    ("bigram", {"vocab_size": V, "block_size": 8}),
    ("nplm", {**SMALL, "n_hidden": 24}),
    ("nplm", {**SMALL, "n_hidden": 24, "direct": True, "block_size": 5, "init": "default"}),
    ("nplm", {**SMALL, "n_hidden": 24, "batch_norm": True, "pad": 0}),
    ("nplm", {**SMALL, "n_hidden": 24, "init": "normal"}),
    ("bow", {**SMALL, "block_size": 8, "n_hidden": 24}),
    ("rnn", {**SMALL, "block_size": 8, "n_hidden": 24}),
    ("rnn", {**SMALL, "block_size": 8, "n_hidden": 24, "cell": "gru"}),
    ("rnn", {**SMALL, "block_size": 8, "n_hidden": 24, "cell": "lstm"}),
    ("wavenet", {**SMALL, "n_hidden": 24}),
    ("wavenet", {**SMALL, "n_hidden": 24, "block_size": 4, "pad": 0}),
    ("cnn", {**SMALL, "block_size": 8, "n_layer": 2}),
    ("cnn", {**SMALL, "block_size": 8, "n_layer": 2, "kernel_size": 3}),
    ("gpt", {**SMALL, "block_size": 8, "n_layer": 2, "n_head": 2}),
    (
        "gpt",
        {
            **SMALL, "block_size": 8, "n_layer": 1, "n_head": 2, "tie": False, "init_std": None,
            "activation": "relu", "qkv_bias": False, "head_bias": True,
        },
    ),
    ("llama", {**SMALL, "block_size": 8, "n_layer": 2, "n_head": 2}),
    (
        "llama",
        {
            **SMALL, "block_size": 8, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "head_dim": 4,
            "n_hidden": 20, "qkv_bias": True, "tie": True, "window": 3, "activation": "gelu_tanh",
            "rope_scaling": {"rope_type": "linear", "factor": 2.0},
        },
    ),
]  # fmt: skip
each_model = pytest.mark.parametrize(
    ("kind", "config"), CASES, ids=[f"{kind}-{i}" for i, (kind, _) in enumerate(CASES)]
)


@pytest.fixture(autouse=True)
def _seed():
    dc.manual_seed(5)


def tokens(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, V, shape)


def as_tensor(ids):
    return dc.from_numpy(np.asarray(ids, np.int64))


def logits_of(model, ids):
    with dc.no_grad():
        return model(as_tensor(ids))[0].numpy()


def test_every_model_of_the_list_is_tested():
    assert {kind for kind, _ in CASES} == set(MODELS)


@each_model
def test_shapes_and_loss(kind, config):
    model = build(kind, config).eval()
    x, y = tokens(B, T), tokens(B, T, seed=1)
    y[0, 2:] = y[2, 4] = -1
    logits, loss = model(as_tensor(x), as_tensor(y))
    assert logits.shape == (B, T, V)
    assert model(as_tensor(x))[1] is None
    z = logits.detach().numpy().astype(np.float64)
    logp = z - np.log(np.exp(z).sum(-1, keepdims=True))
    picked = [logp[b, t, y[b, t]] for b in range(B) for t in range(T) if y[b, t] >= 0]
    assert loss.item() == pytest.approx(-np.mean(picked), rel=1e-5)


@each_model
def test_the_past_does_not_see_the_future(kind, config):
    model = build(kind, config).eval()
    if kind == "bigram":
        nn.init.normal_(model.table.weight)  # it begins with equal scores, whatever it reads
    x = tokens(B, T)
    before = logits_of(model, x)
    for t in range(T):
        changed = x.copy()
        changed[:, t] = (changed[:, t] + 1) % V
        after = logits_of(model, changed)
        assert np.array_equal(before[:, :t], after[:, :t])
        assert (before[:, t] != after[:, t]).any(-1).all()


@each_model
def test_learns_one_batch_by_heart(kind, config):
    model = build(kind, config)
    x = tokens(4, 6)
    y = (3 * x + 1) % V  # what follows depends on the last token alone, so even a bigram can
    opt = optim.AdamW(model.parameters(), lr=0.03, weight_decay=0.0)
    first = None
    for _ in range(200):
        opt.zero_grad()
        _, loss = model(as_tensor(x), as_tensor(y))
        loss.backward()
        opt.step()
        first = first or loss.item()
    assert loss.item() < 0.05 < 1 < first


@each_model
def test_weights_survive_a_file(kind, config, tmp_path):
    model, other = build(kind, config), build(kind, config)
    model(as_tensor(tokens(8, T)))  # running statistics are part of the state
    if kind != "bigram":
        assert not np.array_equal(
            logits_of(model.eval(), tokens(B, T)), logits_of(other.eval(), tokens(B, T))
        )
    save_weights(tmp_path / "model.safetensors", model)
    load_weights(tmp_path / "model.safetensors", other)
    assert np.array_equal(
        logits_of(model.eval(), tokens(B, T)), logits_of(other.eval(), tokens(B, T))
    )


@each_model
def test_generates_token_by_token(kind, config):
    model = build(kind, config).eval()
    block = model.get_block_size()
    session = ModelLanguage(model, V).session()
    assert isinstance(session, CachedSession if kind in ("gpt", "llama", "rnn") else WindowSession)
    ids = tokens(block)
    for t, id in enumerate(ids):
        logits = session.feed([int(id)])
        assert logits.shape == (V,)
        assert logits.dtype == np.float32
        expected = logits_of(model, ids[None, : t + 1])[0, -1]
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    for id in tokens(2 * block, seed=2):  # beyond the context
        assert np.isfinite(session.feed([int(id)])).all()


@pytest.mark.parametrize("kind", ["nplm", "wavenet"])
def test_window_models_forget_what_is_further_back(kind):
    model = build(kind, {**SMALL, "block_size": 4}).eval()
    x = tokens(1, 10)
    changed = x.copy()
    changed[0, 2] = (changed[0, 2] + 1) % V
    same = (logits_of(model, x) == logits_of(model, changed)).all(-1)[0]
    assert same.tolist() == [t not in (2, 3, 4, 5) for t in range(10)]


@pytest.mark.parametrize("kind", ["nplm", "wavenet"])
def test_window_models_take_targets_for_the_last_positions_only(kind):
    model = build(kind, {**SMALL, "block_size": 4}).eval()
    x, y = tokens(B, 9), tokens(B, 9, seed=1)
    full, _ = model(as_tensor(x))
    for t in (1, 3, 9):
        logits, loss = model(as_tensor(x), as_tensor(y[:, -t:]))
        assert logits.shape == (B, t, V)
        np.testing.assert_allclose(logits.detach(), full.detach()[:, -t:], rtol=1e-5, atol=1e-6)
        expected = nn.functional.cross_entropy(
            full[:, -t:].reshape(B * t, V), as_tensor(y[:, -t:].reshape(-1))
        )
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    with pytest.raises(ValueError, match="10 targets per row for 9 tokens"):
        model(as_tensor(x), as_tensor(tokens(B, 10)))


NAMES = {"vocab_size": 27, "block_size": 16}
SIZES = [
    ("nplm", {"vocab_size": 27, "pad": 0}, 11_897),  # lecture: MLP
    ("nplm", {"vocab_size": 27, "pad": 0, "batch_norm": True}, 12_097),
    ("nplm", {"vocab_size": 27, "pad": 0, "direct": True}, 11_897 + 27 * 30),
    ("wavenet", {"vocab_size": 27, "pad": 0}, 76_579),
    ("nplm", {**NAMES, "n_embd": 64, "n_hidden": 64}, 69_147),  # makemore's defaults
    ("bow", NAMES, 12_827),
    ("rnn", NAMES, 11_803),
    ("rnn", {**NAMES, "cell": "gru"}, 28_315),
    ("rnn", {**NAMES, "cell": "lstm"}, 1_728 + 2 * 64 + 4 * 8_256 + 1_755),
    ("bigram", {"vocab_size": 27}, 729),
    ("gpt", {**NAMES, "n_embd": 64, "tie": False}, 204_544),
    (
        "gpt",  # lecture: GPT from scratch
        {
            "vocab_size": 65, "block_size": 32, "n_embd": 64, "activation": "relu",
            "qkv_bias": False, "head_bias": True, "tie": False,
        },
        209_729,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "config", "count"), SIZES)
def test_published_parameter_counts(kind, config, count):
    assert sum(p.numel() for p in build(kind, config).parameters()) == count


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("nplm", {"vocab_size": 27}),
        ("nplm", {"vocab_size": 27, "batch_norm": True}),
        ("wavenet", {"vocab_size": 27}),
        ("bigram", {"vocab_size": 27}),
        ("gpt", {**NAMES, "n_embd": 64}),
    ],
)
def test_first_loss_is_that_of_guessing(kind, config):
    x = np.random.default_rng(0).integers(0, 27, (32, 16))
    _, loss = build(kind, config)(as_tensor(x), as_tensor(x[:, ::-1].copy()))
    assert loss.item() == pytest.approx(np.log(27), abs=0.05)


@pytest.mark.parametrize(
    ("kind", "config", "message"),
    [
        ("perceptron", {}, "unknown model type 'perceptron'; known: bigram, nplm"),
        ("rnn", {"vocab_size": 5, "n_head": 4}, r"rnn has no setting \['n_head'\]"),
        ("rnn", {"vocab_size": 5, "cell": "qrnn"}, "cell must be one of rnn, gru, lstm"),
        ("wavenet", {"vocab_size": 5, "block_size": 6}, "a power of two .* got 6"),
        ("nplm", {"vocab_size": 5, "init": "zeros"}, "init must be one of kaiming"),
        ("rnn", {"vocab_size": 5, "n_hidden": 0}, "n_hidden must be at least 1: got 0"),
        ("cnn", {"vocab_size": 5, "kernel_size": 0}, "kernel_size and n_layer must be at least 1"),
        ("gpt", {"vocab_size": 5, "n_embd": 10, "n_head": 4}, "multiple of n_head"),
        ("llama", {"vocab_size": 5, "n_embd": 10, "n_head": 4}, "multiple of n_head"),
        ("llama", {"vocab_size": 5, "n_head": 4, "n_kv_head": 3}, "multiple of n_kv_head: got 4"),
        ("llama", {"vocab_size": 5, "head_dim": 3}, "head_dim must be even"),
        ("llama", {"vocab_size": 5, "window": 0}, "window must be at least 1 token: got 0"),
        ("llama", {"vocab_size": 5, "activation": "relu"}, "one of silu, gelu_tanh: got 'relu'"),
        (
            "llama",
            {"vocab_size": 5, "rope_scaling": {"rope_type": "longrope"}},
            "'longrope'; known",
        ),
        ("llama", {"vocab_size": 5, "rope_scaling": {"rope_type": "linear"}}, "needs factor"),
    ],
)
def test_settings_that_make_no_sense(kind, config, message):
    with pytest.raises(ValueError, match=message):
        build(kind, config)


@pytest.mark.parametrize("kind", ["gpt", "llama", "bow"])
def test_a_text_longer_than_the_context_is_an_error(kind):
    model = build(kind, {"vocab_size": V, "block_size": 4})
    with pytest.raises(ValueError, match="5 tokens; this model looks at no more than block_size=4"):
        model(as_tensor(tokens(1, 5)))

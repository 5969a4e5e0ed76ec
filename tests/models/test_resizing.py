"""Other contexts and vocabularies: what was there computes as before."""

import numpy as np
import pytest

import descent as dc
from descent.models.building import build
from descent.models.resizing import crop_block_size, resize_vocab
from descent.train.checkpoint import load_weights, save_weights

SMALL = {"vocab_size": 11, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8}
CASES = [
    ("gpt", SMALL),
    ("gpt", {**SMALL, "tie": False, "head_bias": True}),
    ("llama", SMALL),
    ("llama", {**SMALL, "tie": True}),
]
each = pytest.mark.parametrize(("kind", "config"), CASES)


@pytest.fixture(autouse=True)
def _seed():
    dc.manual_seed(5)


def logits(model, t=6):
    ids = np.random.default_rng(0).integers(0, 11, (2, t))
    with dc.no_grad():
        return model(dc.from_numpy(ids))[0].numpy()


@each
def test_cropped(kind, config, tmp_path):
    model = build(kind, config).eval()
    before = logits(model)
    crop_block_size(model, 6)
    assert np.array_equal(logits(model), before)
    assert model.get_block_size() == 6
    with pytest.raises(ValueError, match=r"7 tokens; .* block_size=6"):
        logits(model, 7)
    with pytest.raises(ValueError, match="block_size can be 1 … 6: got 8"):
        crop_block_size(model, 8)
    save_weights(tmp_path / "w.safetensors", model)
    other = build(kind, {**config, "block_size": 6}).eval()
    load_weights(tmp_path / "w.safetensors", other)
    assert np.array_equal(logits(other), before)


@each
@pytest.mark.parametrize("size", [16, 9])
def test_resized(kind, config, size, tmp_path):
    model = build(kind, config).eval()
    ids = dc.from_numpy(np.random.default_rng(0).integers(0, 9, (2, 5)))
    before = model(ids)[0].detach().numpy()
    resize_vocab(model, size)
    after = model(ids, ids)
    same = min(size, 11)
    np.testing.assert_allclose(
        after[0].detach().numpy()[..., :same], before[..., :same], rtol=1e-5, atol=1e-6
    )
    assert after[0].shape[-1] == size
    after[1].backward()
    shared = model.wte if kind == "gpt" else model.embed
    assert (shared.weight is model.lm_head.weight) == model.config.tie
    assert shared.weight.grad.shape == (size, 8)
    save_weights(tmp_path / "w.safetensors", model)
    load_weights(tmp_path / "w.safetensors", build(kind, {**config, "vocab_size": size}))
    with pytest.raises(ValueError, match="vocab_size must be at least 1: got 0"):
        resize_vocab(model, 0)


def test_cropping_leaves_dynamic_scaling_where_it_begins():
    scaling = {"rope_type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 4}
    model = build("llama", {**SMALL, "rope_scaling": scaling}).eval()
    before = logits(model)
    crop_block_size(model, 6)
    assert np.array_equal(logits(model), before)
    model = build("llama", {**SMALL, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}})
    before = logits(model)
    crop_block_size(model, 6)
    assert np.array_equal(logits(model), before)


@pytest.mark.slow
def test_a_compiled_step_sees_that_it_was_resized():
    model = build("gpt", SMALL)
    ids = dc.from_numpy(np.random.default_rng(0).integers(0, 9, (2, 5)))

    @dc.compile
    def loss(x):
        return model(x, x)[1]

    assert loss(ids).item() == pytest.approx(model(ids, ids)[1].item(), rel=1e-5)
    resize_vocab(model, 16)
    assert loss(ids).item() == pytest.approx(model(ids, ids)[1].item(), rel=1e-5)

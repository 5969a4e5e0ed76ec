"""Bundles: weights stay where they are until asked for; building shares them; errors name them."""

import numpy as np
import pytest

import descent as dc
from descent import nn
from descent.data.errors import DataError
from descent.hub import Bundle, load, save
from descent.hub.weights import Weights, narrowed, widened
from descent.nn import init
from tests.hub.tiny import logits, tiny


def test_building_shares_mapped_float32_and_leaves_the_file_alone(tmp_path):
    save(tiny("llama"), tmp_path / "m")
    file = tmp_path / "m" / "model.safetensors"
    before = file.read_bytes()
    bundle = load(tmp_path / "m")
    model = bundle.build()
    name = "layers.0.mlp.up_proj.weight"
    shared = model.state_dict()[name].array
    assert np.shares_memory(shared, bundle.weights.files[0].numbers)
    shared[:] = 7  # copy on write
    assert file.read_bytes() == before
    assert not model.training


def test_only_what_needs_it_is_converted(tmp_path):
    save(tiny("gpt"), tmp_path / "m")  # GPT-2's linear weights lie the other way round
    bundle = load(tmp_path / "m")
    own = bundle.build().state_dict()
    numbers = bundle.weights.files[0].numbers
    assert np.shares_memory(own["wte.weight"].array, numbers)
    turned = own["h.0.attn.c_attn.weight"].array
    assert turned.flags.c_contiguous
    assert not np.shares_memory(turned, numbers)


def test_weights_can_be_trained_after_loading(tmp_path):
    save(tiny("llama"), tmp_path / "m")
    model = load(tmp_path / "m").build()
    model.train()
    x = dc.tensor(np.arange(10)[None])
    optimizer = dc.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        loss = model(x, x)[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[2] < losses[0]
    np.testing.assert_array_equal(logits(load(tmp_path / "m")), logits(tiny("llama")))


def test_a_model_in_memory_is_a_bundle_too(tmp_path):
    original = tiny("gpt")
    model = original.build()
    again = Bundle.of("gpt", original.config, model)
    assert "lm_head.weight" not in again.weights  # tied
    save(again, tmp_path / "m")
    np.testing.assert_array_equal(logits(load(tmp_path / "m")), logits(original))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("norm.weight"), "no weight 'norm.weight'"),
        (lambda s: s.update(odd=s["norm.weight"]), "no use for: 'odd'"),
        (lambda s: s.update({"norm.weight": s["norm.weight"].cut(3)}), "'norm.weight' has shape"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, said):
    bundle = tiny("llama")
    stored = dict(bundle.weights.stored)
    change(stored)
    with pytest.raises(DataError, match=said):
        Bundle("llama", bundle.config, Weights(stored)).build()


def test_without_values_draws_nothing():
    dc.manual_seed(3)
    expected = dc.rand(2).array
    dc.manual_seed(3)
    with init.without_values():
        layer = nn.Linear(40, 50)
    assert not layer.weight.array.any()
    np.testing.assert_array_equal(dc.rand(2).array, expected)
    assert nn.Linear(4, 5).weight.array.any()


def test_bfloat16_rounds_to_nearest_even():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=4096).astype(np.float32) * 1e3
    x[:6] = 0, np.inf, -np.inf, np.nan, 3.4e38, 1e-42
    bits = torch.from_numpy(x).bfloat16().view(torch.int16).numpy().view(np.uint16)
    mine = narrowed(x)
    finite = ~np.isnan(x)
    np.testing.assert_array_equal(mine[finite], bits[finite])
    assert np.isnan(widened(mine)[3])

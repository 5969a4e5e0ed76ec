"""Checkpointing and 4-bit bases: the same gradients; what is lost by 4 bits is bounded."""

import numpy as np
import pytest

import descent as dc
import descent.random
from descent.models.gpt import GPT, GPTConfig
from descent.models.llama import Llama, LlamaConfig
from descent.ops import half_bytes
from descent.train.four_bits import hold_in_four_bits
from descent.train.lora import adapt, adapters, merged_state
from descent.train.passes import Passes
from descent.train.recompute import checkpoint_blocks

SIZES = dict(vocab_size=31, block_size=16, n_layer=3, n_head=2, n_embd=32)
X = np.random.default_rng(0).integers(0, 31, (3, 13))


def make(kind: str, dropout: float = 0.0):
    descent.random.manual_seed(3)
    if kind == "gpt":
        return GPT(GPTConfig(**SIZES, dropout=dropout))
    return Llama(LlamaConfig(**SIZES, n_kv_head=1))


def gradients(model) -> dict[str, np.ndarray]:
    descent.random.manual_seed(11)
    model.train()
    passes = Passes(model, clip=None, accumulate=1, compiled=False, shapes=[])
    passes.begin()
    passes.add(X[:, :-1], X[:, 1:])
    return {n: p.grad.array.copy() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("kind", "dropout"), [("gpt", 0.0), ("gpt", 0.3), ("llama", 0.0)])
@pytest.mark.parametrize("lora", [False, True])
def test_checkpointing_changes_no_gradient(kind, dropout, lora) -> None:
    plain, saving = make(kind, dropout), make(kind, dropout)
    for model in (plain, saving):
        if lora:
            descent.random.manual_seed(5)
            adapt(
                model,
                ("c_attn",) if kind == "gpt" else ("q_proj",),
                r=2,
                alpha=2.0,
                dropout=dropout,
            )
            for _, layer in adapters(model):
                layer.lora_B.array[...] = 0.1
    assert checkpoint_blocks(saving) == 3
    want, found = gradients(plain), gradients(saving)
    assert want.keys() == found.keys()
    assert want
    for name in want:
        np.testing.assert_array_equal(found[name], want[name], err_msg=name)


def test_checkpointing_keeps_one_row_per_block() -> None:
    from descent.costs.memory import Ledger

    def peak(saving: bool) -> int:
        model = make("gpt")
        if saving:
            checkpoint_blocks(model)
        ledger = Ledger()
        with dc.autograd.observe(lambda op, i, o, m: ledger.see(t.array for t in o)):
            loss = model(dc.from_numpy(X[:, :-1]), dc.from_numpy(X[:, 1:]))[1]
            alive = ledger.live
        del loss
        return alive

    assert peak(True) < 0.4 * peak(False)


def test_a_compiled_step_says_why_it_runs_op_by_op() -> None:
    model = make("gpt")
    checkpoint_blocks(model)
    passes = Passes(model, clip=None, accumulate=1, compiled=True, shapes=[])
    passes.begin()
    passes.add(X[:, :-1], X[:, 1:])
    assert passes.step is not None
    assert "checkpointing" in str(passes.step.refused)
    assert model.wte.weight.grad is not None


def test_half_bytes_are_ggml_s() -> None:
    from descent.hub.formats.blocks import quantise

    w = np.random.default_rng(0).normal(0, 1, (4, 64)).astype(np.float32)
    w[0, :32] = 0
    codes, scales = half_bytes.pack(w)
    want = quantise(w, "Q4_0")
    np.testing.assert_array_equal(half_bytes.unpack(codes, scales, w.shape), want.dequantise())
    with pytest.raises(ValueError, match="blocks of 32"):
        half_bytes.pack(np.zeros(33, np.float32))


@pytest.mark.parametrize("kind", ["gpt", "llama"])
def test_a_four_bit_base_gives_the_gradients_of_its_numbers(kind) -> None:
    """The same as LoRA over float32 weights that happen to be those numbers."""
    targets = ("c_attn",) if kind == "gpt" else ("q_proj", "down_proj")
    four = make(kind)
    adapt(four, targets, r=2, alpha=2.0)
    bytes_before = sum(
        p.array.nbytes for n, p in four.named_parameters() if p.ndim == 2 and "." in n
    )
    held = hold_in_four_bits(four)
    assert held < 0.2 * bytes_before
    for _, layer in adapters(four):
        layer.lora_B.array[...] = 0.05
    for _, layer in (a := dict(adapters(four))).items():
        layer.lora_A.array[...] = 0.02
    same = make(kind)
    plain = dict(same.state_dict())
    zeroed = {n: a.copy() for n, a in _without(four).items()}
    for name, value in zeroed.items():
        plain[name].array[...] = value
    adapt(same, targets, r=2, alpha=2.0)
    for path, layer in adapters(same):
        layer.lora_A.array[...], layer.lora_B.array[...] = (
            a[path].lora_A.array,
            a[path].lora_B.array,
        )
    want, found = gradients(same), gradients(four)
    assert want.keys() == found.keys()
    for name in want:
        np.testing.assert_allclose(found[name], want[name], atol=1e-6, err_msg=name)
    merged = make(kind)
    merged.load_state_dict({k: dc.from_numpy(v) for k, v in merged_state(four).items()})
    four.eval()
    merged.eval()
    with dc.no_grad():
        one, two = (m(dc.from_numpy(X))[0].array for m in (four, merged))
    np.testing.assert_allclose(one, two, atol=1e-5)


def _without(model) -> dict[str, np.ndarray]:
    """Its weights without the adapters."""
    kept = [(layer, layer.lora_B.array.copy()) for _, layer in adapters(model)]
    for layer, _ in kept:
        layer.lora_B.array[...] = 0
    found = {n: a.copy() for n, a in merged_state(model).items()}
    for layer, b in kept:
        layer.lora_B.array[...] = b
    return found

"""Adapters: the same as peft's, merged without a difference, saved so that peft takes them up."""

import numpy as np
import pytest

import descent as dc
import descent.random
from descent.models.gpt import GPT, GPTConfig
from descent.models.llama import Llama, LlamaConfig
from descent.train.adapter_files import apply_adapter, load_adapter, save_adapter
from descent.train.checkpoint import CheckpointError
from descent.train.finetune import FinetuneSettings
from descent.train.lora import LoRALinear, adapt, adapters, freeze_but_last, merged_state
from descent.train.passes import Passes

SIZES = dict(vocab_size=31, block_size=16, n_layer=2, n_head=2, n_embd=16)
HF = dict(vocab_size=31, n_positions=16, n_embd=16, n_layer=2, n_head=2, bos_token_id=0,
          eos_token_id=0)  # fmt: skip
X = np.random.default_rng(0).integers(0, 31, (3, 12))


def gpt(seed: int = 3) -> GPT:
    descent.random.manual_seed(seed)
    return GPT(GPTConfig(**SIZES))


def llama() -> Llama:
    descent.random.manual_seed(3)
    return Llama(LlamaConfig(**SIZES, n_kv_head=1))


def shaken(model, seed: int = 1):
    """Adapters with numbers in both halves."""
    rng = np.random.default_rng(seed)
    for _, layer in adapters(model):
        layer.lora_B.array[...] = rng.normal(0, 0.3, layer.lora_B.array.shape)
    return model


def logits(model) -> np.ndarray:
    model.eval()
    with dc.no_grad():
        return model(dc.from_numpy(X))[0].array.copy()


@pytest.mark.parametrize(
    ("make", "targets"), [(gpt, ("c_attn", "c_fc")), (llama, ("q_proj", "down_proj"))]
)
def test_it_begins_as_the_model_was_and_merges_into_it(make, targets) -> None:
    model = make()
    before = logits(model)
    names = adapt(model, targets, r=4, alpha=8.0)
    assert len(names) == 4
    np.testing.assert_array_equal(logits(model), before)
    learned = logits(shaken(model))
    assert np.abs(learned - before).max() > 1e-3
    plain = make()
    plain.load_state_dict({k: dc.from_numpy(v) for k, v in merged_state(model).items()})
    np.testing.assert_allclose(logits(plain), learned, atol=1e-5)


@pytest.mark.parametrize("compiled", [True, False])
def test_only_adapters_get_gradients_and_frozen_products_are_not_made(compiled) -> None:
    model = gpt()
    adapt(model, ("c_attn",), r=4, alpha=8.0)
    shaken(model)
    passes = Passes(model, clip=1.0, accumulate=2, compiled=compiled, shapes=[])
    passes.begin()
    for _ in range(2):
        passes.add(X[:, :-1], X[:, 1:])
    assert {n for n, p in model.named_parameters() if p.grad is not None} == {
        f"h.{i}.attn.c_attn.lora_{part}" for i in range(2) for part in "AB"
    }
    if compiled:
        assert passes.step is not None
        assert passes.step.refused is None
        products = [w["title"] for w in passes.step.report(1) if "product" in w["name"]]
        # a frozen weight's gradient would be a product over the 33 tokens: [out, 33] · [33, in]
        over_tokens = [t for t in products if "33 · 33" in t.replace("×", " ")]
        shapes = {t.split("  ")[0] for t in over_tokens}
        assert shapes
        assert shapes <= {"4×33 · 33×16", "48×33 · 33×4", "16×33 · 33×4", "4×33 · 33×48"}


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # peft's own
def test_gradients_equal_peft_s() -> None:
    torch = pytest.importorskip("torch")
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    model = shaken(_adapted())
    none = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    hf = transformers.GPT2LMHeadModel(transformers.GPT2Config(**HF, **none))
    _fill(torch, hf, model)
    net = peft.get_peft_model(
        hf, peft.LoraConfig(r=4, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True)
    )
    ours = {path: layer for path, layer in adapters(model)}
    with torch.no_grad():
        for name, p in net.named_parameters():
            if "lora_" in name:
                p.copy_(torch.from_numpy(_ours(ours, name).array))
    x, y = X[:, :-1], X[:, 1:]
    out = net(input_ids=torch.from_numpy(x)).logits
    loss = torch.nn.functional.cross_entropy(out.reshape(-1, 31), torch.from_numpy(y).reshape(-1))
    loss.backward()
    passes = Passes(model, clip=None, accumulate=1, compiled=False, shapes=[])
    passes.begin()
    assert passes.add(x, y) == pytest.approx(loss.item(), rel=1e-6)
    for name, p in net.named_parameters():
        if "lora_" in name:
            np.testing.assert_allclose(_ours(ours, name).grad.array, p.grad.numpy(), atol=1e-6)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # peft's own
def test_peft_loads_what_is_saved_and_the_other_way_round(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch = pytest.importorskip("torch")
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    model = shaken(_adapted())
    save_adapter(tmp_path / "a", model, "gpt", "gpt2")
    hf = transformers.GPT2LMHeadModel(transformers.GPT2Config(**HF))
    _fill(torch, hf, model)
    net = peft.PeftModel.from_pretrained(hf, str(tmp_path / "a")).eval()
    with torch.no_grad():
        theirs = net(input_ids=torch.from_numpy(X)).logits.numpy()
    np.testing.assert_allclose(logits(model), theirs, atol=2e-6)
    net.save_pretrained(str(tmp_path / "b"))
    plain = gpt()
    apply_adapter(tmp_path / "b", plain)
    np.testing.assert_allclose(logits(plain), theirs, atol=2e-6)


def _adapted():
    model = gpt()
    adapt(model, ("c_attn",), r=4, alpha=8.0)
    return model


def _ours(layers, name):
    path, part = name.split("transformer.")[1].split(".lora_")
    return getattr(layers[path], f"lora_{part[0]}")


def _fill(torch, hf, model) -> None:
    own = {k: v.array for k, v in model.state_dict().items() if "lora" not in k}
    with torch.no_grad():
        for name, p in hf.named_parameters():
            value = own[name.removeprefix("transformer.")]
            p.copy_(torch.from_numpy(value.T if "c_" in name and value.ndim == 2 else value))


def test_errors_name_the_layers_there_are(tmp_path) -> None:
    with pytest.raises(
        ValueError, match=r"no linear layer is called 'q_proj'; there are \['c_attn'"
    ):
        adapt(gpt(), ("q_proj",), r=2, alpha=2.0)
    model = _adapted()
    save_adapter(tmp_path, model, "gpt", "x")
    other = gpt()
    adapt(other, ("c_fc",), r=4, alpha=8.0)
    with pytest.raises(CheckpointError, match="an adapter for other layers"):
        load_adapter(tmp_path, other)
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LOHA", "r": 1}')
    with pytest.raises(CheckpointError, match="can't be read as an adapter"):
        apply_adapter(tmp_path, gpt())


def test_the_last_blocks_learn() -> None:
    model = gpt()
    names = freeze_but_last(model, 1)
    assert {n.split(".")[0] + n.split(".")[1][:1] for n in names} == {"h1", "ln_fw", "ln_fb"}
    assert not model.wte.weight.requires_grad


def test_dropout_is_before_the_adapter_alone() -> None:
    model = gpt()
    adapt(model, ("c_attn",), r=4, alpha=8.0, dropout=0.5)
    shaken(model)
    model.train()
    layer = next(m for m in model.modules() if isinstance(m, LoRALinear))
    x = dc.ones(1, 16)
    assert not np.array_equal(layer(x).array, layer(x).array)
    for m in model.modules():
        if hasattr(m, "lora_B"):
            m.lora_B.array[...] = 0
    np.testing.assert_array_equal(layer(x).array, layer(x).array)


def test_settings_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="method must be one of full, last, lora, qlora"):
        FinetuneSettings(method="peft")
    with pytest.raises(ValueError, match=r"unknown settings \['lr'\]; known: accumulate"):
        FinetuneSettings.from_dict({"lr": 1})
    with pytest.raises(ValueError, match="steps must be positive: got 0"):
        FinetuneSettings(steps=0)
    with pytest.raises(ValueError, match="schedule must be one of"):
        FinetuneSettings(schedule="cosin")
    s = FinetuneSettings(method="lora", lora_targets=("c_fc",))
    assert FinetuneSettings.from_dict(s.to_dict()) == s

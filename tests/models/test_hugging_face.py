"""GPT-2 and the Llama family equal Hugging Face's classes: logits, loss, every gradient, cache."""

import numpy as np
import pytest
import torch
import transformers

import descent as dc
from descent.models.published import from_hf_config, to_hf_config
from tests.models.hugging_face import check_all, ours_of, relative, their_model

pytestmark = pytest.mark.oracle

V = 61
LLAMA = {
    "vocab_size": V, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "bos_token_id": None, "eos_token_id": None,
}  # fmt: skip
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
GPT2 = {
    "vocab_size": V, "n_positions": 64, "n_layer": 2, "n_head": 4, "n_embd": 48,
    "bos_token_id": None, "eos_token_id": None,
}  # fmt: skip


def scaled(kind, context=64, **rest):
    parameters = {"rope_type": kind, "rope_theta": 10000.0, **rest}
    config = {**LLAMA, "max_position_embeddings": context, "rope_parameters": parameters}
    return transformers.LlamaConfig(**config)


CONFIGS = {
    "gpt2": transformers.GPT2Config(**GPT2),
    "gpt2-eps-gelu-untied": transformers.GPT2Config(
        **GPT2,
        layer_norm_epsilon=1e-3,
        activation_function="gelu",
        tie_word_embeddings=False,
    ),
    "llama": transformers.LlamaConfig(**LLAMA, rms_norm_eps=1e-5),
    "llama-head-dim": transformers.LlamaConfig(**LLAMA, head_dim=20, tie_word_embeddings=True),
    "llama-gelu": transformers.LlamaConfig(**LLAMA, hidden_act="gelu_pytorch_tanh"),
    "linear": scaled("linear", factor=3.0),
    "dynamic": scaled("dynamic", context=24, factor=4.0),
    "llama3": scaled("llama3", original_max_position_embeddings=16, **LLAMA3),
    "yarn": scaled("yarn", factor=4.0, original_max_position_embeddings=16),
    "yarn-mscale": scaled(
        "yarn", factor=8.0, original_max_position_embeddings=8, beta_fast=16, beta_slow=2,
        mscale=0.7, mscale_all_dim=1.2, truncate=False,
    ),
    "yarn-factor": scaled(
        "yarn", factor=8.0, original_max_position_embeddings=8, attention_factor=0.5
    ),
    "qwen2": transformers.Qwen2Config(**LLAMA, tie_word_embeddings=True),
    "qwen2-window": transformers.Qwen2Config(
        **LLAMA, use_sliding_window=True, sliding_window=7, max_window_layers=0
    ),
    "mistral": transformers.MistralConfig(**LLAMA, sliding_window=11),
    "mistral-full": transformers.MistralConfig(**LLAMA, sliding_window=None),
}  # fmt: skip
each = pytest.mark.parametrize("name", CONFIGS)


def tokens(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, V, shape)


@each
def test_logits_loss_and_every_gradient(name):
    targets = tokens(2, 50, seed=1)
    targets[0, :9] = -1
    check_all(their_model(CONFIGS[name]), tokens(2, 50), targets)


@pytest.mark.parametrize("name", [n for n in CONFIGS if n != "dynamic"])  # see the next test
def test_token_by_token_with_a_cache(name):
    model = their_model(CONFIGS[name])
    ours, _ = ours_of(model)
    idx = tokens(1, 30)
    with torch.no_grad():
        expected = model(torch.from_numpy(idx)).logits.numpy()
    cache = ours.new_cache()
    with dc.no_grad():
        for a, b in ((0, 5), (5, 6), (6, 7), (7, 20), (20, 30)):
            got = ours(dc.from_numpy(idx[:, a:b]), cache=cache)[0].numpy()
            assert relative(got[:, 0], expected[:, b - 1]) < 1e-4


@pytest.mark.filterwarnings("ignore:.past_key_values. is deprecated:FutureWarning")
def test_dynamic_scaling_with_a_cache_goes_on_as_theirs():
    """Keys turned before the context grew stay turned: not what the sequence at once gives."""
    model = their_model(CONFIGS["dynamic"])
    ours, _ = ours_of(model)
    idx, past, cache = tokens(1, 40), None, ours.new_cache()
    for t in range(40):
        with torch.no_grad():
            theirs = model(torch.from_numpy(idx[:, t : t + 1]), past_key_values=past)
        past = theirs.past_key_values
        with dc.no_grad():
            got = ours(dc.from_numpy(idx[:, t : t + 1]), cache=cache)[0].numpy()
        assert relative(got, theirs.logits.numpy()) < 1e-4


@each
def test_our_config_goes_back_to_theirs(name):
    kind, config = from_hf_config(CONFIGS[name].to_dict())
    json = to_hf_config(kind, config)
    assert from_hf_config(json) == (kind, config)
    theirs = transformers.AutoConfig.for_model(**json)
    model = transformers.AutoModelForCausalLM.from_config(theirs, attn_implementation="eager")
    original = their_model(CONFIGS[name])
    model.load_state_dict(original.state_dict())
    with torch.no_grad():
        a, b = (m.eval()(torch.from_numpy(tokens(1, 50))).logits for m in (model, original))
    assert relative(a.numpy(), b.numpy()) < 1e-6

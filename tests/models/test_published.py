"""Configs and names of published models: what is not understood is an error that names it."""

import pytest

from descent.models.naming import WeightNameError, hf_names, match_hf_names
from descent.models.published import PublishedError, from_hf_config, to_hf_config

SMOLLM2 = {  # as its config.json of 2024 has it
    "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "bos_token_id": 0, "eos_token_id": 0, "hidden_act": "silu", "hidden_size": 576,
    "initializer_range": 0.041666666666666664, "intermediate_size": 1536, "is_llama_config": True,
    "max_position_embeddings": 8192, "model_type": "llama", "num_attention_heads": 9,
    "num_hidden_layers": 30, "num_key_value_heads": 3, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
    "rope_interleaved": False, "rope_scaling": None, "rope_theta": 100000,
    "tie_word_embeddings": True, "torch_dtype": "bfloat16", "vocab_size": 49152,
}  # fmt: skip
GPT2 = {  # as OpenAI's on the hub
    "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1,
    "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256, "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12,
    "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1, "summary_type": "cls_index",
    "task_specific_params": {"text-generation": {"do_sample": True}}, "vocab_size": 50257,
}  # fmt: skip
SCALED = {"type": "linear", "factor": 2.0}


def test_configs_as_the_hub_has_them():
    from descent.models.gpt import GPTConfig
    from descent.models.llama import LlamaConfig
    from descent.models.sizes import GPT2_SIZES, LLAMA_SIZES

    kind, config = from_hf_config(SMOLLM2)
    assert kind == "llama"
    assert LlamaConfig(**config) == LlamaConfig(**LLAMA_SIZES["smollm2-135m"])
    kind, config = from_hf_config(GPT2)
    assert kind == "gpt"
    assert GPTConfig(**config) == GPTConfig(**GPT2_SIZES["gpt2"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["BertModel"]}, "unknown architecture 'BertModel'; known: GPT2LMHead"),
        ({"architectures": None, "model_type": "phi3"}, "no known architecture .*'phi3'"),
        ({"hidden_act": "relu2"}, "unknown activation hidden_act='relu2'; known: silu"),
        ({"attention_bias": True}, "attention_bias=True is not supported"),
        ({"mlp_bias": True}, "mlp_bias=True is not supported"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5 is not supported"),
        ({"rope_scaling": {"type": "su", "factor": 2.0}}, "rope_type='su'; known: default, lin"),
        ({"rope_scaling": {"rope_type": "linear"}}, "'linear' needs factor"),
        ({"rope_scaling": {**SCALED, "slope": 3}}, "'linear' has no setting slope"),
        ({"rope_scaling": {**SCALED, "factor": -1}}, "factor must be positive: -1"),
        ({"rope_scaling": {**SCALED, "factor": "2"}}, "factor must be a number: '2'"),
        ({"rope_scaling": "linear"}, "rope_scaling must be an object"),
        ({"num_key_value_heads": 4}, "n_head must be a multiple of n_kv_head: got 9 and 4"),
        ({"hidden_size": None}, "no 'hidden_size'"),
        ({"hidden_size": -5}, "hidden_size must be a positive int: -5"),
        ({"vocab_size": 1e4}, "vocab_size must be a positive int: 10000.0"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps must be a positive float: 'small'"),
        ({"vocab_size": 1 << 40}, "vocab_size must be a positive int"),
    ],
)
def test_llama_configs_that_are_not_ours(changes, message):
    with pytest.raises(PublishedError, match=message):
        from_hf_config({**SMOLLM2, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_inner": 1000}, "n_inner=1000 is not supported, only 4 × n_embd = 3072"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
        ({"add_cross_attention": True}, "add_cross_attention=True is not supported"),
        ({"activation_function": "tanh"}, "activation_function='tanh'; known: gelu_new"),
    ],
)
def test_gpt_configs_that_are_not_ours(changes, message):
    with pytest.raises(PublishedError, match=message):
        from_hf_config({**GPT2, **changes})


def test_a_window_in_some_layers_only_is_refused():
    qwen = {
        **SMOLLM2, "architectures": ["Qwen2ForCausalLM"], "sliding_window": 64,
        "use_sliding_window": True, "max_window_layers": 10,
    }  # fmt: skip
    with pytest.raises(PublishedError, match="max_window_layers=10 of 30 layers"):
        from_hf_config(qwen)
    assert from_hf_config({**qwen, "max_window_layers": 30})[1]["window"] is None
    assert from_hf_config({**qwen, "max_window_layers": 0})[1]["window"] == 64


@pytest.mark.parametrize(
    ("kind", "config", "message"),
    [
        ("rnn", {}, "'rnn' models have no Hugging Face class"),
        ("gpt", {"vocab_size": 5, "bias": False}, "bias=False cannot be written as GPT2LMHead"),
        ("gpt", {"vocab_size": 5, "head_bias": True}, "head_bias=True cannot be written"),
    ],
)
def test_models_hugging_face_has_no_class_for(kind, config, message):
    with pytest.raises(PublishedError, match=message):
        to_hf_config(kind, config)


TINY = {"vocab_size": 13, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8}


def test_openais_linear_layers_are_transposed():
    names = hf_names("gpt", TINY)
    turned = {ours for ours, (_, how) in names.items() if how == "transpose"}
    assert turned == {
        f"h.0.{x}.weight" for x in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    }
    assert names["lm_head.weight"] == ("transformer.wte.weight", "same")


@pytest.mark.parametrize(("kind", "prefix"), [("gpt", "transformer."), ("llama", "model.")])
def test_names_with_and_without_prefix(kind, prefix):
    names = hf_names(kind, TINY)
    available = {theirs for theirs, _ in names.values()}
    assert match_hf_names(kind, TINY, available) == names
    bare = {name.removeprefix(prefix) for name in available}
    matched = match_hf_names(kind, TINY, bare)
    assert {theirs for theirs, _ in matched.values()} == bare


def test_what_older_files_hold_beside_the_weights_is_passed_over():
    there = [theirs for theirs, _ in hf_names("gpt", TINY).values()]
    match_hf_names("gpt", TINY, [*there, "transformer.h.0.attn.bias", "lm_head.weight",
                                 "transformer.h.0.attn.masked_bias"])  # fmt: skip
    there = [theirs for theirs, _ in hf_names("llama", TINY).values()]
    match_hf_names("llama", TINY, [*there, "model.layers.0.self_attn.rotary_emb.inv_freq"])


@pytest.mark.parametrize("kind", ["gpt", "llama"])
def test_missing_and_unused_weights_are_named(kind):
    there = {theirs for theirs, _ in hf_names(kind, TINY).values()}
    gone = sorted(there)[0]
    with pytest.raises(WeightNameError, match=f"the file lacks {gone}"):
        match_hf_names(kind, TINY, there - {gone})
    with pytest.raises(WeightNameError, match=r"nothing in a .* is called score.weight"):
        match_hf_names(kind, TINY, there | {"score.weight"})
    with pytest.raises(WeightNameError, match=r"the file lacks .* and [0-9]+ more"):
        match_hf_names(kind, TINY, {"a.b"})


def test_an_untied_head_may_not_be_missing():
    there = {theirs for theirs, _ in hf_names("llama", TINY).values()} - {"lm_head.weight"}
    with pytest.raises(WeightNameError, match=r"lacks lm_head.weight"):
        match_hf_names("llama", TINY, there)
    match_hf_names("llama", {**TINY, "tie": True}, there)

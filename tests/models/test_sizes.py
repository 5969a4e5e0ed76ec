"""The presets are the published models: their parameter counts are the published ones."""

import pytest

from descent.models.building import build
from descent.models.naming import parameter_count, shapes
from descent.models.sizes import GPT2_SIZES, LLAMA_SIZES

COUNTS = {  # as the model cards and Hugging Face's `num_parameters()` give them
    "distilgpt2": 81_912_576,
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "llama2-7b": 6_738_415_616,
    "llama2-13b": 13_015_864_320,
    "llama3-8b": 8_030_261_248,
    "llama3.1-8b": 8_030_261_248,
    "llama3.2-1b": 1_235_814_400,
    "llama3.2-3b": 3_212_749_824,
    "tinyllama-1.1b": 1_100_048_384,
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
    "qwen2-0.5b": 494_032_768,
    "qwen2-1.5b": 1_543_714_304,
    "qwen2-7b": 7_615_616_512,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "mistral-7b": 7_241_732_096,
    "mistral-7b-v0.3": 7_248_023_552,
}
ALL = {name: ("gpt", c) for name, c in GPT2_SIZES.items()}
ALL |= {name: ("llama", c) for name, c in LLAMA_SIZES.items()}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_as_many_as_published(name):
    assert parameter_count(*ALL[name]) == COUNTS[name]


SMALL_GPT = {"vocab_size": 13, "block_size": 8, "n_layer": 2, "n_head": 2, "n_embd": 8}
SMALL_LLAMA = {**SMALL_GPT, "n_head": 4, "n_kv_head": 2, "head_dim": 4, "n_hidden": 20}


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("gpt", SMALL_GPT),
        ("gpt", {**SMALL_GPT, "tie": False, "head_bias": True, "qkv_bias": False}),
        ("gpt", {**SMALL_GPT, "bias": False}),
        ("llama", SMALL_LLAMA),
        ("llama", {**SMALL_LLAMA, "tie": True, "qkv_bias": True}),
        ("llama", LLAMA_SIZES["stories260k"]),
    ],
)
def test_shapes_are_those_of_the_model(kind, config):
    model = build(kind, config)
    assert shapes(kind, config) == {n: tuple(p.shape) for n, p in model.state_dict().items()}
    assert parameter_count(kind, config) == sum(p.numel() for p in model.parameters())


def test_other_kinds_have_no_published_names():
    with pytest.raises(ValueError, match="kind 'rnn'; only gpt and llama"):
        shapes("rnn", {"vocab_size": 3})

"""The table of known models: its numbers are the published ones, and what is said of a machine."""

import json

import pytest

from descent.hub.known import KNOWN, WIDTHS
from descent.hub.listing import boxed_models, free_memory_bytes, known_models, local_runs
from descent.hub.loading import load

# Counted from the published weights (a tied head once).
PARAMETERS = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "distilgpt2": 81_912_576,
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "tinyllama": 1_100_048_384,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "mistral-7b": 7_241_732_096,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_sizes_sum_to_the_published_count(name):
    assert KNOWN[name].parameters == PARAMETERS[name]


def test_names_are_short_and_repositories_whole():
    for name, known in KNOWN.items():
        assert name == name.lower()
        assert "/" not in name
        assert known.repo.count("/") == 1
        assert ("gguf" in known.repo.lower()) == (known.quant is not None)
        assert ("Instruct" in known.repo or "Chat" in known.repo) == known.chat


def test_what_fits_and_how_fast():
    rows = {row.name: row for row in known_models(2_000_000_000, lambda n: 50e9)}
    small = rows["gpt2"].widths
    assert small["float32"]["weight_bytes"] == 4 * 124_439_808
    assert small["float32"]["fits"] is True
    # 12 layers, a norm, and the tied head of 50,257 rows; positions and a row of wte are nothing.
    read = 4 * (12 * 7_087_872 + 2 * 768 + 50_257 * 768)
    assert small["float32"]["tokens_per_s"] == pytest.approx(50e9 / read, abs=0.05)
    large = rows["mistral-7b"].widths
    assert [large[width]["fits"] for width in WIDTHS] == [False] * 4
    assert large["int4"]["tokens_per_s"] > 6 * large["float32"]["tokens_per_s"]


def test_without_a_measurement_nothing_is_claimed():
    row = next(known_models(None, None))
    assert row.widths["int8"]["fits"] is None
    assert row.widths["int8"]["tokens_per_s"] is None


def test_run_folders_are_listed_and_others_are_not(tmp_path):
    run = tmp_path / "mine"
    run.mkdir()
    model = {"type": "gpt", "config": {"block_size": 64}}
    config = {"format": "descent-run.v1", "goal": "complete", "model": model}
    (run / "config.json").write_text(json.dumps(config))
    (run / "model.safetensors").write_bytes(bytes(4000))
    for name, text in (("hf", '{"model_type": "gpt2"}'), ("broken", "{"), ("list", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    (row,) = local_runs(tmp_path)
    assert (row.name, row.parameters, row.context) == (str(run), 1000, 64)
    assert row.here == str(run)


def test_free_memory_is_a_machine_s():
    free = free_memory_bytes()
    assert free is not None
    assert 10**7 < free < 10**14


def test_the_model_in_the_package_is_listed_as_it_is():
    [row] = boxed_models(None, None)
    model = load(row.here).build()
    assert (row.name, row.context) == ("descent-code", model.get_block_size())
    assert row.parameters == sum(p.numel() for p in model.parameters())

"""A decoder's logits are the model's, for mixed prompts and single tokens, at every width."""

import numpy as np
import pytest

import descent as dc
from descent.generate.decoder import Decoder
from descent.generate.decoder.matrices import Inputs, packed
from descent.generate.decoder.parts import Source
from descent.kernel.phases import Phases, Units
from descent.models.gpt import GPT, GPTConfig
from descent.models.llama import Llama, LlamaConfig

GPT_SMALL = GPTConfig(vocab_size=101, block_size=96, n_layer=2, n_head=4, n_embd=64)
MODELS = {
    "gpt": (GPT, GPT_SMALL),
    "gpt of odd sizes": (GPT, GPTConfig(
        vocab_size=50, block_size=96, n_layer=2, n_head=2, n_embd=26, activation="gelu",
        qkv_bias=False, tie=False, head_bias=True)),
    "gpt without biases": (GPT, GPTConfig(
        vocab_size=50, block_size=96, n_layer=1, n_head=2, n_embd=6, activation="relu", bias=False)),
    "llama": (Llama, LlamaConfig(
        vocab_size=101, block_size=96, n_layer=2, n_head=4, n_kv_head=2, n_embd=64)),
    "llama, biases, window": (Llama, LlamaConfig(
        vocab_size=77, block_size=96, n_layer=2, n_head=6, n_kv_head=3, n_embd=48, head_dim=10,
        n_hidden=44, qkv_bias=True, window=20, tie=True)),
    "llama, one kv head": (Llama, LlamaConfig(
        vocab_size=77, block_size=96, n_layer=1, n_head=8, n_kv_head=1, n_embd=64, n_hidden=172,
        activation="gelu_tanh", rope_scaling={"rope_type": "linear", "factor": 2.0})),
}  # fmt: skip
TABLES = np.array([[5, 9, 2, 11, 1], [3, 4, 20, 21, 22], [30, 31, 32, 33, 34]], np.int32)
PIECES = [(40, 0, 0), (1, 33, 0), (1, 1, 50), (20, 30, 1), (1, 1, 1)]


def make(name, spread=0.1):
    kind, config = MODELS[name]
    dc.manual_seed(0)
    model = kind(config)
    model.eval()
    rng = np.random.default_rng(0)
    for _, p in model.named_parameters():
        p.array[...] += spread * rng.standard_normal(p.array.shape).astype(np.float32)
    return model, rng.integers(0, config.vocab_size, (3, 70))


def rows(ids, starts, sizes):
    """The arrays of a step that goes on with so many tokens of each sequence."""
    picked = [(k, p) for k, n in enumerate(sizes) for p in range(starts[k], starts[k] + n)]
    sequence, positions = np.array(picked, np.int32).T
    return ids[sequence, positions].astype(np.int32), positions, sequence


def read(decoder, ids, pieces=PIECES):
    """Logits [3, 70, V] (NaN where not read) by steps of mixed lengths."""
    found = np.full((*ids.shape, decoder.vocab_size), np.nan, np.float32)
    starts = np.zeros(3, int)
    for sizes in pieces:
        tokens, positions, sequence = rows(ids, starts, sizes)
        wanted = np.arange(len(tokens), dtype=np.int32)
        found[sequence, positions] = decoder.step(tokens, positions, sequence, TABLES, wanted)
        starts += sizes
    return found


def expected(model, ids):
    return np.stack([model(dc.from_numpy(row[None]))[0].array[0] for row in ids])


def surprise(got, right):
    """Mean KL divergence of the distributions, in nats."""
    log_p, log_q = (x - np.log(np.exp(x).sum(-1, keepdims=True)) for x in (right, got))
    return float((np.exp(log_p) * (log_p - log_q)).sum(-1).mean())


@pytest.mark.parametrize("name", MODELS)
def test_float32(name):
    model, ids = make(name)
    got, right = read(Decoder.of(model), ids), expected(model, ids)
    there = ~np.isnan(got)
    assert there.any((1, 2)).all()
    np.testing.assert_allclose(got[there], right[there], atol=1e-5 * np.abs(right).max(), rtol=0)


@pytest.mark.parametrize(("width", "limit"), [("bf16", 1e-5), ("int8", 1e-4), ("int4", 6e-3)])
@pytest.mark.parametrize("name", ["gpt of odd sizes", "llama, biases, window", "llama"])
def test_narrow_widths(name, width, limit):
    model, ids = make(name, spread=0.02)
    got = read(Decoder.of(model, width=width), ids)
    there = ~np.isnan(got).any(-1)
    right = expected(model, ids)
    assert surprise(got[there], right[there]) < limit
    spread = right[there].std()
    assert (
        np.abs(got[there] - right[there]).max()
        < {"bf16": 0.1, "int8": 0.2, "int4": 1.2}[width] * spread
    )


@pytest.mark.parametrize("width", ["float32", "int8", "int4", "bf16"])
def test_as_written(monkeypatch, width):
    """The kernels as plain Python give the same numbers."""
    model, ids = make("llama, biases, window", spread=0.02)
    pieces = [(7, 0, 0), (1, 3, 0)]
    compiled = read(Decoder.of(model, width=width, cache_tokens=600), ids, pieces)
    monkeypatch.setenv("DESCENT_COMPILE", "0")
    written = read(Decoder.of(model, width=width, cache_tokens=600), ids, pieces)
    np.testing.assert_allclose(written, compiled, atol=2e-2 if width == "int4" else 2e-3)


@pytest.mark.parametrize("width", ["float32", "int8", "int4"])
def test_company_changes_nothing(width):
    """A sequence's logits are the same bits whatever else is in its steps."""
    model, ids = make("llama")
    alone = read(Decoder.of(model, width=width), ids, [(n, 0, 0) for n, _, _ in PIECES])
    together = read(Decoder.of(model, width=width), ids)
    np.testing.assert_array_equal(alone[0], together[0])


def test_wanted_rows_and_long_steps():
    """A step longer than the buffers is done in pieces; only wanted rows come back."""
    kind, config = GPT, GPTConfig(vocab_size=31, block_size=700, n_layer=1, n_head=2, n_embd=32)
    dc.manual_seed(3)
    model = kind(config)
    model.eval()
    ids = np.random.default_rng(1).integers(0, 31, 600)
    decoder = Decoder.of(model)
    wanted = np.array([0, 255, 256, 300, 599], np.int32)
    table = np.arange(40, dtype=np.int32)[None]
    zeros = np.zeros(600, np.int32)
    got = decoder.step(ids.astype(np.int32), np.arange(600, dtype=np.int32), zeros, table, wanted)
    right = model(dc.from_numpy(ids[None]))[0].array[0]
    np.testing.assert_allclose(got, right[wanted], atol=2e-5)


@pytest.mark.parametrize("name", ["gpt", "llama"])
def test_a_prompt_in_any_cuts(name):
    """Rows read four together give the bits of rows read one by one."""
    model, ids = make(name)
    whole = read(Decoder.of(model), ids, [(70, 70, 70)])
    for cuts in ([1] * 70, [3, 5, 62], [17, 16, 37]):
        pieces = [(n, n, 0) for n in cuts]
        np.testing.assert_array_equal(read(Decoder.of(model), ids, pieces)[:2], whole[:2])


def test_hidden_is_what_the_head_multiplies():
    model, ids = make("gpt")
    decoder = Decoder.of(model)
    step = (*rows(ids, [0, 0, 0], (9, 0, 0)), TABLES, np.array([3, 8], np.int32))
    hidden = decoder.hidden(*step)
    assert hidden.shape == (2, 64)
    logits = decoder.step(*step)
    np.testing.assert_allclose(hidden @ model.wte.weight.array.T, logits, atol=1e-5)


def test_copied_block():
    """A sequence may go on from a copy of another's block."""
    model, ids = make("gpt")
    decoder = Decoder.of(model)
    read(decoder, ids, [(20, 0, 0)])
    decoder.copy_block(5, 40)
    decoder.copy_block(9, 41)
    tables = np.array([[40, 41, 42]], np.int32)
    one = (ids[0, 20:21].astype(np.int32), np.array([20], np.int32), np.zeros(1, np.int32))
    got = decoder.step(*one, tables, np.zeros(1, np.int32)).copy()
    np.testing.assert_array_equal(got, decoder.step(*one, TABLES, np.zeros(1, np.int32)))


def test_what_lies_in_the_cache_before_does_not_matter():
    model, ids = make("llama")
    clean, used = Decoder.of(model), Decoder.of(model)
    used._b.cache[:] = np.nan
    got, right = read(used, ids), read(clean, ids)
    np.testing.assert_array_equal(got, right)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tokens": np.array([101])}, "tokens must be from 0 to 100"),
        ({"positions": np.array([96])}, "positions must be from 0 to 47"),
        ({"sequence": np.array([1])}, "sequence must be from 0 to 0"),
        ({"tables": np.array([[1, 2, 4096]])}, "tables must be from 0 to 255"),
        ({"wanted": np.array([1])}, "wanted must be from 0 to 0"),
    ],
)
def test_indices_are_checked(changed, message):
    model, _ = make("gpt")
    step = {"tokens": np.array([1]), "positions": np.array([0]), "sequence": np.array([0]),
            "tables": np.array([[1, 2, 3]]), "wanted": np.array([0])}  # fmt: skip
    with pytest.raises(IndexError, match=message):
        Decoder.of(model).step(**step | changed)


def test_refusals():
    model, _ = make("gpt")
    with pytest.raises(ValueError, match="width must be float32, bf16, int8 or int4"):
        Decoder.of(model, width="int2")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="no decoder-only transformer"):
        Decoder.of(dc.nn.Linear(2, 2))
    scaling = {"rope_type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 48}
    model = Llama(LlamaConfig(vocab_size=9, block_size=96, n_embd=32, rope_scaling=scaling))
    with pytest.raises(ValueError, match="cache_tokens=48 or less"):
        Decoder.of(model)
    assert Decoder.of(model, cache_tokens=48).context == 48


@pytest.mark.parametrize(("width", "dtype"), [("int8", "q8_0"), ("int4", "q4_0")])
def test_blocks_of_a_file_are_kept_exactly(tmp_path, width, dtype):
    """What a GGUF file holds in blocks is what is multiplied; embeddings are its numbers, too."""
    from descent.hub import Bundle, load, save

    model, ids = make("llama", spread=0.02)
    config = {"vocab_size": 101, "block_size": 96, "n_layer": 2, "n_head": 4, "n_kv_head": 2,
              "n_embd": 64}  # fmt: skip
    save(Bundle.of("llama", config, model), tmp_path / "small.gguf", format="gguf", dtype=dtype)
    bundle = load(tmp_path / "small.gguf")
    name = "layers.1.mlp.down_proj"
    matrix = packed(Source(bundle), [name], width)
    inputs, phases, x = Inputs(), Phases(3), np.eye(matrix.k, dtype=np.float32)
    y = np.zeros((matrix.k, matrix.n), np.float32)
    phases.pause()
    matrix.take(phases, inputs, x, Units(0, 1, 0))
    matrix.multiply(phases, inputs, x, y, 0)
    phases.close()
    phases.sizes[0] = matrix.k
    phases.run()
    right = bundle.weights[f"{name}.weight"].dequantise()
    np.testing.assert_allclose(y.T, right, rtol=2e-6)
    read(Decoder.of(bundle, width=width), ids)


def test_bf16_files(tmp_path):
    """Embeddings of a bfloat16 file are its numbers, at half of float32's bytes."""
    from descent.hub import Bundle, load, save

    model, ids = make("llama", spread=0.02)
    config = {"vocab_size": 101, "block_size": 96, "n_layer": 2, "n_head": 4, "n_kv_head": 2,
              "n_embd": 64}  # fmt: skip
    save(Bundle.of("llama", config, model), tmp_path / "small", format="hf", dtype="bfloat16")
    bundle = load(tmp_path / "small")
    decoder = Decoder.of(bundle)
    assert decoder._embed._stored.nbytes == 2 * 101 * 64
    got, right = read(decoder, ids), expected(bundle.build(), ids)
    there = ~np.isnan(got)
    np.testing.assert_allclose(got[there], right[there], atol=1e-5 * np.abs(right).max(), rtol=0)

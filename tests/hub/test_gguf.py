"""GGUF: equal to the `gguf` package tensor by tensor, settings, tokenizers and hostile headers."""

import struct

import numpy as np
import pytest

from descent.data.tokenizers import GPT2_SPLIT_PATTERN, ByteBPE
from descent.data.tokenizers.sentencepiece import BYTE, CONTROL, UNKNOWN, Piece, SentencePieceBPE
from descent.hub import load, save
from descent.hub.formats.blocks import BLOCKS, Quantised, quantise
from descent.hub.formats.errors import FormatError
from descent.hub.formats.gguf import read_container
from descent.hub.formats.mapped import MappedFile
from descent.hub.weights import as_float32
from tests.hub.tiny import logits, tiny

FAMILIES = [
    ("gpt", {}),
    ("llama", {}),
    ("llama", {"tie": True}),
    ("llama", {"qkv_bias": True, "norm_eps": 1e-6}),
    ("llama", {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
    ("llama", {"rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192}}),
    ("llama", {"rope_scaling": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}}),
]  # fmt: skip


def _numbers(shape=(64, 512)):
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape) * np.exp(2 * rng.normal(size=(shape[0], 1)))
    x[3, :32] = 0
    x[5, 40] = 1e-30
    return x.astype(np.float32)


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_quantising_gives_ggmls_blocks(kind):
    gguf = pytest.importorskip("gguf")
    number = gguf.GGMLQuantizationType[kind]
    mine = quantise(_numbers(), kind)
    theirs = gguf.quantize(_numbers(), number)
    np.testing.assert_array_equal(mine.blocks.view(np.uint8).reshape(64, -1), theirs)
    np.testing.assert_array_equal(mine.dequantise(), gguf.dequantize(theirs, number))


@pytest.mark.oracle
@pytest.mark.parametrize("kind", list(BLOCKS))
def test_dequantising_any_bits(kind):
    gguf = pytest.importorskip("gguf")
    layout = BLOCKS[kind]
    rng = np.random.default_rng(1)
    blocks = rng.integers(0, 256, (50, 3 * layout.dtype.itemsize), np.uint8).view(layout.dtype)
    for name in {"d", "dmin"} & set(layout.dtype.names or ()):
        blocks[name] = rng.normal(size=blocks.shape)
    mine = Quantised(kind, (50, 3 * layout.numbers), blocks).dequantise()
    theirs = gguf.dequantize(blocks.view(np.uint8), gguf.GGMLQuantizationType[kind])
    np.testing.assert_array_equal(mine, theirs)


def test_quantised_rows_and_errors():
    whole = quantise(_numbers(), "Q4_0")
    some = whole[np.array([5, 3])]
    assert some.shape == (2, 512)
    np.testing.assert_array_equal(some.dequantise(), whole.dequantise()[[5, 3]])
    assert np.abs(whole.dequantise() - _numbers()).max() <= np.abs(_numbers()).max() / 7.9
    with pytest.raises(ValueError, match="multiple of 32"):
        quantise(np.ones((2, 33)), "Q8_0")
    with pytest.raises(ValueError, match="Q6_K"):
        quantise(np.ones((2, 256)), "Q6_K")


@pytest.mark.parametrize(("kind", "changes"), FAMILIES)
def test_there_and_back(kind, changes, tmp_path):
    bundle = tiny(kind, **changes)
    save(bundle, tmp_path / "m.gguf", dtype="float32")
    back = load(tmp_path / "m.gguf")
    for name, value in bundle.config.items():
        assert back.config.get(name) == value or (name, value) == ("rope_scaling", None)
    np.testing.assert_allclose(logits(back), logits(bundle), atol=1e-6)
    assert back.about["name"] == "tiny"


@pytest.mark.parametrize(
    ("dtype", "error"), [("float16", 0.02), ("q8_0", 0.6), ("q4_0", 4.0)]
)  # of logits of size 6
@pytest.mark.parametrize("kind", ["gpt", "llama"])
def test_rounded_weights_are_near_and_keep_their_blocks(kind, dtype, error, tmp_path):
    bundle = tiny(kind)
    saved = save(bundle, tmp_path / "m.gguf", dtype=dtype)
    assert dtype in saved.notes[0]
    back = load(tmp_path / "m.gguf")
    assert 0 < np.abs(logits(back) - logits(bundle)).max() < error
    if dtype.startswith("q"):
        name = "h.0.mlp.c_fc.weight" if kind == "gpt" else "layers.0.attn.q_proj.weight"
        value = back.weights[name]
        assert isinstance(value, Quantised)
        assert value.kind == dtype.upper()
        assert value.shape == bundle.weights[name].shape
        save(back, tmp_path / "n.gguf", dtype=dtype)  # blocks go through as they are
        assert (tmp_path / "n.gguf").read_bytes() == (tmp_path / "m.gguf").read_bytes()


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float32", "float16", "q8_0", "q4_0"])
def test_the_gguf_package_reads_the_same(dtype, tmp_path):
    gguf = pytest.importorskip("gguf")
    save(tiny("llama"), tmp_path / "m.gguf", dtype=dtype)
    theirs = gguf.GGUFReader(tmp_path / "m.gguf")
    mine = read_container(MappedFile(tmp_path / "m.gguf"))
    assert [t.name for t in theirs.tensors] == list(mine.tensors)
    for t in theirs.tensors:
        expected = gguf.dequantize(t.data, t.tensor_type)
        found = as_float32(mine.tensors[t.name].read(False))
        np.testing.assert_array_equal(found, expected)
    for name, value in mine.settings.items():
        assert theirs.fields[name].contents() == value


@pytest.mark.oracle
def test_a_file_the_gguf_package_wrote(tmp_path):
    """Its writer, Llama's names and interleaved rows, all three dtypes beside one another."""
    gguf = pytest.importorskip("gguf")
    from descent.hub.formats.gguf_models import gguf_names
    from descent.hub.formats.rotation import interleaved

    bundle = tiny("llama")
    c = bundle.config
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_name("theirs")
    writer.add_context_length(c["block_size"])
    writer.add_embedding_length(c["n_embd"])
    writer.add_block_count(c["n_layer"])
    writer.add_feed_forward_length(c["n_hidden"])
    writer.add_head_count(c["n_head"])
    writer.add_head_count_kv([c["n_kv_head"]] * c["n_layer"])  # one for each layer
    writer.add_layer_norm_rms_eps(c["norm_eps"])
    writer.add_rope_dimension_count(8)
    for ours, theirs in gguf_names("llama", c).items():
        array = bundle.weights[ours]
        for part, heads in (("q_proj", 4), ("k_proj", 2)):
            array = array[interleaved(heads, 8)] if part in ours else array
        if "down_proj" in ours:
            kind = gguf.GGMLQuantizationType.BF16
            writer.add_tensor(theirs, gguf.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(theirs, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    back = load(tmp_path / "m.gguf")
    assert back.about["name"] == "theirs"
    np.testing.assert_allclose(logits(back), logits(bundle), atol=0.1)
    np.testing.assert_array_equal(
        back.weights["layers.1.attn.k_proj.weight"], bundle.weights["layers.1.attn.k_proj.weight"]
    )


TEXT = "Hello world, it's 2024!\n\n  ünïcode 😀 don't 'S  \t x"


@pytest.mark.parametrize("pattern", [GPT2_SPLIT_PATTERN, r"\s+|[^\s]+"])
def test_byte_level_tokenizers(pattern, tmp_path):
    tokenizer = ByteBPE.train(TEXT * 20, 300, pattern=pattern)
    bundle = tiny("gpt", vocab_size=tokenizer.vocab_size)
    end = tokenizer.special_tokens["<|endoftext|>"]
    bundle.tokenizer, bundle.about["eos_ids"] = tokenizer, [end]
    save(bundle, tmp_path / "m.gguf")
    back = load(tmp_path / "m.gguf")
    assert back.tokenizer.encode(TEXT) == tokenizer.encode(TEXT)
    assert back.tokenizer.encode("<|endoftext|>", "all") == [end]
    assert back.about["eos_ids"] == [end]


def test_sentence_pieces(tmp_path):
    pieces = [Piece("<unk>", 0, UNKNOWN), Piece("<s>", 0, CONTROL), Piece("</s>", 0, CONTROL)]
    pieces += [Piece(f"<0x{i:02X}>", 0, BYTE) for i in range(256)]
    words = ["▁H", "▁He", "ll", "o", "l", "▁", "H", "e", "w", "▁w", "or", "r", "d"]
    pieces += [Piece(word, -float(i)) for i, word in enumerate(words)]
    tokenizer = SentencePieceBPE(pieces, bos_id=1, eos_id=2)
    bundle = tiny("llama", vocab_size=len(pieces))
    bundle.tokenizer = tokenizer
    bundle.about |= {"bos_id": 1, "eos_ids": [2], "chat_template": "{{ messages }}"}
    save(bundle, tmp_path / "m.gguf")
    back = load(tmp_path / "m.gguf")
    assert back.tokenizer.encode(TEXT) == tokenizer.encode(TEXT)
    assert (back.about["bos_id"], back.about["eos_ids"]) == (1, [2])
    assert back.about["chat_template"] == "{{ messages }}"


def _head(tensors=0, settings=0, version=3):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, settings)


def _text(text):
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GGUF", "version"),
        (_head(version=1), "version 1"),
        (_head(version=0x03000000), "version"),
        (_head(tensors=1 << 62), "do not fit"),
        (_head(settings=1 << 62), "do not fit"),
        (_head(settings=1) + struct.pack("<Q", 1 << 60) + bytes(9), "ends at byte"),
        (_head(settings=1) + _text(b"\xff") + bytes(9), "UTF-8"),
        (_head(settings=1) + _text(b"a") + struct.pack("<I", 99), "unknown type"),
        (_head(settings=1) + _text(b"a") + struct.pack("<IIQ", 9, 8, 1 << 60), "do not fit"),
        (_head(settings=1) + _text(b"a") + struct.pack("<IIQ", 9, 12, 1 << 61), "do not fit"),
        (_head(settings=1) + _text(b"a") + struct.pack("<I", 9) + 40 * struct.pack("<IQ", 9, 1),
         "unknown type"),
        (_head(settings=2) + 2 * (_text(b"a") + struct.pack("<IB", 0, 1)) + bytes(9), "twice"),
        (_head(tensors=1) + _text(b"t") + struct.pack("<IQIQ", 99, 1, 0, 0), "99 axes"),
        (_head(tensors=1) + _text(b"t") + struct.pack("<IQIQ", 1, 1 << 62, 0, 0), "ends at byte"),
        (_head(tensors=1) + _text(b"t") + struct.pack("<IQIQ", 1, 4, 0, 1 << 63), "ends at byte"),
        (_head(tensors=1) + _text(b"t") + struct.pack("<IQIQ", 1, 33, 8, 0), "whole Q8_0 blocks"),
        (_head(tensors=1) + _text(b"t") + struct.pack("<IQIQ", 1, 4, 13, 0), "Q5_K"),
        (_head(tensors=2) + _text(b"t") + struct.pack("<IQIQ", 1, 4, 0, 0) + _text(b"u")
         + struct.pack("<IQIQ", 1, 4, 0, 8) + bytes(64), "overlaps"),
    ],
)  # fmt: skip
def test_headers_that_lie(data, said, tmp_path):
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(FormatError, match=said):
        read_container(MappedFile(tmp_path / "f"))


def test_models_it_has_no_place_for(tmp_path):
    for bundle, said in [
        (tiny("llama", activation="gelu_tanh"), "activation"),
        (tiny("llama", rope_scaling={"rope_type": "dynamic", "factor": 2.0}), "dynamic"),
        (tiny("gpt", head_bias=True), "head_bias"),
    ]:
        with pytest.raises(FormatError, match=said):
            save(bundle, tmp_path / "m.gguf")
    assert not list(tmp_path.iterdir())

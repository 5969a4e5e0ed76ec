"""llm.c: models, optimiser states, debug states."""

import numpy as np
import pytest

from descent.data.files import write_atomically
from descent.hub import load, save
from descent.hub.formats.errors import FormatError
from descent.hub.formats.llmc import tensor_order
from descent.hub.formats.llmc_states import optimiser_parts, read_debug_state, read_optimiser
from descent.hub.formats.mapped import MappedFile
from tests.hub.tiny import GPT, logits, same_weights, tiny


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_models(dtype, tmp_path):
    bundle = tiny("gpt")
    save(bundle, tmp_path / "m.bin", "llm.c", dtype)
    header = np.frombuffer((tmp_path / "m.bin").read_bytes()[:32], "<i4")
    assert header.tolist() == [20240326, 3 if dtype == "float32" else 5, 32, 70, 2, 2, 32, 128]
    back = load(tmp_path / "m.bin")
    assert back.weights["wte.weight"].shape == (70, 32)  # without the padding
    np.testing.assert_allclose(logits(back), logits(bundle), atol=0 if dtype == "float32" else 0.2)


def test_the_order_is_that_of_llm_c(tmp_path):
    """All layers of a kind together: ln_1.weight of every layer before any ln_1.bias."""
    bundle = tiny("gpt")
    save(bundle, tmp_path / "m.bin", "llm.c")
    numbers = np.frombuffer((tmp_path / "m.bin").read_bytes()[1024:], "<f4")
    at = 128 * 32 + 32 * 32
    for name in ("h.0.ln_1.weight", "h.1.ln_1.weight", "h.0.ln_1.bias", "h.1.ln_1.bias",
                 "h.0.attn.c_attn.weight"):  # fmt: skip
        array = bundle.weights[name]
        np.testing.assert_array_equal(numbers[at : at + array.size], array.reshape(-1))
        at += array.size


def test_biases_that_are_not_there_are_zeros(tmp_path):
    bundle = tiny("gpt", bias=False)
    save(bundle, tmp_path / "m.bin", "llm.c")
    np.testing.assert_array_equal(logits(load(tmp_path / "m.bin")), logits(bundle))


def test_optimiser_states(tmp_path):
    m, v = tiny("gpt", 1).weights, tiny("gpt", 2).weights
    parts = optimiser_parts(GPT, m, v, step=12, rng_state=1 << 40, shard=3, sample=77)
    write_atomically(tmp_path / "state.bin", parts)
    back = read_optimiser(MappedFile(tmp_path / "state.bin"), GPT)
    assert (back["step"], back["rng_state"], back["shard"], back["sample"]) == (12, 1 << 40, 3, 77)
    same_weights(type("", (), {"weights": back["m"]}), type("", (), {"weights": m}))
    same_weights(type("", (), {"weights": back["v"]}), type("", (), {"weights": v}))
    with pytest.raises(FormatError, match=r"ends here|ends at byte"):
        read_optimiser(MappedFile(tmp_path / "state.bin"), {**GPT, "n_layer": 1})


def test_debug_states(tmp_path):
    rng = np.random.default_rng(0)
    header = np.zeros(256, "<i4")
    header[:4] = 20240327, 2, 2, 5
    x, y = rng.integers(0, 70, (2, 2, 5)).astype("<i4")
    out, loss = rng.normal(size=(2, 5, 70)).astype("<f4"), np.float32(4.5)
    gradients = {n: rng.normal(size=s).astype("<f4") for n, s in tensor_order(GPT, 128)}
    pieces = [header, x, y, out, loss, *gradients.values()]
    (tmp_path / "s.bin").write_bytes(b"".join(p.tobytes() for p in pieces))
    back = read_debug_state(MappedFile(tmp_path / "s.bin"), GPT)
    np.testing.assert_array_equal(back["inputs"], x)
    np.testing.assert_array_equal(back["targets"], y)
    np.testing.assert_array_equal(back["logits"], out)
    assert float(back["loss"]) == 4.5
    np.testing.assert_array_equal(back["gradients"]["wte.weight"], gradients["wte.weight"][:70])
    np.testing.assert_array_equal(back["gradients"]["ln_f.bias"], gradients["ln_f.bias"])


def test_the_wrong_file_is_named(tmp_path):
    header = np.zeros(256, "<i4")
    header[0] = 20240328
    (tmp_path / "t.bin").write_bytes(header.tobytes())
    with pytest.raises(FormatError, match="a tokenizer"):
        load(tmp_path / "t.bin")
    with pytest.raises(FormatError, match="kind gpt"):
        save(tiny("llama"), tmp_path / "m.bin", "llm.c")
    with pytest.raises(FormatError, match="activation"):
        save(tiny("gpt", activation="relu"), tmp_path / "m.bin", "llm.c")

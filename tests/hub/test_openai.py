"""OpenAI's TensorFlow checkpoints: a real one, ones written by the test, damaged ones."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from descent.hub import load
from descent.hub.formats.crc32c import crc32c, masked
from descent.hub.formats.errors import FormatError
from descent.hub.formats.openai import _theirs, checkpoint_prefix
from descent.hub.formats.tensorbundle import read_tensor_bundle
from tests.hub.tiny import GPT, logits, same_weights, tiny

REAL = Path(__file__).parent / "fixtures" / "tensorflow"


def _bits(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_crc32c():
    assert crc32c(b"123456789") == 0xE3069283  # the check value of the catalogue of CRCs
    rng = np.random.default_rng(0)
    for n in (0, 1, 63, 4095, 4096, 4097, 9001, 20_000):
        data = rng.integers(0, 256, n, np.uint8)
        assert crc32c(data) == crc32c(data.tobytes()) == _bits(data.tobytes())


def test_a_checkpoint_that_tensorflow_wrote():
    """model/… variables are drawn in order from default_rng(0), as made_by.txt shows."""
    bundle = load(REAL)
    assert (bundle.kind, bundle.about["checkpoint"]) == ("gpt", "model-10")
    rng = np.random.default_rng(0)
    wte = rng.normal(size=(20, 8)).astype(np.float32) * np.float32(0.1)
    np.testing.assert_array_equal(bundle.weights["wte.weight"], wte)
    rng.normal(size=(16, 8))
    for _ in range(4):
        rng.normal(size=8)
    c_attn = rng.normal(size=(1, 8, 24)).astype(np.float32) * np.float32(0.1)
    np.testing.assert_array_equal(bundle.weights["h.0.attn.c_attn.weight"], c_attn[0].T)
    assert np.isfinite(logits(bundle, np.arange(10)[None])).all()


# -- a small writer of the format, from its description --------------------------------------------


def _varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def _field(number: int, value) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _block(entries: list[tuple[bytes, bytes]], restart: int = 4) -> bytes:
    out, restarts, last = b"", [], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % restart:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        else:
            restarts.append(len(out))
        out += _varint(shared) + _varint(len(key) - shared) + _varint(len(value))
        out, last = out + key[shared:] + value, key
    for n in (*restarts, len(restarts)):
        out += n.to_bytes(4, "little")
    out += b"\0"
    return out + masked(crc32c(out)).to_bytes(4, "little")


def write_bundle(prefix: Path, arrays: dict[str, np.ndarray], shards: int = 1, extra=()) -> None:
    data = [b""] * shards
    entries = [(b"", _field(1, shards) + _field(3, _field(1, 1)))]
    for i, (name, array) in enumerate(sorted(arrays.items())):
        raw, shard = array.tobytes(), i % shards
        dims = b"".join(_field(2, _field(1, n)) for n in array.shape)
        entry = _field(1, 1) + _field(2, dims) + _field(3, shard) + _field(4, len(data[shard]))
        entry += _field(5, len(raw)) + _varint(6 << 3 | 5)
        entries.append((name.encode(), entry + masked(crc32c(raw)).to_bytes(4, "little")))
        data[shard] += raw
    entries = sorted([*entries, *extra])
    out, index = b"", []
    for i in range(0, len(entries), 5):  # several blocks
        block = _block(entries[i : i + 5])
        last = entries[min(i + 4, len(entries) - 1)][0]
        index.append((last + b"~", _varint(len(out)) + _varint(len(block) - 5)))
        out += block
    meta = _block([])
    handles = _varint(len(out)) + _varint(len(meta) - 5)
    out += meta
    table = _block(index, 1)
    handles += _varint(len(out)) + _varint(len(table) - 5)
    out += table + handles.ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")
    Path(f"{prefix}.index").write_bytes(out)
    for i, part in enumerate(data):
        Path(f"{prefix}.data-{i:05}-of-{shards:05}").write_bytes(part)


def _openai(bundle) -> dict[str, np.ndarray]:
    return {
        _theirs(n): np.array(a if a.ndim == 1 or n.startswith("w") else a.T[None], order="C")
        for n, a in bundle.weights.items()
    }


def _folder(tmp_path, bundle, name="model-7", **options):
    tmp_path.mkdir(exist_ok=True)
    hparams = {"n_vocab": 70, "n_ctx": 32, "n_embd": 32, "n_head": 2, "n_layer": 2}
    (tmp_path / "hparams.json").write_text(json.dumps(hparams))
    write_bundle(tmp_path / name, _openai(bundle), **options)
    return tmp_path


@pytest.mark.parametrize("shards", [1, 3])
def test_checkpoints_in_blocks_and_shards(shards, tmp_path):
    bundle = tiny("gpt")
    extra = [(b"model/wte/Adam", _field(1, 1) + _field(2, b"") + _field(5, 4)),
             (b"_CHECKPOINTABLE_OBJECT_GRAPH", _field(1, 7))]  # fmt: skip
    back = load(_folder(tmp_path, bundle, shards=shards, extra=extra))
    assert {k: back.config[k] for k in GPT} == GPT
    same_weights(back, bundle)
    np.testing.assert_array_equal(logits(back), logits(bundle))


def test_which_checkpoint(tmp_path):
    old, new = tiny("gpt", 1), tiny("gpt", 2)
    _folder(tmp_path, old, "model-9")
    _folder(tmp_path, new, "model-10")
    assert checkpoint_prefix(tmp_path).name == "model-10"
    listing = tmp_path / "checkpoint"
    listing.write_text('model_checkpoint_path: "/content/checkpoint/run1/model-9"\n')
    assert checkpoint_prefix(tmp_path).name == "model-9"
    listing.write_text('model_checkpoint_path: "../../../model-8"\n')  # gone, or never there
    assert checkpoint_prefix(tmp_path) == tmp_path / "model-10"


def test_damage_is_found_by_the_check_sums(tmp_path):
    folder = _folder(tmp_path, tiny("gpt"))
    index, data = folder / "model-7.index", folder / "model-7.data-00000-of-00001"
    whole, numbers = index.read_bytes(), data.read_bytes()
    index.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(FormatError, match="check sum"):
        load(folder)
    index.write_bytes(whole[:-60])
    with pytest.raises(FormatError, match=r"not an \.index"):
        load(folder)
    index.write_bytes(whole)
    data.write_bytes(numbers[:-1])
    with pytest.raises(FormatError, match="ends at byte"):
        load(folder)
    data.write_bytes(numbers[:2000] + bytes([numbers[2000] ^ 4]) + numbers[2001:])
    with pytest.raises(FormatError, match="check sum"):
        load(folder).build()
    data.unlink()
    with pytest.raises(FormatError, match="no such file"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a.pop("model/ln_f/g"), "no variable 'model/ln_f/g'"),
        (lambda a: a.update({"model/odd": np.zeros(2, "f4")}), "nothing here uses: 'model/odd'"),
        (lambda a: a.update({"model/wpe": np.zeros((3, 32), "f4")}), r"'model/wpe' has shape"),
    ],
)
def test_variables_that_do_not_fit_are_named(change, said, tmp_path):
    folder = _folder(tmp_path, tiny("gpt"))
    arrays = _openai(tiny("gpt"))
    change(arrays)
    write_bundle(folder / "model-7", arrays)
    with pytest.raises(FormatError, match=said):
        load(folder)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (_field(1, 1) + _field(2, _field(2, _field(1, 1 << 62))), "impossible size"),
        (_field(1, 1) + _field(2, _field(2, _field(1, 1 << 30))) + _field(5, 8), "takes"),
        (_field(1, 1) + _field(2, b"") + _field(4, 1 << 50) + _field(5, 4), "ends at byte"),
        (_field(1, 1) + _field(2, b"") + _field(3, 9) + _field(5, 4), "shard 9"),
        (_field(1, 99), "type 99"),
        (b"\x0b", "wire type"),
        (_field(1, 1) + b"\x12\xff", "does not end|only"),
    ],
)
def test_entries_that_lie(entry, said, tmp_path):
    write_bundle(tmp_path / "m", {"b": np.ones(1, "f4")}, extra=[(b"a", entry)])
    with pytest.raises(FormatError, match=said):
        read_tensor_bundle(tmp_path / "m")


def test_the_tokenizer_beside_it(tmp_path):
    from tests.data.known import BESIDE

    if not (BESIDE / "gpt2" / "encoder.json").is_file():
        pytest.skip("GPT-2's tokenizer files are not on this machine")
    folder = _folder(tmp_path, tiny("gpt"))
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copy(BESIDE / "gpt2" / name, folder)
    assert load(folder).tokenizer.encode("Hello world") == [15496, 995]

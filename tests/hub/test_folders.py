"""Hugging Face folders: loaded as transformers loads them, written so that transformers does."""

import json

import numpy as np
import pytest

from descent.hub import load, save
from descent.hub.formats.errors import FormatError
from tests.hub.tiny import ids, logits, same_weights, tiny

FAMILIES = [
    ("gpt", {}),
    ("gpt", {"bias": False}),  # nanoGPT's
    ("llama", {}),
    ("llama", {"tie": True}),
    ("llama", {"qkv_bias": True, "norm_eps": 1e-6}),  # Qwen2
]


@pytest.mark.parametrize(("kind", "changes"), FAMILIES)
@pytest.mark.oracle
def test_what_is_written_gives_the_same_logits_in_transformers(kind, changes, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    bundle = tiny(kind, **changes)
    save(bundle, tmp_path / "m")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "m", dtype=torch.float32, local_files_only=True
    ).eval()
    with torch.no_grad():
        expected = theirs(torch.from_numpy(ids())).logits.numpy()
    np.testing.assert_allclose(logits(bundle), expected, atol=2e-5)
    theirs.save_pretrained(tmp_path / "again", max_shard_size="20KB")  # and what it writes is read
    assert (tmp_path / "again" / "model.safetensors.index.json").is_file()
    np.testing.assert_allclose(logits(load(tmp_path / "again")), expected, atol=2e-5)


@pytest.mark.parametrize(("kind", "changes"), FAMILIES)
def test_there_and_back(kind, changes, tmp_path):
    bundle = tiny(kind, **changes)
    save(bundle, tmp_path / "m")
    back = load(tmp_path / "m")
    np.testing.assert_array_equal(logits(back), logits(bundle))
    save(back, tmp_path / "n")
    same_weights(load(tmp_path / "n"), back)
    assert sorted(p.name for p in (tmp_path / "n").iterdir()) == sorted(
        p.name for p in (tmp_path / "m").iterdir()
    )


def test_shards(tmp_path):
    from descent.hub.formats.folder_out import write_folder

    bundle = tiny("llama")
    files = write_folder(bundle, tmp_path / "m", shard_bytes=20_000)
    assert sum(f.suffix == ".safetensors" for f in files) > 2
    np.testing.assert_array_equal(logits(load(tmp_path / "m")), logits(bundle))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_numbers_are_close_and_said(dtype, tmp_path):
    bundle = tiny("llama")
    saved = save(bundle, tmp_path / "m", dtype=dtype)
    assert dtype in saved.notes[0]
    assert 0 < abs(logits(load(tmp_path / "m")) - logits(bundle)).max() < 0.2


def _index(tmp_path, change):
    from descent.hub.formats.folder_out import write_folder

    write_folder(tiny("llama"), tmp_path / "m", shard_bytes=20_000)
    path = tmp_path / "m" / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    change(index["weight_map"])
    path.write_text(json.dumps(index))
    with pytest.raises(FormatError) as caught:
        load(tmp_path / "m")
    return str(caught.value)


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "a/b", "..", "", "a\\b"])
def test_an_index_cannot_reach_outside(name, tmp_path):
    said = _index(tmp_path, lambda m: m.update({"model.norm.weight": name}))
    assert "not the name of a file" in said


def test_an_index_that_lies(tmp_path):
    other = "model-00001-of-00009.safetensors"
    assert "no such file" in _index(tmp_path, lambda m: m.update({"model.norm.weight": other}))


def test_errors_name_what_is_wrong(tmp_path):
    save(tiny("llama"), tmp_path / "m")
    config = tmp_path / "m" / "config.json"
    good = json.loads(config.read_text())
    for change, said in [
        ({"architectures": ["MambaForCausalLM"]}, "MambaForCausalLM"),
        ({"num_hidden_layers": 3}, "layers.2"),
        ({"num_hidden_layers": 1}, "layers.1"),
        ({"hidden_act": "mish"}, "mish"),
        ({"hidden_size": -4}, "hidden_size"),
    ]:
        config.write_text(json.dumps({**good, **change}))
        with pytest.raises(FormatError, match=said):
            load(tmp_path / "m").build()
    config.write_text('{"a": ' * 100_000)
    with pytest.raises(FormatError, match="not JSON"):
        load(tmp_path / "m")
    config.unlink()
    with pytest.raises(FormatError, match="no model folder"):
        load(tmp_path / "m")
    with pytest.raises(FormatError, match="no such file"):
        load(tmp_path / "nothing")


def test_a_folder_brings_its_tokenizer_ends_and_chat_template(tmp_path):
    from descent.data.tokenizers import ByteBPE

    bundle = tiny("llama", vocab_size=262)
    bundle.tokenizer = ByteBPE.train("a text to learn from " * 9, 262)
    end = bundle.tokenizer.special_tokens["<|endoftext|>"]
    bundle.about |= {"eos_ids": [end, 3], "bos_id": 1, "chat_template": "{{ messages }}"}
    save(bundle, tmp_path / "m")
    for folder in ("m", "n"):  # written from ours, then copied
        back = load(tmp_path / folder)
        about = back.about
        assert (about["bos_id"], about["eos_ids"]) == (1, [end, 3])
        assert about["chat_template"] == "{{ messages }}"
        assert back.tokenizer.encode("a text ü") == bundle.tokenizer.encode("a text ü")
        save(back, tmp_path / "n")
    (tmp_path / "m" / "chat_template.jinja").write_bytes(b"\xff\xfe")
    (tmp_path / "m" / "tokenizer.json").write_text("{}")
    back = load(tmp_path / "m")  # a model without a tokenizer is still a model
    assert back.tokenizer is None
    assert len(back.about["notes"]) == 2
    assert back.build()

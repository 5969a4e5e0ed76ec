"""`descent convert`, and every format into every other."""

import numpy as np
import pytest
from typer.testing import CliRunner

from descent.cli.main import app
from descent.data.errors import DataError
from descent.data.tokenizers import ByteBPE
from descent.goals.folder import RunFolder
from descent.goals.loading import load_model
from descent.hub import load, save
from descent.hub.formats.errors import FormatError
from descent.hub.saving import FORMATS
from tests.hub.tiny import logits, tiny

TEXT = "some text to learn a vocabulary from, some more text"
EXACT = {"gpt": ["hf", "run", "gguf", "llm.c"],
         "llama": ["hf", "run", "gguf", "llama2.c", "llama2.c-v1"]}  # fmt: skip


def _bundle(kind):
    tokenizer = ByteBPE.train(TEXT * 5, 270)
    bundle = tiny(kind, vocab_size=tokenizer.vocab_size)
    bundle.tokenizer = tokenizer
    return bundle


def _path(folder, format):
    return folder / {"hf": "hf", "run": "run", "gguf": "m.gguf"}.get(format, f"{format}.bin")


@pytest.mark.parametrize("kind", ["gpt", "llama"])
def test_every_format_into_every_other(kind, tmp_path):
    bundle = _bundle(kind)
    expected = logits(bundle)
    for first in EXACT[kind]:
        path = _path(tmp_path, first)
        save(bundle, path, first, "float32")
        for second in EXACT[kind]:
            middle = load(path)
            if middle.tokenizer is None and second == "run":
                middle.tokenizer = bundle.tokenizer  # a run folder cannot do without
            target = _path(tmp_path / first, second)
            save(middle, target, second, "float32")
            back = load(target)
            np.testing.assert_allclose(logits(back), expected, atol=1e-6)
            if back.tokenizer is not None:
                assert back.tokenizer.encode(TEXT) == bundle.tokenizer.encode(TEXT)


@pytest.mark.parametrize("kind", ["gpt", "llama"])
def test_a_run_folder_written_here_is_one_for_the_rest_of_descent(kind, tmp_path):
    bundle = _bundle(kind)
    save(bundle, tmp_path / "r", "run")
    model, tokenizer = load_model(RunFolder.open(tmp_path / "r"))
    again = load(tmp_path / "r")
    assert tokenizer.encode(TEXT) == bundle.tokenizer.encode(TEXT)
    np.testing.assert_array_equal(
        model.state_dict()["lm_head.weight"].array,
        again.build().state_dict()["lm_head.weight"].array,
    )
    with pytest.raises(FormatError, match="needs a tokenizer"):
        save(tiny(kind), tmp_path / "s", "run")
    assert not (tmp_path / "s").exists()


@pytest.mark.oracle
def test_an_exported_run_tokenizes_alike_in_tokenizers(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    bundle = _bundle("gpt")
    save(bundle, tmp_path / "hf")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "hf" / "tokenizer.json"))
    assert theirs.encode(TEXT + " ünïcode!").ids == bundle.tokenizer.encode(TEXT + " ünïcode!")


def _run(*words):
    result = CliRunner().invoke(app, ["convert", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit | DataError):
        raise result.exception
    return result


def test_the_command_says_what_it_read_wrote_and_lost(tmp_path):
    save(_bundle("llama"), tmp_path / "m")
    out = tmp_path / "m.gguf"
    result = _run(tmp_path / "m", out, "--dtype", "q8_0")
    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert lines[0].startswith(f"read  {tmp_path / 'm'}  (Hugging Face folder; llama, ")
    assert lines[1].startswith(f"wrote {out}  (gguf; q8_0; ")
    assert "rounded to q8_0" in lines[2]
    assert "exists already" in str(_run(tmp_path / "m", out).exception)
    assert _run(tmp_path / "m", out, "--force", "--dtype", "float32").exit_code == 0
    np.testing.assert_allclose(logits(load(out)), logits(load(tmp_path / "m")), atol=1e-6)


def test_the_command_never_writes_over_its_own_input(tmp_path):
    save(_bundle("gpt"), tmp_path / "m")
    before = {p: p.read_bytes() for p in (tmp_path / "m").iterdir()}
    assert "the model itself" in str(_run(tmp_path / "m", tmp_path / "m", "--force").exception)
    assert {p: p.read_bytes() for p in (tmp_path / "m").iterdir()} == before


def test_formats_and_dtypes_that_are_not(tmp_path):
    bundle = tiny("gpt")
    for path, format, dtype, said in [
        ("m.xyz", None, None, "which format"),
        ("m.gguf", None, "q5_k", "can hold float16"),
        ("m", "hf", "q8_0", "can hold float32"),
        ("m", "pickle", None, "not one of"),
    ]:
        with pytest.raises(FormatError, match=said):
            save(bundle, tmp_path / path, format, dtype)
    (tmp_path / "folder").mkdir()
    with pytest.raises(FormatError, match="is a folder"):
        save(bundle, tmp_path / "folder", "gguf")
    (tmp_path / "file").write_text("x")
    with pytest.raises(FormatError, match="is a file"):
        save(bundle, tmp_path / "file", "hf")
    assert (tmp_path / "file").read_text() == "x"


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    save(tiny("gpt"), tmp_path / "m.gguf")
    before = (tmp_path / "m.gguf").read_bytes()

    def broken(bundle, dtype):
        yield b"GGUF"
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(__import__("descent.hub.saving", fromlist=["x"])._PARTS, "gguf", broken)
    with pytest.raises(OSError, match="No space"):
        save(tiny("gpt", 1), tmp_path / "m.gguf")
    assert (tmp_path / "m.gguf").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.gguf"]


def test_every_format_has_a_default_dtype():
    assert all(dtypes for dtypes in FORMATS.values())

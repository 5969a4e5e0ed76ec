"""llama2.c: the real pretrained model decodes to run.c's tokens; all three versions in and out."""

import os
from pathlib import Path

import numpy as np
import pytest

import descent as dc
from descent.hub import load, save
from descent.hub.formats.errors import FormatError
from tests.data.known import BESIDE
from tests.hub.tiny import logits, same_weights, tiny

# Greedy ids after token 1 by llama2.c's run.c (commit of 2024-08, gcc -O2): forward() and
# sample_argmax() called from a main() of four lines that includes run.c with TESTING defined.
RUN_C = """
403 407 261 378 432 383 286 261 376 298 315 421 395 317 426 338 401 396 267 337 410 408 419 292 411
322 265 282 295 433 426 385 328 432 358 394 261 370 432 352 266 268 388 426 338 391 266 267 337 335
312 432 398 312 286 267 414 270 333 415 426 13 438 310 439 419 357 336 432 313 438 310 432 278 316
439 419 298 414 267 265 282 295 433 426 436 317 286 296 418 269 279 292 416 439 413 409 416 327 263
415 294 267 400 426 338 336 432 313 442 391 267 337 335 364 420 268 388 432 398 359 280 303 439 413
272 417 264 312 426 436 13 438 310 286 296 418 269 279 292 416 439 413 409 416 327 263 415 294 267
400 426 338 336 432 313 442 439 423 262 304 420 422 432 317 426 359 279 292 416 439 413 409 416 327
263 415 294 267 400 426 436 13 438 310 279 292 416 439 413 391 267 281 421 427 311 357 432 384 358
"""


def _stories() -> Path:
    path = Path(os.environ.get("DESCENT_DATA", BESIDE)) / "stories260k" / "stories260K.bin"
    if not path.is_file():
        pytest.skip(f"{path} is not on this machine")
    return path


def test_stories260k_decodes_to_the_tokens_of_run_c():
    bundle = load(_stories())
    assert (bundle.kind, bundle.config["n_layer"], bundle.config["n_kv_head"]) == ("llama", 5, 4)
    model, cache, token, found = bundle.build(), None, 1, []
    cache = model.new_cache()
    with dc.no_grad():
        for _ in range(200):
            token = int(model(dc.tensor([[token]]), cache=cache)[0].array[0, -1].argmax())
            found.append(token)
    assert found == [int(word) for word in RUN_C.split()]


def test_a_file_written_again_is_the_file_but_for_the_rounding_of_unused_tables(tmp_path):
    bundle = load(_stories())
    save(bundle, tmp_path / "again.bin", "llama2.c")
    same_weights(load(tmp_path / "again.bin"), bundle)
    old, new = (np.frombuffer(p.read_bytes()[28:], "<f4") for p in
                (_stories(), tmp_path / "again.bin"))  # fmt: skip
    np.testing.assert_allclose(new, old, atol=1e-4)
    assert (new != old).sum() <= 2 * 512 * 4  # cos and sin of 512 positions


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("version", ["llama2.c", "llama2.c-v1"])
def test_exact_versions(version, tie, tmp_path):
    bundle = tiny("llama", tie=tie)
    save(bundle, tmp_path / "m.bin", version)
    back = load(tmp_path / "m.bin")
    assert back.config["tie"] is tie
    np.testing.assert_array_equal(logits(back), logits(bundle))


def test_int8(tmp_path):
    bundle = tiny("llama")
    saved = save(bundle, tmp_path / "m.bin", "llama2.c-v2")
    assert "rounded to int8" in saved.notes[0]
    back = load(tmp_path / "m.bin")
    for name in bundle.weights:
        exact, near = bundle.weights[name], back.weights[name]
        step = np.abs(exact).max() / 127 if exact.ndim == 2 else 0
        assert np.abs(near - exact).max() <= step / 2 + 1e-6
    save(back, tmp_path / "n.bin", "llama2.c-v2")  # rounding twice is rounding once
    assert (tmp_path / "n.bin").read_bytes() == (tmp_path / "m.bin").read_bytes()


@pytest.mark.parametrize("changes", [{"rope_base": 5e5}, {"qkv_bias": True}, {"norm_eps": 1e-6},
                                     {"window": 8}])  # fmt: skip
def test_what_it_has_no_place_for_is_refused_before_writing(changes, tmp_path):
    with pytest.raises(FormatError, match=next(iter(changes))):
        save(tiny("llama", **changes), tmp_path / "m.bin", "llama2.c")
    with pytest.raises(FormatError, match="kind llama"):
        save(tiny("gpt"), tmp_path / "m.bin", "llama2.c")
    assert not list(tmp_path.iterdir())


def test_a_tokenizer_beside_the_file_is_used_if_it_fits(tmp_path):
    from descent.data.tokenizers.binary_files import save_llama2c
    from descent.data.tokenizers.sentencepiece import (
        BYTE,
        CONTROL,
        UNKNOWN,
        Piece,
        SentencePieceBPE,
    )

    pieces = [Piece("<unk>", 0, UNKNOWN), Piece("<s>", 0, CONTROL), Piece("</s>", 0, CONTROL)]
    pieces += [Piece(f"<0x{i:02X}>", 0, BYTE) for i in range(256)]
    save_llama2c(SentencePieceBPE(pieces, bos_id=1, eos_id=2), tmp_path / "tokenizer.bin")
    save(tiny("llama"), tmp_path / "small.bin", "llama2.c")
    assert load(tmp_path / "small.bin").tokenizer is None
    save(tiny("llama", vocab_size=259), tmp_path / "right.bin", "llama2.c")
    assert load(tmp_path / "right.bin").tokenizer.decode([1 + 2 + ord("A")]) == "A"

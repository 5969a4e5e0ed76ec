"""How well code is predicted: counts, a minute from scratch, the base, the base + a minute.

    python -m bench.code_model FOLDER [--minutes 1]

Every side sees the same files of FOLDER (nothing the base has read) and is measured on the same
others, in bits per byte of their text, which does not depend on the tokenizer. Not a race: quality.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from descent.data import Windows, read_text
from descent.data.tokenizers.bpe import END_OF_TEXT
from descent.goals.complete import CompleteOptions, up
from descent.goals.events import Ready
from descent.goals.folder import RunFolder
from descent.goals.loading import load_model
from descent.hub.boxed import boxed
from descent.models.ngram import NGram
from descent.train.metrics import bits_per_byte, evaluate


def split(source: str, folder: Path) -> tuple[Path, list[str]]:
    """One file in seven is held out, by a hash of its name; the others are copied to `folder`."""
    documents, report = read_text(source, pattern="*.py")
    print(f"{source}: {report}")
    held = []
    for name, text in documents:
        if hashlib.sha256(name.encode()).digest()[0] % 7 == 0:
            held.append(text)
        else:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", errors="replace")
    return folder, held


def bits(model: Any, tokenizer: Any, texts: list[str]) -> float:
    """Bits per byte of the texts, in windows of the model's whole context."""
    ids = rows(tokenizer, texts)
    windows = Windows(np.concatenate(ids), model.get_block_size())
    nats = evaluate(model, windows.evaluation_batches(16))
    return bits_per_byte(nats, sum(map(len, ids)), sum(len(t.encode()) for t in texts))


def rows(tokenizer: Any, texts: list[str]) -> list[np.ndarray]:
    end = tokenizer.special_tokens[END_OF_TEXT]
    return [np.array([*tokenizer.encode_ordinary(text), end]) for text in texts]


def learned(options: CompleteOptions) -> tuple[Any, Any]:
    """The model and tokenizer of a run made now."""
    ready = [event for event in up(options) if isinstance(event, Ready)][-1]
    return ready.model, ready.tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--minutes", type=float, default=1.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        data, held = split(args.folder, Path(place) / "data")
        runs, m = Path(place) / "runs", args.minutes
        scratch = learned(CompleteOptions(str(data), m, name="scratch", runs=runs, scratch=True))
        documents, _ = read_text(data, pattern="*.py")
        counts = NGram(order=5, vocab_size=scratch[1].vocab_size, smoothing="interpolated")
        counts.fit(rows(scratch[1], [text for _, text in documents]))
        ids = rows(scratch[1], held)
        n_bytes = sum(len(t.encode()) for t in held)
        result = {
            "5-gram counts": bits_per_byte(counts.loss(ids), sum(map(len, ids)), n_bytes),
            f"from scratch, {m:g} min": bits(*scratch, held),
        }
        base = boxed("descent-code")
        if base is not None:
            result["descent-code, as it is"] = bits(*load_model(RunFolder.open(base)), held)
            tuned = learned(CompleteOptions(str(data), m, name="tuned", runs=runs))
            result[f"descent-code + {m:g} min"] = bits(*tuned, held)
        shutil.rmtree(runs)
    print(f"\nbits per byte of {len(held)} files that no side has seen, {n_bytes:,} bytes")
    for side, value in result.items():
        print(f"{side:28} {value:.3f}")


if __name__ == "__main__":
    main()

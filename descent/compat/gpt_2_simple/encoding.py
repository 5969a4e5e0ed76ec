"""Preparing data ahead: a CSV as one text, a text as token ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from descent.compat.gpt_2_simple.models import model_folder
from descent.data.documents import Reading, pieces
from descent.data.text import ReadReport

__all__ = ["encode_csv", "encode_dataset"]


def encode_csv(
    csv_path: str,
    out_path: str = "csv_encoded.txt",
    header: bool = True,
    start_token: str = "<|startoftext|>",
    end_token: str = "<|endoftext|>",
) -> None:
    """Write the first column of a CSV as text, each row between the two tokens, one per line.

    Empty rows are left out.
    """
    with open(out_path, "w", encoding="utf-8") as out:
        for piece in pieces(csv_path, Reading(header=header), ReadReport()):
            out.write(f"{start_token}{piece.text}{end_token}\n")


def encode_dataset(
    file_path: str,
    model_dir: str = "models",
    out_path: str = "text_encoded.npz",
    model_name: str = "124M",
    combine: int = 50000,
) -> None:
    """Write the token ids of a text, folder or table as .npz, to be passed to `finetune`.

    `combine` is accepted; documents are kept apart whatever their length.
    """
    from descent.hub import load

    tokenizer = load(model_folder(model_dir, model_name)).tokenizer
    end = "<|endoftext|>"
    ids = [
        np.array(
            tokenizer.encode(piece.text, "none") + tokenizer.encode(end, {end}), dtype=np.int32
        )
        for piece in pieces(file_path, Reading(end_token=end), ReadReport())
    ]
    with Path(out_path).open("wb") as out:
        np.savez_compressed(out, *ids)

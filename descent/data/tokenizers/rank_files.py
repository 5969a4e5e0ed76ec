"""Published rank lists (`base64 rank` lines), told apart by their number of tokens.

The file holds tokens alone; the split pattern and the special tokens are in the programs that use
it: tiktoken's openai_public.py, Llama 3's tokenizer.py.
"""

import os
from pathlib import Path

from descent.data.errors import DataError
from descent.data.tokenizers.bpe import END_OF_TEXT, ByteBPE
from descent.data.tokenizers.gpt import GPT4_SPECIAL_TOKENS, load_ranks, recover_merges
from descent.data.tokenizers.splits import (
    GPT2_SPLIT_PATTERN,
    GPT4_SPLIT_PATTERN,
    LLAMA3_SPLIT_PATTERN,
)

__all__ = ["load_known_ranks"]

_LLAMA3 = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>", "<|step_id|>",
    "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
]  # fmt: skip
_LLAMA3 += [f"<|reserved_special_token_{i}|>" for i in range(2, 2 + 256 - len(_LLAMA3))]
_KNOWN = {
    50256: (GPT2_SPLIT_PATTERN, {END_OF_TEXT: 50256}),
    100256: (GPT4_SPLIT_PATTERN, GPT4_SPECIAL_TOKENS),
    128000: (LLAMA3_SPLIT_PATTERN, {name: 128000 + i for i, name in enumerate(_LLAMA3)}),
}


def load_known_ranks(path: str | os.PathLike) -> ByteBPE:
    """GPT-2's, GPT-4's (cl100k) or Llama 3's tokenizer from its rank list."""
    path = Path(path)
    ranks = load_ranks(path)
    if len(ranks) not in _KNOWN:
        raise DataError(
            f"{path}: no published tokenizer known here has {len(ranks)} ranks, so its split "
            "pattern is unknown; use the model's tokenizer.json"
        )
    pattern, specials = _KNOWN[len(ranks)]
    tokenizer = ByteBPE(
        recover_merges(ranks),
        pattern=pattern,
        special_tokens=specials,
        byte_ids=[ranks[bytes([byte])] for byte in range(256)],
    )
    if pattern == LLAMA3_SPLIT_PATTERN:
        tokenizer.bos_id, tokenizer.eos_id = 128000, 128001
        tokenizer.begin_ids = (128000,)
    return tokenizer

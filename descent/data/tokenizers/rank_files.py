"""Published rank lists (`base64 rank` lines), told apart by their number of tokens.

The file holds tokens alone; the split pattern and the special tokens are in the programs that use
it: tiktoken's openai_public.py, Llama 3's tokenizer.py. Some tokens of Llama 3's list cannot be
made by merges of earlier ones (whole words are looked up first), so it is not one of our `ByteBPE`.
"""

import os
from pathlib import Path

from descent.data.errors import DataError
from descent.data.tokenizers.base import Tokenizer
from descent.data.tokenizers.bpe import END_OF_TEXT, ByteBPE
from descent.data.tokenizers.byte_alphabet import to_alphabet
from descent.data.tokenizers.gpt import GPT4_SPECIAL_TOKENS, load_ranks, recover_merges
from descent.data.tokenizers.hub_files import byte_level_spec
from descent.data.tokenizers.pipeline import PipelineTokenizer
from descent.data.tokenizers.splits import (
    GPT2_SPLIT_PATTERN,
    GPT4_SPLIT_PATTERN,
    LLAMA3_SPLIT_PATTERN,
)

__all__ = ["load_known_ranks", "ranks_spec"]

_LLAMA3 = [  # as in the tokenizer.json of Llama 3.1 and later
    "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>",
    "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
]  # fmt: skip
_LLAMA3 += [f"<|reserved_special_token_{i}|>" for i in range(3, 248)]
_LLAMA3_RANKS = 128_000
_KNOWN = {
    50_256: (GPT2_SPLIT_PATTERN, {END_OF_TEXT: 50_256}),
    100_256: (GPT4_SPLIT_PATTERN, GPT4_SPECIAL_TOKENS),
}


def load_known_ranks(path: str | os.PathLike) -> Tokenizer:
    """GPT-2's, GPT-4's (cl100k) or Llama 3's tokenizer from its rank list."""
    path = Path(path)
    ranks = load_ranks(path)
    if len(ranks) == _LLAMA3_RANKS:
        specials = {name: _LLAMA3_RANKS + i for i, name in enumerate(_LLAMA3)}
        names = {"bos_token": _LLAMA3[0], "eos_token": _LLAMA3[1], "add_bos_token": True}
        return PipelineTokenizer(ranks_spec(ranks, LLAMA3_SPLIT_PATTERN, specials), names)
    if len(ranks) not in _KNOWN:
        raise DataError(
            f"{path}: no published tokenizer known here has {len(ranks)} ranks, so its split "
            "pattern is unknown; use the model's tokenizer.json"
        )
    pattern, specials = _KNOWN[len(ranks)]
    return ByteBPE(
        recover_merges(ranks),
        pattern=pattern,
        special_tokens=specials,
        byte_ids=[ranks[bytes([byte])] for byte in range(256)],
    )


def ranks_spec(ranks: dict[bytes, int], pattern: str, special_tokens: dict[str, int]) -> dict:
    """A rank list as a tokenizer.json: two neighbours merge when what they make has a rank."""
    merges = []
    for token in ranks:  # in order of rank
        cuts = [(token[:i], token[i:]) for i in range(1, len(token))]
        made = [(ranks[a], ranks[b], a, b) for a, b in cuts if a in ranks and b in ranks]
        merges += [[to_alphabet(a), to_alphabet(b)] for _, _, a, b in sorted(made)]
    added = [
        {"id": token, "content": name, "special": True} for name, token in special_tokens.items()
    ]
    vocab = {to_alphabet(token): rank for token, rank in ranks.items()} | special_tokens
    return byte_level_spec(vocab, merges, added, pattern=pattern, ignore_merges=True)

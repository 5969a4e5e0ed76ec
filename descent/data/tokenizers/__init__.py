"""Text to numbers: character vocabularies and byte-level BPE, our own and the published ones."""

from descent.data.tokenizers.base import Tokenizer
from descent.data.tokenizers.bpe import END_OF_TEXT, ByteBPE
from descent.data.tokenizers.chars import CharTokenizer
from descent.data.tokenizers.gpt import load_gpt2, load_gpt4
from descent.data.tokenizers.loading import load_tokenizer
from descent.data.tokenizers.splits import (
    CODE_SPLIT_PATTERN,
    GPT2_SPLIT_PATTERN,
    GPT4_SPLIT_PATTERN,
)

__all__ = [
    "Tokenizer", "ByteBPE", "CharTokenizer", "END_OF_TEXT",
    "load_gpt2", "load_gpt4", "load_tokenizer",
    "CODE_SPLIT_PATTERN", "GPT2_SPLIT_PATTERN", "GPT4_SPLIT_PATTERN",
]  # fmt: skip

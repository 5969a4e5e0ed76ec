"""Text to numbers: character vocabularies and byte-level BPE, our own and the published ones.

`load_tokenizer` reads what models come with; `chat` renders their templates; `hub_export` and
`binary_files` write for other programs.
"""

from descent.data.tokenizers.base import Tokenizer
from descent.data.tokenizers.bpe import END_OF_TEXT, ByteBPE
from descent.data.tokenizers.chars import CharTokenizer
from descent.data.tokenizers.chat import ChatTemplate
from descent.data.tokenizers.gpt import load_gpt2, load_gpt4
from descent.data.tokenizers.hub_export import save_hub_folder
from descent.data.tokenizers.loading import load_tokenizer
from descent.data.tokenizers.pipeline import PipelineTokenizer
from descent.data.tokenizers.sentencepiece import Piece, SentencePieceBPE
from descent.data.tokenizers.splits import (
    CODE_SPLIT_PATTERN,
    GPT2_SPLIT_PATTERN,
    GPT4_SPLIT_PATTERN,
    LLAMA3_SPLIT_PATTERN,
)
from descent.data.tokenizers.streaming import TextStream

__all__ = [
    "Tokenizer", "ByteBPE", "CharTokenizer", "PipelineTokenizer", "SentencePieceBPE", "Piece",
    "END_OF_TEXT", "load_gpt2", "load_gpt4", "load_tokenizer", "save_hub_folder",
    "ChatTemplate", "TextStream",
    "CODE_SPLIT_PATTERN", "GPT2_SPLIT_PATTERN", "GPT4_SPLIT_PATTERN", "LLAMA3_SPLIT_PATTERN",
]  # fmt: skip

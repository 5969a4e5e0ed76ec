"""Small models behind the reference decoder, and what a sequence of one's own gives."""

from __future__ import annotations

from functools import cache

import numpy as np

import descent.random
from descent.generate.decoder.reference import ReferenceDecoder
from descent.generate.engine import Engine
from descent.generate.stream import complete
from descent.models.gpt import GPT, GPTConfig
from tests.count_models import ByteTokenizer, code_model

BYTES = ByteTokenizer()


def count_decoder(cache_tokens=4096, context=512, block_tokens=4) -> ReferenceDecoder:
    """The byte trigrams of some source files: fast, and long texts stay interesting."""
    model = code_model()

    def forward(ids):
        a, b = (None, ids[-1]) if len(ids) == 1 else ids[-2:]
        return np.log(model.probabilities(a, b)).astype(np.float32)

    return ReferenceDecoder(
        forward, vocab_size=256, context=context, cache_tokens=cache_tokens,
        block_tokens=block_tokens,
    )  # fmt: skip


def count_engine(cache_tokens=4096, context=512, block_tokens=4, **options) -> Engine:
    return Engine(count_decoder(cache_tokens, context, block_tokens), BYTES, **options)


def alone(prompt, sampling, choice=0, eos_ids=()) -> list[int]:
    """The ids that the plain one-sequence loop makes."""
    steps = complete(code_model(), BYTES, prompt, sampling, choice=choice, eos_ids=eos_ids)
    return [step.id for step in steps]


@cache
def small_gpt(seed: int = 0, vocab_size: int = 61, block_size: int = 48) -> GPT:
    descent.random.manual_seed(seed)
    config = GPTConfig(
        vocab_size, block_size=block_size, n_layer=2, n_head=2, n_embd=16, init_std=0.3
    )
    model = GPT(config)
    model.eval()
    return model


class Ids:
    """A tokenizer whose ids are code points from '0' on."""

    def __init__(self, vocab_size: int = 61) -> None:
        self.vocab_size = vocab_size

    def encode(self, text):
        return [ord(c) - 48 for c in text]

    def decode_bytes(self, ids):
        return b"".join(map(self.token_bytes, ids))

    def decode(self, ids):
        return self.decode_bytes(ids).decode()

    def token_bytes(self, id):
        return chr(id + 48).encode()

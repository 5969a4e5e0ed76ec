"""What a fine-tuning will take, before it begins: memory and time, and the settings that fit.

    bytes ≈ 4 · (weights + 3 · learning) + 4 · B T · (4 V + L · a) + 80 MB     AdamW: gradient, m, v
    a = 5 C + 2 · 4 C (GPT),  8 C + 4 · hidden (Llama): what a block keeps for each token
    operations = 2 · B T · (2 · weights + learning)  per batch;  + 2 · B T · weights recomputing

Blocks in 4 bits take 18 bytes per 32 numbers; checkpointing keeps C per block and token, and one
block whole. The four logits are: themselves, their gradient, and two of the loss's own. Measured
beside it: GPT-2 124M, see docs/finetune.md. Left out: what Python and the tokenizer take.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from descent.train.finetune import FinetuneSettings

__all__ = ["Estimate", "Sizes", "estimate", "fitting", "sizes_of"]

OTHER_BYTES = 80 << 20
SHARE_OF_PEAK = 0.5  # of the machine's best products that a whole step reaches


@dataclass(frozen=True)
class Sizes:
    """What decides the cost of a Transformer: parameters of the blocks, of each block, of all."""

    vocab: int
    layers: int
    width: int
    kept: int  # numbers a block keeps for each token
    blocks: int
    total: int
    adapted: int  # inputs + outputs of every layer that gets adapters
    context: int


@dataclass(frozen=True)
class Estimate:
    """Of one setting. `seconds` is a step's, None where the machine was not measured."""

    settings: FinetuneSettings
    block_size: int
    bytes: int
    operations: float
    checkpointing: bool
    seconds: float | None = None

    def __str__(self) -> str:
        time = "" if self.seconds is None else f", {_time(self.seconds)} a step"
        return f"about {self.bytes / 1e9:.1f} GB{time}"

    @property
    def flags(self) -> str:
        """The command line's words for it."""
        s = self.settings
        words = [f"--method {s.method}", f"--batch-size {s.batch_size}"]
        words += [f"--accumulate {s.accumulate}", f"--block-size {self.block_size}"]
        return " ".join([*words, *(["--checkpointing"] if self.checkpointing else [])])


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def sizes_of(model: Any, targets: tuple[str, ...]) -> Sizes:
    """The sizes of a GPT or Llama model (others: blocks are taken to keep 13 widths)."""
    c: Any = model.config
    width, layers = getattr(c, "n_embd", 64), getattr(c, "n_layer", 1)
    hidden = getattr(c, "n_hidden", None)
    llama = hasattr(c, "n_kv_head")
    kept = 8 * width + 4 * (hidden or 4 * width) if llama else 13 * width
    inside = [(n, p) for n, p in model.named_parameters() if n.split(".")[0] in ("h", "layers")]
    adapted = sum(
        sum(p.array.shape) for n, p in inside if p.ndim == 2 and n.split(".")[-2] in targets
    )
    return Sizes(
        getattr(c, "vocab_size", 1), layers, width, kept,
        sum(p.numel() for _, p in inside), sum(p.numel() for p in model.parameters()), adapted,
        model.get_block_size(),
    )  # fmt: skip


def estimate(
    z: Sizes, s: FinetuneSettings, block_size: int, *, checkpointing: bool = False,
    peak: float | None = None,
) -> Estimate:  # fmt: skip
    """Memory and operations of a step; `peak`: the machine's operations per second."""
    learning = z.total
    if s.method == "last":
        learning = z.blocks * min(s.last_layers, z.layers) // max(z.layers, 1)
    if s.adapts:
        learning = s.lora_r * z.adapted
    moments = {"adamw": 2, "sgd": 0}[s.optimizer]
    weights = 4 * z.total
    if s.method == "qlora":
        weights = 4 * (z.total - z.blocks) + z.blocks * 18 // 32
    tokens = s.batch_size * block_size
    kept = z.layers * z.width + z.kept if checkpointing else z.layers * z.kept
    needed = weights + 4 * learning * (1 + moments) + 4 * tokens * (4 * z.vocab + kept)
    again = z.blocks if checkpointing else 0
    operations = 2.0 * s.accumulate * tokens * (2 * z.total + learning + again)
    seconds = None if peak is None else operations / (SHARE_OF_PEAK * peak)
    return Estimate(s, block_size, needed + OTHER_BYTES, operations, checkpointing, seconds)


def fitting(z: Sizes, s: FinetuneSettings, block_size: int, available: int) -> Estimate | None:
    """The first setting that fits into `available` bytes, the nearest to what was asked for first.

    Smaller batches are made up for by accumulating; then blocks are recomputed; then windows get
    shorter; then only adapters learn; at last the base is held in 4 bits. None: nothing fits.
    """
    return next((e for e in _alternatives(z, s, block_size) if e.bytes <= available), None)


def _alternatives(z: Sizes, s: FinetuneSettings, block_size: int) -> Iterator[Estimate]:
    methods = [s.method, *(m for m in ("lora", "qlora") if m != s.method)]
    if s.method == "qlora":
        methods = ["qlora"]
    for method in methods:
        for block in (b for b in (block_size, 256, 128, 64) if b <= block_size):
            for again in (False, True):
                batch, accumulate = s.batch_size, s.accumulate
                while True:
                    tried = replace(s, method=method, batch_size=batch, accumulate=accumulate)
                    yield estimate(z, tried, block, checkpointing=again)
                    if batch == 1:
                        break
                    batch, accumulate = (batch + 1) // 2, accumulate * 2

"""How a GPT is trained from nothing: nanoGPT's settings under nanoGPT's names, and presets.

github.com/karpathy/nanoGPT, train.py and config/. `device`, `backend`, `wandb_*` have no meaning
here. Of llm.c's command line: -k is `schedule` (wsd too), -o `keep`, -h `hellaswag`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from descent.train.settings import TrainSettings

__all__ = ["PRETRAIN_PRESETS", "PretrainSettings"]


def _set(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class PretrainSettings:
    """Names and defaults are nanoGPT's, sizes smaller: a laptop's, not eight A100s'."""

    max_iters: int = _set(2000, "training steps")
    batch_size: int = _set(12, "windows per batch")
    gradient_accumulation_steps: int = _set(1, "batches per step, averaged")
    block_size: int = _set(64, "context, in tokens")
    n_layer: int = _set(4, "layers")
    n_head: int = _set(4, "attention heads")
    n_embd: int = _set(128, "width")
    dropout: float = _set(0.0, "dropout")
    bias: bool = _set(False, "biases in Linear and LayerNorm")
    learning_rate: float = _set(1e-3, "peak rate")
    min_lr: float = _set(1e-4, "where it ends")
    decay_lr: bool = _set(True, "let the rate fall; else it stays after the warm-up")
    schedule: str = _set("cosine", "how it falls: cosine, linear, wsd")
    warmup_iters: int = _set(100, "steps over which it rises")
    lr_decay_iters: int | None = _set(None, "step where the fall ends (none: max_iters)")
    optimizer: str = _set("adamw", "adamw or sgd")
    weight_decay: float = _set(0.1, "decay of matrices")
    beta1: float = _set(0.9, "AdamW's memory of gradients")
    beta2: float = _set(0.99, "AdamW's memory of their squares")
    grad_clip: float = _set(1.0, "largest norm of all gradients; 0: none")
    eval_interval: int = _set(250, "steps between evaluations")
    eval_iters: int = _set(20, "batches of an evaluation")
    eval_only: bool = _set(False, "measure and stop")
    save_interval: int | None = _set(None, "steps between checkpoints (none: eval_interval)")
    keep: int = _set(1, "checkpoints that are kept")
    hellaswag: str | None = _set(None, "HellaSwag file (.jsonl or llm.c's .bin), scored at the end")
    tokenizer: str = _set("chars", "for text: chars, gpt2, or a tokenizer's file")
    seed: int = _set(1337, "of weights and batches")
    compile: bool | None = _set(None, "train in a compiled step (none: where it pays)")

    def __post_init__(self) -> None:
        for name in ("max_iters", "block_size", "n_layer", "n_head", "n_embd", "eval_iters"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1: got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1): got {self.dropout}")
        if not 0 <= self.min_lr <= self.learning_rate:
            raise ValueError(
                f"min_lr must be between 0 and learning_rate: got {self.min_lr}, "
                f"{self.learning_rate}"
            )
        self.training()  # what is wrong with the rest shows here

    def sizes(self, vocab_size: int) -> dict[str, Any]:
        """The config of the GPT."""
        return {
            "vocab_size": vocab_size, "block_size": self.block_size, "n_layer": self.n_layer,
            "n_head": self.n_head, "n_embd": self.n_embd, "dropout": self.dropout,
            "bias": self.bias,
        }  # fmt: skip

    def training(self) -> TrainSettings:
        """The loop's settings."""
        return TrainSettings(
            max_steps=self.max_iters, batch_size=self.batch_size,
            accumulate=self.gradient_accumulation_steps, optimizer=self.optimizer,
            learning_rate=self.learning_rate, min_lr_ratio=self.min_lr / self.learning_rate,
            warmup_steps=self.warmup_iters, decay_steps=self.lr_decay_iters,
            schedule=self.schedule if self.decay_lr else "constant",
            weight_decay=self.weight_decay, beta1=self.beta1, beta2=self.beta2,
            clip=self.grad_clip or None, eval_every=self.eval_interval,
            eval_batches=self.eval_iters, save_every=self.save_interval or self.eval_interval,
            keep=self.keep, seed=self.seed, compile=bool(self.compile),
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PretrainSettings:
        """From given or saved values; unknown names are an error that lists them."""
        known = {f.name for f in fields(cls)}
        if extra := sorted(set(values) - known):
            raise ValueError(f"unknown settings {extra}; known: {', '.join(sorted(known))}")
        return cls(**values)


PRETRAIN_PRESETS: dict[str, dict[str, Any]] = {
    # nanoGPT's README, "I only have a macbook": loss 1.88 after 2,000 steps. Of the seeds that were
    # tried (docs/logs) this is the best; they differ by 0.016.
    "shakespeare-char-cpu": {"eval_iters": 20, "eval_interval": 250, "seed": 3},
    # config/train_shakespeare_char.py: 1.4697 (an A100 needs three minutes; a CPU days)
    "shakespeare-char": {
        "max_iters": 5000, "batch_size": 64, "block_size": 256, "n_layer": 6, "n_head": 6,
        "n_embd": 384, "dropout": 0.2, "eval_iters": 200,
    },
    # config/train_gpt2.py's model and rates, with llm.c's batch
    "gpt2-124m": {
        "max_iters": 18865, "batch_size": 4, "gradient_accumulation_steps": 128,
        "block_size": 1024, "n_layer": 12, "n_head": 12, "n_embd": 768, "bias": True,
        "learning_rate": 6e-4, "min_lr": 0.0, "warmup_iters": 700, "beta2": 0.95,
        "tokenizer": "gpt2",
    },
}  # fmt: skip

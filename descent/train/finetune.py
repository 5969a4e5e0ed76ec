"""How a pretrained model is trained further: one table of defaults for Python, the command line and
`descent.compat.gpt_2_simple`.

    full   every weight learns                        last   only the last N blocks, the final norm
    lora   W + (α / r) · B A, only A and B learn      qlora  lora over a base held in 4-bit blocks

LoRA: Hu et al. 2021, arXiv:2106.09685. QLoRA: Dettmers et al. 2023, arXiv:2305.14314 (here with
Q4_0 blocks of 32, not NF4). Left out: prompt tuning, DoRA, several adapters at once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from descent.train.settings import TrainSettings

__all__ = ["METHODS", "FinetuneSettings"]

METHODS = ("full", "last", "lora", "qlora")
_RATES = {"full": 1e-4, "last": 2e-4, "lora": 5e-4, "qlora": 5e-4}


def _set(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class FinetuneSettings:
    """Everything that decides a fine-tuning: name, default, meaning. None: chosen from model, data.

    The flags of `descent finetune` and the table in docs/finetune.md are made from these fields.
    """

    method: str = _set("full", "full, last (the last blocks), lora, or qlora (over a 4-bit base)")
    steps: int | None = _set(None, "training steps (none: one epoch, at least 100, at most 1,000)")
    minutes: float | None = _set(None, "training time, instead of steps")
    epochs: float | None = _set(None, "passes over the data, instead of steps")
    batch_size: int = _set(4, "windows per batch")
    accumulate: int = _set(1, "batches per step; their gradients are averaged")
    block_size: int | None = _set(None, "tokens per window (none: 256, at most the context)")
    optimizer: str = _set("adamw", "adamw or sgd")
    learning_rate: float | None = _set(
        None, "peak rate (none: full 1e-4, last 2e-4, lora 5e-4; own small models: from theirs)"
    )
    schedule: str = _set("cosine", "cosine, linear, constant or wsd")
    warmup: float = _set(0.05, "share of the steps over which the rate rises")
    min_lr_ratio: float = _set(0.1, "where the rate ends, as a share of the peak")
    weight_decay: float = _set(0.01, "decay of matrices")
    beta1: float = _set(0.9, "AdamW's memory of gradients")
    beta2: float = _set(0.999, "AdamW's memory of their squares")
    clip: float | None = _set(1.0, "largest norm of all gradients together")
    last_layers: int = _set(2, "blocks that learn with method last")
    lora_r: int = _set(8, "rank of the adapters")
    lora_alpha: float = _set(16.0, "their scale, over the rank")
    lora_dropout: float = _set(0.0, "dropout before the adapters")
    lora_targets: tuple[str, ...] = _set((), "layers to adapt (none: c_attn; Llama q_proj,v_proj)")
    checkpointing: bool | None = _set(None, "compute blocks again, not keep them (none: if short)")
    val_fraction: float = _set(0.1, "share of the data held out")
    patience: int | None = _set(4, "stop after so many evaluations without a better held-out loss")
    eval_every: int | None = _set(None, "steps between evaluations (none: eight in a run)")
    eval_batches: int = _set(20, "batches of an evaluation (twice as many held-out ones)")
    save_every: int | None = _set(None, "steps between checkpoints (none: eight in a run)")
    keep: int = _set(1, "checkpoints that are kept")
    sample_every: int | None = _set(None, "steps between samples (none: every 20 seconds)")
    sample_num: int = _set(1, "samples shown before and after")
    sample_tokens: int = _set(60, "their length")
    sample_prompt: str | None = _set(None, "what samples begin with (none: held-out text)")
    temperature: float = _set(0.7, "of samples")
    pattern: str | None = _set(None, "which files of a folder to take, e.g. *.py (none: all known)")
    column: str | int | None = _set(None, "column of a table, by name or number (none: the first)")
    header: bool = _set(True, "a table's first row names its columns")
    field: str | None = _set(None, "field of JSON lines (none: text)")
    start_token: str | None = _set(None, "put before every document")
    end_token: str | None = _set(None, "put after every document (none: the tokenizer's own)")
    seed: int = _set(1337, "of adapters, split and batches")
    compile: bool | None = _set(None, "train in a compiled step (none: where it pays)")

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}: got {self.method!r}")
        for name in ("batch_size", "accumulate", "last_layers", "lora_r", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1: got {getattr(self, name)}")
        for name in ("steps", "minutes", "epochs", "block_size", "learning_rate", "lora_alpha",
                     "eval_every", "save_every", "sample_every"):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive: got {value}")
        if not 0 <= self.lora_dropout < 1:
            raise ValueError(f"lora_dropout must be in [0, 1): got {self.lora_dropout}")
        if not 0 <= self.val_fraction < 1:
            raise ValueError(f"val_fraction must be in [0, 1): got {self.val_fraction}")
        self.training(100, 1e-4)  # what is wrong with the rest shows here

    @property
    def adapts(self) -> bool:
        """Whether only adapters learn."""
        return self.method in ("lora", "qlora")

    def rate(self, own: float | None = None) -> float:
        """The peak learning rate; `own`: the one a small model was trained with."""
        if self.learning_rate is not None:
            return self.learning_rate
        if own is not None:
            return own if self.adapts else own / 3
        return _RATES[self.method]

    def training(self, steps: int, rate: float) -> TrainSettings:
        """The loop's settings for so many steps."""
        every = self.eval_every or max(10, steps // 8)
        return TrainSettings(
            max_steps=steps, batch_size=self.batch_size, accumulate=self.accumulate,
            optimizer=self.optimizer, learning_rate=rate, min_lr_ratio=self.min_lr_ratio,
            warmup_steps=round(self.warmup * steps), schedule=self.schedule,
            weight_decay=self.weight_decay, beta1=self.beta1, beta2=self.beta2, clip=self.clip,
            eval_every=every, eval_batches=self.eval_batches, save_every=self.save_every or every,
            keep=self.keep, patience=self.patience if self.val_fraction else None, seed=self.seed,
            compile=bool(self.compile),
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "lora_targets": list(self.lora_targets)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FinetuneSettings:
        """From given or saved values; unknown names are an error that lists them."""
        known = {f.name for f in fields(cls)}
        if extra := sorted(set(values) - known):
            raise ValueError(f"unknown settings {extra}; known: {', '.join(sorted(known))}")
        targets = values.get("lora_targets", ())
        return cls(**{**values, "lora_targets": tuple(targets)})

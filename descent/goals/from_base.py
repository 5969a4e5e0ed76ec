"""`descent up complete` on code: it begins with the completer in the package, not with noise.

    descent-code (trained for hours)  →  a minute on the user's own files  →  a run folder, served

What the user learns from is code and nothing says otherwise (`--scratch`, sizes, another model
type, a preset): then the base is taken up as `descent finetune` does. Without data, the code in the
current folder; where there is none, the base itself is what is served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from descent.data.discovery import find_files
from descent.goals.events import Ready, Said, Sampled
from descent.goals.finetune import FinetuneOptions, write_text
from descent.goals.finetune import up as finetune
from descent.goals.folder import RunFolder
from descent.goals.loading import load_model
from descent.hub.boxed import boxed
from descent.train.finetune import FinetuneSettings

if TYPE_CHECKING:
    from descent.goals.complete import CompleteOptions

__all__ = ["base_for", "up_from_base"]

ENOUGH_BYTES = 16_000  # of code in the current folder, to be worth a minute
BATCH, RATE, PROMPT = 16, 1e-3, "def __init__(self"


def base_for(options: CompleteOptions) -> Path | None:
    """The base model to begin with, or None: from scratch."""
    run = options.runs / options.name
    if (run / "config.json").is_file() and not options.fresh:
        goal = RunFolder.open(run).config.get("goal")
        return boxed("descent-code") if goal == "finetune" else None
    asked = options.model or options.infill or options.vocab_size != type(options).vocab_size
    asked = asked or options.type or options.preset or options.characters or options.scratch
    if asked or options.data == "installed":
        return None
    return boxed("descent-code") if options.data is None or _is_code(options.data) else None


def _is_code(data: str) -> bool:
    """Whether most of the files are Python's."""
    files = [path for _, path in find_files(data)]
    return 2 * sum(path.suffix in (".py", ".pyi") for path in files) > len(files)


def _code_here() -> str | None:
    """The current folder, when it holds enough Python code to learn from."""
    here, size = Path.cwd(), 0
    for _, path in find_files(here, pattern="*.py"):
        size += path.stat().st_size
        if size >= ENOUGH_BYTES:
            return str(here)
    return None


def up_from_base(
    options: CompleteOptions, base: Path, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Any]:
    """Show what the base writes, tune it, show the difference; `Ready` last."""
    model, tokenizer = load_model(RunFolder.open(base))
    said = write_text(
        model, tokenizer, PROMPT, FinetuneSettings(sample_tokens=40, temperature=0.3), seed=1
    )
    yield Said(
        f"Beginning with {base.name}, {sum(p.numel() for p in model.parameters()):,} parameters, "
        "which knows Python already (--scratch: begin with nothing)."
    )
    yield Sampled(0, PROMPT, said)
    resumed = (options.runs / options.name / "config.json").is_file() and not options.fresh
    data = options.data or (None if resumed else _code_here())
    if data is None and not resumed:
        yield Said(
            "There is hardly any Python code in this folder to learn from: the base is served as "
            "it is. Give it yours with --data FOLDER."
        )
        yield Ready(RunFolder.open(base), model, tokenizer)
        return
    training = {k: v for k, v in options.training.items() if v is not None}
    minutes = options.minutes or (None if options.steps or resumed else 1.0)
    own: dict[str, Any] = {
        "batch_size": BATCH, "learning_rate": RATE, "patience": None, "pattern": "*.py",
        "sample_prompt": PROMPT,
    }  # fmt: skip
    if resumed:
        own = {}
    settings = FinetuneSettings.from_dict(
        {**own, **training, "steps": options.steps, "minutes": minutes}
    )
    yield from finetune(
        FinetuneOptions(
            str(base), data, settings, options.name, options.runs, options.fresh,
            options.sample_every_s,
        ),
        should_stop,
    )  # fmt: skip

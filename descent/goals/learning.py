"""What every goal does once it has data and a model: take up the run, plan, train, show samples.

A run is planned in steps, so that a stopped and resumed run ends with the same bits as one that was
never stopped: the same request again first finishes the plan; a new one goes on from there.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import descent.random
from descent.goals.events import Planned, Said
from descent.goals.folder import RunError, RunFolder
from descent.models.building import build
from descent.train.loop import Stepped, Training
from descent.train.settings import TrainSettings

__all__ = [
    "build_model", "compiling_pays", "learn", "make_settings", "plan", "reopen", "start_over",
]  # fmt: skip

COMPILING_S = 8.0  # of a GPT's step, with nothing in the cache
EAGER_OPS_S, EAGER_RATE = 2e-3, 2e10  # an uncompiled step: its calls, and its products per second


def reopen(
    path: Path, goal: str, source: str | None, model: dict[str, Any], training: dict[str, Any]
) -> RunFolder | None:
    """The run that lies in `path`, or None when there is none yet.

    Args:
        source: what to learn from, where the user said so.
        model, training: the settings the user gave; None stands for "not given".

    Raises:
        RunError: the run is of another goal, or was begun with other data or settings.
    """
    if not (path / "config.json").is_file():
        return None
    run = RunFolder.open(path)
    if run.config.get("goal") != goal:
        raise RunError(f"{path} is a run of goal {run.config.get('goal')!r}; choose another --name")
    if not run.tokenizer.is_file():
        return None  # it failed before it had read its data (a mistyped --data): nothing to keep
    advice = "use another --name, or --fresh to start over"
    if source is not None and run.config.get("source") != source:
        found = run.config.get("source") or "the default data"
        raise RunError(f"{path} was trained on {found}, not on {source}; {advice}")
    if "model" not in run.config:
        return run
    about = run.config["model"]
    known = {**about["config"], "type": about.get("name")}
    for name, value in model.items():
        as_before = value in (None, known.get(name, value), about.get("asked", {}).get(name))
        if not as_before:
            raise RunError(f"{path} has {name} {known[name]}, not {value}; {advice}")
    for name, value in training.items():
        if name == "compile":  # may be asked for or not each time
            continue
        if value is not None and run.config["training"].get(name, value) != value:
            found = run.config["training"][name]
            raise RunError(f"{path} is trained with {name} {found}, not {value}; {advice}")
    return run


def start_over(path: Path, config: dict[str, Any]) -> RunFolder:
    """A new run in `path`; what an earlier one of that name had learned is removed."""
    run = RunFolder.create(path, config)
    for pattern in ("model.safetensors", "metrics.jsonl", "samples.txt", "checkpoints/step-*"):
        for old in run.path.glob(pattern):
            old.unlink()
    return run


def build_model(kind: str, config: dict[str, Any]) -> Any:
    """An untrained model; sizes that do not fit are a RunError."""
    try:
        return build(kind, config)
    except (ValueError, TypeError) as error:
        raise RunError(str(error)) from None


def make_settings(values: dict[str, Any]) -> TrainSettings:
    """Training settings; values that make no sense are a RunError."""
    try:
        return TrainSettings.from_dict(values)
    except (ValueError, TypeError) as error:
        raise RunError(str(error)) from None


def plan(
    run: RunFolder,
    training: Training,
    steps: int | None,
    minutes: float | None,
    compile: bool | None = None,
    every: int | None = None,
    save_every: int | None = None,
) -> Iterator[Said]:
    """How far to go: to the steps asked for, or as far as the minutes last. And how: compiled
    (`compile`), or as seems to pay (None). Evaluations and checkpoints come `every` so many steps
    (`save_every` for the latter); None: eight in all.

    A run that has not reached its plan finishes it when the request is the same or there is none,
    so it ends as it would have. Else the request counts from where the run is.
    """
    if (steps is not None and steps < 1) or (minutes is not None and not minutes > 0):
        raise RunError(f"steps and minutes must be positive: got steps={steps}, minutes={minutes}")
    planned, request = run.config.get("planned_steps", 0), {"steps": steps, "minutes": minutes}
    nothing_new = request in (run.config.get("request"), {"steps": None, "minutes": None})
    finishing = training.step < planned and nothing_new
    seconds = 60.0 * (minutes if minutes is not None else 1.0)
    if compile is None:
        compile = (
            training.settings.compile if finishing else compiling_pays(training, steps, seconds)
        )
    training.settings = replace(training.settings, compile=compile)
    if hasattr(training.batches, "one_shape"):
        training.batches.one_shape = compile  # pyright: ignore[reportAttributeAccessIssue]
    if compile:
        yield Said("Compiling the training step (the first time it takes seconds) …")
    if finishing:
        target = planned
    elif steps is not None:
        target = training.step + steps
    else:
        target = training.step + max(20, int(seconds / _seconds_per_step(training)))
    if target != planned:
        training.first_step = training.step
    span = target - training.first_step
    every = every or max(10, span // 8)
    training.settings = replace(
        training.settings, max_steps=target, eval_every=every, save_every=save_every or every
    )
    run.config.update(planned_steps=target, request=request, training=training.settings.to_dict())
    run.save_config()


def compiling_pays(training: Training, steps: int | None, seconds: float) -> bool:
    """Whether a run of so many steps (else seconds) is longer than it takes to compile its step.

    Counted, not timed: the same request makes the same decision, hence the same bits, every time.
    """
    if steps is None:
        return seconds > 1.5 * COMPILING_S
    before = training.batches.state()
    tokens = training.batches.next()[0].size
    training.batches.load_state(before)
    operations = 6 * tokens * sum(p.numel() for p in training.model.parameters())
    eager = training.settings.accumulate * (EAGER_OPS_S + operations / EAGER_RATE)
    return steps * eager > 1.5 * COMPILING_S


def _seconds_per_step(training: Training) -> float:
    """Time a few real steps, then put everything back as it was."""
    model, optimizer = training.model, training.optimizer
    learning = [p for p in model.parameters() if p.requires_grad]
    tensors = [(t, t.array.copy()) for t in [*learning, *model.buffers()]]
    moments, data = copy.deepcopy(optimizer.state_dict()), training.batches.state()
    step, generator = training.step, descent.random.get_rng_state()
    shapes = list(training.shapes)
    times: list[float] = []
    while (
        len(times) < 3
        or (len(times) < 6 and sum(times) < 10)  # a large model shows its speed at once
        or (sum(times[2:]) < 0.3 and len(times) < 100)
    ):
        times.append(training.one_step().seconds)
    for tensor, before in tensors:
        tensor.array[...] = before
    optimizer.load_state_dict(moments)
    training.batches.load_state(data)
    training.step, training.shapes[:] = step, shapes
    descent.random.set_rng_state(generator)
    return float(np.median(times[2:])) * 1.15  # evaluations and samples


def learn(
    run: RunFolder,
    training: Training,
    sample: Callable[[int], Any],
    every_s: float,
    nats_to_bits_per_byte: float | None,
    every_steps: int | None = None,
) -> Iterator[Any]:
    """Train as planned; yields `Planned`, the loop's events, and `sample(step)` now and then:
    after `every_s` seconds, or where given every so many steps."""
    parameters = sum(p.numel() for p in training.model.parameters())
    yield Planned(
        training.step, training.settings.max_steps, None, parameters, nats_to_bits_per_byte
    )
    last_sample = time.perf_counter()
    for event in training.run():
        yield event
        if not isinstance(event, Stepped):
            continue
        due = time.perf_counter() - last_sample > every_s
        if event.step % every_steps == 0 if every_steps else due:
            training.model.eval()
            try:
                yield sample(event.step)
            finally:
                training.model.train()
            last_sample = time.perf_counter()

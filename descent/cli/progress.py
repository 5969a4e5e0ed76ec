"""What a person sees while a goal works: a bar with speed, losses, time left; samples above it."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from descent.goals.events import (
    Compared,
    ItemsSampled,
    LossTable,
    Planned,
    Said,
    Sampled,
    SideBySide,
)
from descent.train.loop import Compiled, Evaluated, Finished, Saved, Stepped

__all__ = ["TrainingDisplay"]


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


class TrainingDisplay:
    """Shows events one by one; `with TrainingDisplay(console) as d: d.show(event)`."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("[bold]training"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total} steps"),
            TextColumn("{task.fields[speed]}"),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("val {task.fields[val]}"),
            TextColumn("{task.fields[left]} left"),
            console=console,
        )
        self.task: Any = None
        self.recent: deque[tuple[float, int]] = deque(maxlen=50)  # (finished at, tokens)
        self.loss = float("nan")
        self.unit: float | None = 1.0
        self.drawn = 0.0
        self.last_line = 0.0

    def __enter__(self) -> TrainingDisplay:
        return self

    def __exit__(self, *exc: object) -> None:
        self.progress.stop()

    def show(self, event: Any) -> None:
        """Print or update for one event; unknown events are ignored."""
        if isinstance(event, Said):
            self.console.print(escape(event.text), highlight=False)
        elif isinstance(event, Planned):
            self._begin(event)
        elif isinstance(event, Compiled):
            self._compiled(event)
        elif isinstance(event, Stepped):
            self._step(event)
        elif isinstance(event, Evaluated):
            self._evaluated(event)
        elif isinstance(event, Sampled):
            self.console.print(
                f"[dim]step {event.step} writes:[/] {escape(event.prompt)}"
                f"[green]{escape(event.text)}[/]",
                highlight=False,
            )
        elif isinstance(event, Finished):
            self._finished(event)
        elif isinstance(event, Compared):
            self._compared(event)
        elif isinstance(event, SideBySide):
            self._side_by_side(event)
        elif isinstance(event, LossTable):
            self._losses(event)
        elif isinstance(event, ItemsSampled):
            self._items(event)
        elif isinstance(event, Saved):
            pass  # the bar is enough; the path is printed at the end

    def _begin(self, plan: Planned) -> None:
        self.unit = plan.nats_to_bits_per_byte
        steps = plan.max_steps - plan.first_step
        self.console.print(
            f"Model: {plan.parameters:,} parameters. Training {steps:,} steps"
            + (f" from step {plan.first_step:,}." if plan.first_step else "."),
            highlight=False,
        )
        self.task = self.progress.add_task(
            "train", total=plan.max_steps, completed=plan.first_step,
            speed="", loss="…", val="…", left="?",
        )  # fmt: skip
        if self.console.is_terminal:
            self.progress.start()

    def _compiled(self, e: Compiled) -> None:
        said = f"The training step runs compiled (made in {e.seconds:.1f} s)."
        if e.why_not:
            said = f"The training step runs uncompiled, op by op: {e.why_not}."
        self.console.print(escape(said), highlight=False)

    def _step(self, e: Stepped) -> None:
        self.loss = e.loss if math.isnan(self.loss) else 0.9 * self.loss + 0.1 * e.loss
        now = time.perf_counter()
        self.recent.append((now, e.tokens))
        if now - self.drawn < 0.1 and e.step < (self.progress.tasks[0].total or 0):
            return  # small models make thousands of steps per second
        self.drawn = now
        span = now - self.recent[0][0]
        speed = sum(n for _, n in list(self.recent)[1:]) / span if span > 0 else 0.0
        left = float("nan")
        if span > 0 and len(self.recent) > 1:
            total = self.progress.tasks[0].total or e.step
            left = (total - e.step) * span / (len(self.recent) - 1)
        self.progress.update(
            self.task, completed=e.step, speed=f"{speed:,.0f} tokens/s",
            loss=self._loss(self.loss), left=_duration(left),
        )  # fmt: skip
        if not self.console.is_terminal and now - self.last_line > 10:
            self.last_line = now
            self.console.print(
                f"step {e.step}: loss {self._loss(self.loss)}, {speed:,.0f} tokens/s, "
                f"{_duration(left)} left",
                highlight=False,
            )

    def _loss(self, nats: float) -> str:
        if self.unit is None:
            return f"{nats:.4f} nats (perplexity {math.exp(min(nats, 700)):.2f})"
        return f"{nats:.3f} nats ({nats * self.unit:.3f} bits/byte)"

    def _evaluated(self, e: Evaluated) -> None:
        self.progress.update(self.task, val=self._loss(e.val_loss))
        self.console.print(
            f"step {e.step}: train {self._loss(e.train_loss)}, "
            f"held out {self._loss(e.val_loss)}{'  ← best' if e.best else ''}",
            highlight=False,
        )

    def _finished(self, e: Finished) -> None:
        self.progress.stop()
        why = {
            "done": "Training finished",
            "stopped": "Stopped as asked; the state is saved",
            "patience": "Stopped: the held-out loss no longer improves",
        }[e.reason]
        self.console.print(f"{why} at step {e.step:,}.", highlight=False)

    def _losses(self, e: LossTable) -> None:
        table = Table(e.unit, "train", "dev", "test", "dev perplexity", box=None, padding=(0, 2))
        for name, *losses in e.rows:
            table.add_row(name, *(f"{x:.4f}" for x in losses), f"{math.exp(losses[1]):.2f}")
        self.console.print(table)

    def _items(self, e: ItemsSampled) -> None:
        for found, where in ((e.in_train, "in train"), (e.in_test, "in test"), (e.new, "new")):
            self.console.print(
                f"{len(found)} samples that are {where}: [green]{escape(', '.join(found))}[/]",
                highlight=False,
            )

    def _compared(self, e: Compared) -> None:
        table = Table("on held-out text", "bits per byte", box=None, padding=(0, 2))
        table.add_row(e.baseline, f"{e.baseline_bits_per_byte:.3f}")
        table.add_row("this model", f"{e.model_bits_per_byte:.3f}")
        self.console.print(table)

    def _side_by_side(self, e: SideBySide) -> None:
        self.unit = e.nats_to_bits_per_byte
        text = "held-out text" if e.held_out else "the training text"
        table = Table("", "before", "after", box=None, padding=(0, 2), show_lines=True)
        table.add_row(f"loss on {text}", self._loss(e.loss_before), self._loss(e.loss_after))
        for before, after in zip(e.before, e.after):
            start = f"after {e.prompt!r}" if e.prompt else "it writes"
            table.add_row(escape(start), escape(before), f"[green]{escape(after)}[/]")
        self.console.print(table)

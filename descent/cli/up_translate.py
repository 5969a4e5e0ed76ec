"""`descent up translate`: train a translator on sentence pairs, or use one (`--say`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from descent.cli.up_command import Compile, Fresh, Minutes, Runs, Steps, Stopper, console

__all__ = ["translate"]


def translate(
    data: Annotated[
        str | None,
        typer.Option(help="Sentence pairs: a .tsv, a .jsonl, or two aligned files a.en,a.de"),
    ] = None,
    valid: Annotated[str | None, typer.Option(help="Pairs for validation (else held out).")] = None,
    test: Annotated[str | None, typer.Option(help="Pairs for the BLEU at the end.")] = None,
    minutes: Minutes = None,
    steps: Steps = None,
    name: Annotated[str, typer.Option("--name", help="Name of the run folder.")] = "translate",
    runs: Runs = Path("runs"),
    fresh: Fresh = False,
    say: Annotated[
        list[str] | None, typer.Option(help="Translate this with the trained run; no training.")
    ] = None,
    beam: Annotated[int, typer.Option(help="Hypotheses kept in the search; 1: greedy.")] = 4,
    alpha: Annotated[float, typer.Option(help="How far long translations are favoured.")] = 0.6,
    n_layer: Annotated[int | None, typer.Option(help="Layers of each side.")] = None,
    n_head: Annotated[int | None, typer.Option(help="Attention heads.")] = None,
    n_embd: Annotated[int | None, typer.Option(help="Width.")] = None,
    n_hidden: Annotated[int | None, typer.Option(help="Width of the feed-forward layers.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Share dropped while training.")] = None,
    block_size: Annotated[int | None, typer.Option(help="Longest sentence, in tokens.")] = None,
    vocab_size: Annotated[int, typer.Option(help="Byte pairs of both languages.")] = 4096,
    batch_tokens: Annotated[int, typer.Option(help="Tokens per step and side.")] = 1536,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    warmup_steps: Annotated[int | None, typer.Option(help="Steps up to the peak.")] = None,
    every: Annotated[int | None, typer.Option(help="Steps between evaluations.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and batches.")] = None,
    compile: Compile = None,
) -> None:
    """A translator from sentence pairs: the 2017 Transformer, beside word-for-word counts."""
    from descent.goals.folder import RunFolder
    from descent.goals.translate import TranslateOptions, load_translator, up

    if say:
        translator = load_translator(RunFolder.open(runs / name))
        translator.beam, translator.alpha = beam, alpha
        for text in translator(say):
            print(text)
        return
    model = dict(
        n_layer=n_layer, n_head=n_head, n_embd=n_embd, n_hidden=n_hidden, dropout=dropout,
        block_size=block_size,
    )  # fmt: skip
    training = dict(
        learning_rate=learning_rate, warmup_steps=warmup_steps, seed=seed, compile=compile
    )
    options = TranslateOptions(
        data=data, valid=valid, test=test, minutes=minutes, steps=steps, name=name, runs=runs,
        fresh=fresh, vocab_size=vocab_size, batch_tokens=batch_tokens, beam=beam, alpha=alpha,
        every=every,
        model={k: v for k, v in model.items() if v is not None},
        training={k: v for k, v in training.items() if v is not None},
    )  # fmt: skip
    from descent.cli.progress import TrainingDisplay  # late: it brings the training loop

    with Stopper() as stopper, TrainingDisplay(console) as display:
        for event in up(options, should_stop=lambda: stopper.asked):
            display.show(event)
    place = runs / name
    console.print(f"The run is in [bold]{escape(str(place))}[/].", highlight=False)
    if stopper.asked:
        console.print("Run the same command again to go on.", highlight=False)
    else:
        use = f'descent up translate --runs {runs} --name {name} --say "…"'
        console.print(f"Use it: {use}", highlight=False, markup=False, soft_wrap=True)

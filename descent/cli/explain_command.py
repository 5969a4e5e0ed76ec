"""`descent explain MODEL --prompt TEXT`: from a prediction down to one multiplication."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `explain` to the command line."""
    app.command("explain")(explain)


def explain(
    model: Annotated[
        str, typer.Argument(help="Run folder, model folder or file, or a name (`descent models`).")
    ],
    prompt: Annotated[str, typer.Option(help="Text whose continuation is explained.")],
    op: Annotated[int | None, typer.Option(help="Number of the op to open.")] = None,
    element: Annotated[
        str | None, typer.Option(help="Index of the element to expand, e.g. 0,3,17.")
    ] = None,
    token: Annotated[str | None, typer.Option(help="The next token to explain.")] = None,
    top: Annotated[int, typer.Option(help="How many terms and tokens to show.")] = 8,
) -> None:
    """Open the floors below the next token: distribution, layers, op, element, scalars."""
    from descent.goals.opening import open_model
    from descent.view.floors import Explanation
    from descent.view.text import write

    opened = open_model(model, pack=False)
    assert opened.build is not None  # without packing, what cannot be explained is refused
    explanation = Explanation(opened.completer, opened.build(), prompt, token=token)
    index = None if element is None else _index(element)
    write(explanation, Console().print, op=op, index=index, top=top)


def _index(text: str) -> tuple[int, ...]:
    from descent.view.errors import QuestionError

    try:
        return tuple(int(i) for i in text.split(","))
    except ValueError:
        raise QuestionError(f"--element {text}: write the indices as 0,3,17") from None

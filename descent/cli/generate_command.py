"""`descent generate MODEL`: texts from a run, a model file or a name; to the screen or a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["generate", "register"]

_BATCH = 256  # completions computed together: their number is not limited, their memory is


def register(app: typer.Typer) -> None:
    """Add `generate` to the command line."""
    app.command("generate")(generate)


def generate(
    model: Annotated[
        str, typer.Argument(help="Run folder, model folder or file, or a name (`descent models`).")
    ],
    prompt: Annotated[
        list[str] | None, typer.Option(help="Text to continue; may be given often; - reads stdin.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="A file of prompts: a line each, or JSONL with a prompt.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A file that is one prompt.")] = None,
    n: Annotated[int, typer.Option("--n", "-n", help="Texts for each prompt.", min=1)] = 1,
    max_tokens: Annotated[int, typer.Option(help="Tokens of a text at most.", min=0)] = 128,
    min_tokens: Annotated[int, typer.Option(help="Tokens before it may end.", min=0)] = 0,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token.")] = 0.7,
    top_k: Annotated[int, typer.Option(help="Draw from the k likeliest; 0: all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest that hold p.")] = 1.0,
    min_p: Annotated[float, typer.Option(help="… at least p times as likely as the best.")] = 0.0,
    typical_p: Annotated[float, typer.Option(help="… of typical information that hold p.")] = 1.0,
    repetition_penalty: Annotated[float, typer.Option(help="Above 1: say less again.")] = 1.0,
    no_repeat_ngram_size: Annotated[int, typer.Option(help="No n tokens twice.")] = 0,
    beams: Annotated[int, typer.Option(help="Search with so many beams instead.")] = 1,
    seed: Annotated[int | None, typer.Option(help="The same texts again.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="End before this text.")] = None,
    truncate: Annotated[
        str | None, typer.Option(help="As --stop; gpt-2-simple's name for it.")
    ] = None,
    include_prefix: Annotated[
        bool | None, typer.Option(help="Print the prompt too (default: on the screen).")
    ] = None,
    regex: Annotated[str | None, typer.Option(help="The whole text matches this.")] = None,
    choice: Annotated[list[str] | None, typer.Option(help="The text is one of these.")] = None,
    json_schema: Annotated[Path | None, typer.Option(help="A file: JSON of this schema.")] = None,
    json_object: Annotated[bool, typer.Option("--json", help="The text is a JSON object.")] = False,
    speculate: Annotated[int, typer.Option(help="Guess so many tokens from repetitions.")] = 0,
    width: Annotated[str | None, typer.Option(help="float32, bf16, int8 or int4.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write to this file, whole.")] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="text or jsonl.")] = "text",
    delimiter: Annotated[str, typer.Option(help="Stands between texts.")] = "=" * 20,
    stream: Annotated[
        bool | None, typer.Option(help="Print as it is written (default: on a screen).")
    ] = None,
) -> None:
    """Continue texts."""
    from descent.data.errors import DataError
    from descent.generate.sampling import Sampling
    from descent.goals.opening import open_model

    if output not in ("text", "jsonl"):
        raise DataError(f"--output {output}: use text or jsonl")
    asked = _prompts(prompt, prompts, file)
    ends = [*(stop or ()), *([] if truncate is None else [truncate])]
    schema = None if json_schema is None else json_schema.read_text(encoding="utf-8")
    try:
        sampling = Sampling(
            max_tokens=max_tokens, min_tokens=min_tokens, temperature=temperature, top_k=top_k,
            top_p=top_p, min_p=min_p, typical_p=typical_p, seed=seed, stop=tuple(ends), n=n,
            repetition_penalty=repetition_penalty, no_repeat_ngram_size=no_repeat_ngram_size,
            beams=beams, regex=regex, choice=tuple(choice or ()), json_schema=schema,
            json_object=json_object, speculate=speculate,
        )  # fmt: skip
        completer = open_model(model, width=width).completer
        completer.check(sampling)
        with_prefix = include_prefix if include_prefix is not None else out is None
        single = len(asked) * n == 1 and out is None and output == "text" and beams == 1
        if single and (sys.stdout.isatty() if stream is None else stream):
            _print_stream(completer, asked[0], sampling, with_prefix)
        else:
            texts = _texts(completer, asked, sampling)
            _put(_written(texts, output, with_prefix, delimiter), out)
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(str(error)) from error


def _prompts(prompt: list[str] | None, prompts: Path | None, file: Path | None) -> list[str]:
    """All prompts asked for, in order; one empty text if there is none."""
    from descent.data.errors import DataError

    asked = [sys.stdin.read() if text == "-" else text for text in prompt or ()]
    try:
        if file is not None:
            asked.append(file.read_text(encoding="utf-8"))
        if prompts is not None:
            lines = prompts.read_text(encoding="utf-8").splitlines()
            asked += [_line(line, prompts, i) for i, line in enumerate(lines, start=1) if line]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"can't read the prompts: {error}") from None
    return asked or [""]


def _line(line: str, path: Path, number: int) -> str:
    from descent.data.errors import DataError

    if path.suffix != ".jsonl":
        return line
    try:
        value = json.loads(line)
        text = value["prompt"] if isinstance(value, dict) else value
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}, line {number}: not JSON with a prompt ({error})") from None
    if not isinstance(text, str):
        raise DataError(f"{path}, line {number}: a prompt is a text, not {type(text).__name__}")
    return text


def _texts(completer: Any, prompts: list[str], sampling: Any) -> Iterator[tuple[str, Any]]:
    """(prompt, Completion), some hundred at a time."""
    at_once = max(_BATCH // max(sampling.n, 1), 1)
    for start in range(0, len(prompts), at_once):
        some = prompts[start : start + at_once]
        for prompt, made in zip(some, completer.generate(some, sampling)):
            for completion in made:
                yield prompt, completion


def _written(
    texts: Iterator[tuple[str, Any]], output: str, with_prefix: bool, delimiter: str
) -> Iterator[str]:
    for number, (prompt, made) in enumerate(texts):
        text = prompt + made.text if with_prefix else made.text
        if output == "jsonl":
            record = {"prompt": prompt, "text": text, "finish_reason": made.finish_reason}
            yield json.dumps(record | {"tokens": len(made.ids)}, ensure_ascii=False)
        else:
            if number and delimiter:
                yield delimiter
            yield text


def _print_stream(completer: Any, prompt: str, sampling: Any, with_prefix: bool) -> None:
    ready = completer.fit(completer.encode(prompt), sampling.max_tokens, keep=-1)
    if with_prefix:
        print(prompt, end="", flush=True)
    for step in completer.stream(ready, sampling):
        print(step.text, end="", flush=True)
    print()


def _put(parts: Iterator[str], path: Path | None) -> None:
    """To the screen as they come, or to a file, whole."""
    from descent.data.files import write_atomically

    if path is None:
        for part in parts:
            print(part, flush=True)
        return
    write_atomically(path, "".join(part + "\n" for part in parts))
    print(f"Wrote {path}", file=sys.stderr)

"""`descent predict`, `submit`, `jobs`, `logs`: ask what is deployed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from descent.cli.deploy_common import ApiName, Env, Output, client_of, console, show

__all__ = ["register"]

Value = Annotated[
    str | None,
    typer.Argument(help="JSON, @file (JSON or, unless it ends in .json, as it is), or - (stdin)."),
]


def register(app: typer.Typer) -> None:
    """Add the commands that ask."""
    for name, command in {
        "predict": predict, "submit": submit, "jobs": jobs, "logs": logs,
    }.items():  # fmt: skip
        app.command(name)(command)


def predict(
    api: ApiName,
    value: Value = None,
    path: Annotated[str, typer.Option(help="A path below the API.")] = "",
    stream: Annotated[bool, typer.Option(help="Print what comes as it comes.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the answer here.")] = None,
    env: Env = None,
) -> None:
    """Ask a RealtimeAPI and print its answer."""
    with client_of(env) as node:
        endpoint = _endpoint(node, api)
        if stream:
            for part in node.stream(endpoint, _value(value), path=path):
                _print(part)
            return
        answer = node.predict(endpoint, _value(value), path=path)
        if out is not None:
            data = answer if isinstance(answer, bytes) else _text(answer).encode()
            out.write_bytes(data)
        else:
            _print(answer)


def _endpoint(node: Any, api: str) -> str:
    """The API's path: its name unless its spec says otherwise."""
    if api.startswith("/"):
        return api
    return node.get_api(api)["endpoint"] or f"/{api}"


def submit(
    api: ApiName,
    value: Value = None,
    wait: Annotated[bool, typer.Option(help="Wait for the end, print the result.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Show progress until the end.")] = False,
    key: Annotated[str | None, typer.Option(help="Idempotency key.")] = None,
    dry_run: Annotated[bool, typer.Option(help="BatchAPI: list the files instead.")] = False,
    env: Env = None,
) -> None:
    """Give work to an AsyncAPI, BatchAPI or TaskAPI."""
    with client_of(env) as node:
        sent = {} if value is None else _value(value)
        answer = node.submit(_endpoint(node, api), sent, idempotency_key=key, dry_run=dry_run)
        if dry_run or not (wait or follow):
            _print(answer)
            return
        job = answer.get("job_id") or answer["id"]
        console.print(f"job {job}", style="dim")
        state = _followed(node, api, job) if follow else node.wait(api, job)
        _print(state.get("result", state))
        if state["status"] not in ("completed", "succeeded"):
            raise typer.Exit(1)


def _followed(node: Any, api: str, job: str) -> dict[str, Any]:
    import time

    said = ""
    while True:
        state = node.get_job(api, job)
        text = state["status"] + _progress(state)
        if text != said:
            console.print(text, style="dim")
            said = text
        if state["ended"]:
            return state
        time.sleep(0.5)


def _progress(state: dict[str, Any]) -> str:
    counts = state.get("metrics", state)
    total = counts.get("total") or state.get("total")
    said = f"  {counts.get('succeeded', 0)}/{total}" if total else ""
    return said + (f", {counts['failed']} failed" if counts.get("failed") else "")


def jobs(
    api: ApiName,
    job: Annotated[str | None, typer.Argument(help="One of them.")] = None,
    status: Annotated[str | None, typer.Option(help="Only those with this status.")] = None,
    env: Env = None,
    output: Output = "pretty",
) -> None:
    """List an API's jobs, or show one."""
    from descent.cli.deploy_tables import jobs_table

    with client_of(env) as node:
        if job is not None:
            show(node.get_job(api, job), output, lambda found: jobs_table([found]))
        else:
            query = {} if status is None else {"status": status}
            show(node.jobs(api, **query), output, jobs_table)


def logs(
    api: ApiName,
    job: Annotated[str | None, typer.Argument(help="A job of it.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last.")] = 100,
    version: Annotated[int | None, typer.Option(help="Of this version; the live one.")] = None,
    env: Env = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accepted; nothing is asked.")] = False,
    random_pod: Annotated[
        bool, typer.Option("--random-pod", help="Accepted; lines of all replicas come together.")
    ] = False,
    output: Output = "pretty",
) -> None:
    """Print an API's log; a new version's goes on where the old one's ends."""
    del yes, random_pod
    with client_of(env) as node:
        for entry in node.logs(api, lines=lines, follow=follow, version=version, job=job):
            if output == "json":
                print(json.dumps(entry, ensure_ascii=False), flush=True)
            else:
                _print_line(entry)


def _print_line(entry: dict[str, Any]) -> None:
    moment = str(entry.get("time", ""))[11:23]
    known = ("time", "level", "api", "version", "message", "traceback")
    rest = "  ".join(f"{k}={v}" for k, v in entry.items() if k not in known)
    style = {"error": "red", "warning": "yellow"}.get(str(entry.get("level")), None)
    said = f"{moment} v{entry.get('version', '')} {entry.get('message', '')}"
    console.print(f"{said}  {rest}".rstrip(), style=style, markup=False, soft_wrap=True)
    if entry.get("traceback"):
        console.print(str(entry["traceback"]).rstrip(), style="dim", markup=False, soft_wrap=True)


def _value(text: str | None) -> Any:
    from descent.deploy.errors import DeployError

    if text is None:
        return None
    if text == "-":
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        file = Path(text[1:])
        if not file.is_file():
            raise DeployError(f"there is no file {file}")
        data = file.read_bytes()
        return json.loads(data) if file.suffix == ".json" else data
    try:
        return json.loads(text)
    except ValueError as error:
        shown = json.dumps(text)
        raise DeployError(
            f"{text!r} is not JSON ({error}); a text is written '{shown}', a file @name"
        ) from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print(value: Any) -> None:
    if isinstance(value, bytes):
        sys.stdout.buffer.write(value)
        sys.stdout.buffer.flush()
    else:
        print(_text(value), flush=True)

"""The process of a task that is Python code: opens the service, calls it with the job's config.

    python -m descent.deploy.jobs.task_child sorter.py:Sorter FOLDER-OF-THE-CODE
$CORTEX_JOB_SPEC names job.json (Cortex' /cortex/spec/job.json); result.json or failure.json are
written beside it. The function, or the service's `predict`, gets the job's config; one without
parameters gets nothing. `CONFIG` of the spec comes in $DESCENT_TASK_CONFIG.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from descent.data.files import write_atomically
from descent.deploy.pool import LoadError
from descent.deploy.service.opening import open_target

__all__ = ["main"]


def main(target: str, folder: str) -> int:
    """Run; 0, or 1 when the code failed."""
    job_file = Path(os.environ["CORTEX_JOB_SPEC"])
    job = json.loads(job_file.read_text())
    try:
        config = json.loads(os.environ.get("DESCENT_TASK_CONFIG", "{}"))
        result = _called(target, folder, config, job.get("config") or {})
        text = json.dumps(result, ensure_ascii=False, default=_plain)
    except MemoryError as error:
        _fail(job_file, f"MemoryError: {error}".rstrip(": "), oom=True)
        return 1
    except LoadError as error:
        _fail(job_file, str(error))
        return 1
    except Exception as error:
        traceback.print_exc()
        _fail(job_file, f"{type(error).__name__}: {error}")
        return 1
    write_atomically(job_file.with_name("result.json"), text.encode("utf-8", "backslashreplace"))
    return 0


def _called(target: str, folder: str, config: dict[str, Any], job_config: dict[str, Any]) -> Any:
    service = open_target(target, config, folder=Path(folder))
    if callable(load := getattr(service, "load", None)):
        _value(load())
    predict = service.predict
    takes = inspect.signature(predict).parameters.values()
    result = _value(predict(job_config) if takes else predict())
    if callable(unload := getattr(service, "unload", None)):
        _value(unload())
    return result


def _value(result: Any) -> Any:
    """What an `async def` or a generator comes to."""
    if inspect.isawaitable(result):
        return asyncio.run(_awaited(result))
    if inspect.isgenerator(result):
        return list(result)
    if inspect.isasyncgen(result):
        return asyncio.run(_collected(result))
    return result


async def _awaited(result: Any) -> Any:
    return await result


async def _collected(result: Any) -> list[Any]:
    return [item async for item in result]


def _plain(value: Any) -> Any:
    if callable(item := getattr(value, "tolist", None)):  # NumPy's and PyTorch's
        return item()
    raise TypeError(f"the result holds a {type(value).__name__}, which is no JSON")


def _fail(job_file: Path, error: str, *, oom: bool = False) -> None:
    print(error, file=sys.stderr)
    write_atomically(job_file.with_name("failure.json"), json.dumps({"error": error, "oom": oom}))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:3]))

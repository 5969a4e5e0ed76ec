"""How a text model's API is described: OpenAI's paths, made true, and the short form above them.

FastAPI writes the description of `descent.serve`; what it cannot know is added: errors are 400 with
OpenAI's body, `stream: true` answers with events, `/metrics` is text.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from descent.deploy.service.signature import Signature, of_app

__all__ = ["signature_of"]

_JSON = "application/json"


def signature_of(app: Any, completer: Any) -> Signature:
    """OpenAI's completion for the API's own path, and all the paths below it."""
    prompt = completer.info.get("prompt", "Once upon a time")
    tokens = completer.info.get("page", {}).get("max_tokens", 24)
    made = of_app(
        app,
        main="/v1/completions",
        examples=[{"prompt": prompt, "max_tokens": tokens}],
        summary=f"{completer.name}: continues a text (OpenAI's completions).",
    )
    paths = _honest(made.paths)
    whole = copy.deepcopy(paths["/v1/completions"]["post"])
    whole |= {"operationId": "short", "summary": made.summary}
    paths["/"] = {"post": whole}
    return replace(made, output_schema=_COMPLETION, paths=paths, public=("/", "/static/"))


def _honest(paths: dict[str, Any]) -> dict[str, Any]:
    refused = {
        "description": "What is wrong, with the field at fault",
        "content": {_JSON: {"schema": _ERROR}},
    }
    made = copy.deepcopy(paths)
    for path, operations in made.items():
        for operation in operations.values():
            responses = operation["responses"]
            responses.pop("422", None)
            responses |= {"4XX": refused, "5XX": refused}
            content = responses.get("200", {}).get("content", {})
            if path in ("/v1/completions", "/v1/chat/completions"):
                content["text/event-stream"] = {"schema": _EVENT}
            if path == "/v1/completions":
                content[_JSON] = {"schema": _COMPLETION}
            if path == "/metrics":
                responses["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return made


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required.split()}


_ERROR = _object(
    "error",
    error=_object(
        "message type",
        message={"type": "string"},
        type={"type": "string"},
        param={"type": ["string", "null"]},
        code={"type": ["string", "null"]},
    ),
)
_COUNT = {"type": "integer"}
_COMPLETION = {"title": "Completion"} | _object(
    "id object created model choices",
    id={"type": "string"},
    object={"const": "text_completion"},
    created=_COUNT,
    model={"type": "string"},
    choices={
        "type": "array",
        "items": {"title": "Choice"}
        | _object(
            "index text finish_reason",
            index=_COUNT,
            text={"type": "string"},
            finish_reason={"type": ["string", "null"]},
            logprobs={"type": ["object", "null"]},
        ),
    },
    usage={"title": "Usage"}
    | _object(
        "prompt_tokens completion_tokens total_tokens",
        prompt_tokens=_COUNT,
        completion_tokens=_COUNT,
        total_tokens=_COUNT,
    ),
)
_EVENT = {"title": "Event"} | _object("data", data={"type": "string"}, event={"type": "string"})

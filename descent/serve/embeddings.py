"""`POST /v1/embeddings`: texts to vectors of length 1, as numbers or base64.

Reference: OpenAI API, "Create embeddings". Beyond it: `pooling` ("mean", "last") and `normalize`.
`dimensions` keeps the first so many and normalises again, as OpenAI does. Left out: int8 and binary
encodings.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from descent.generate.completer import Completer
from descent.generate.embedding import pooled
from descent.serve.contract import Texts, prompt_of, prompts_of
from descent.serve.errors import ApiError
from descent.serve.planning import encoded, note_unknown
from descent.serve.service import Service

__all__ = ["router"]

router = APIRouter()


class EmbeddingRequest(BaseModel):
    model_config = ConfigDict(extra="allow")

    model: str | None = None
    input: Annotated[Texts, BeforeValidator(lambda value: prompt_of(value, "input"))]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1)
    pooling: Literal["mean", "last"] = "mean"
    normalize: bool = True
    truncate_prompt_tokens: int | None = Field(default=None, ge=-1)
    user: str | None = None


@router.post("/v1/embeddings")
async def embeddings(request: Request, body: EmbeddingRequest) -> dict[str, Any]:
    """Vectors of texts."""
    service: Service = request.app.state.service
    if service.draining:
        raise ApiError(503, "The server is shutting down.", code="draining", retry_after_s=5)
    completer = service.completer(body.model)
    note_unknown(body)
    if completer.embed is None:
        raise ApiError(400, f"{completer.name} makes no embeddings.", param="model")
    async with request.app.state.embedding_turn:  # one at a time: each keeps all cores busy
        data, tokens = [], 0
        for index, text in enumerate(prompts_of(body.input)):
            vector, n = await asyncio.to_thread(_vector, completer, text, body)
            tokens += n
            made = _written(vector, body.encoding_format)
            data.append({"object": "embedding", "index": index, "embedding": made})
    service.metrics.prompt_tokens.labels(completer.name).inc(tokens)
    return {
        "object": "list",
        "data": data,
        "model": completer.name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _vector(
    completer: Completer, text: str | Sequence[int], body: EmbeddingRequest
) -> tuple[np.ndarray, int]:
    if not text:
        raise ApiError(400, "input holds an empty text.", param="input")
    prompt = encoded(completer, text, param="input")
    context, keep = completer.model.context, body.truncate_prompt_tokens
    ids = list(prompt.ids)
    if keep is not None:
        ids = ids[: (context or len(ids)) if keep < 0 else prompt.hidden + keep]
    if context is not None and len(ids) > context:
        raise ApiError(
            400,
            f"{completer.name} has a context of {context} tokens, and a text of input has "
            f"{len(ids)}; shorten it, or set truncate_prompt_tokens to -1",
            param="input",
            code="context_length_exceeded",
        )
    assert completer.embed is not None
    hidden = completer.embed(ids)
    if body.dimensions is not None and body.dimensions > hidden.shape[1]:
        raise ApiError(
            400,
            f"dimensions is {body.dimensions}; {completer.name}'s vectors have {hidden.shape[1]}.",
            param="dimensions",
        )
    vector = pooled(hidden, how=body.pooling, dimensions=body.dimensions, normalise=body.normalize)
    return vector, len(ids) - prompt.hidden


def _written(vector: np.ndarray, encoding: str) -> str | list[float]:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return vector.tolist()

"""From a request to a `Plan`: which model, which prompts as ids, which settings; all checked.

Everything that can be refused is refused here, before the request stands in line, with the field at
fault. Runs in a thread: long prompts take a while to encode.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from descent.data.infill import infill_ids, infill_tokens, named_tokens
from descent.generate.completer import Completer, Prompt, PromptError
from descent.generate.sampling import Sampling
from descent.serve.contract import CompletionRequest
from descent.serve.errors import ApiError
from descent.serve.service import Plan, Service
from descent.serve.settings import GenerationRequest
from descent.serve.structured import constraint_field

__all__ = [
    "encoded",
    "infill_ends",
    "infill_prompt",
    "note_unknown",
    "plan_completion",
    "plan_of",
    "settings_of",
]

log = logging.getLogger("descent.serve")

# What ends a filled-in middle besides the model's own end, where a tokenizer has it.
_INFILL_ENDS = (
    "<|endoftext|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<|file_separator|>", "<EOT>",
    "▁<EOT>", "<|eot_id|>", "<fim_pad>", "<file_sep>", "</s>", "<｜end▁of▁sentence｜>",
)  # fmt: skip


def plan_completion(service: Service, request: CompletionRequest) -> Plan:
    """The plan of a `/v1/completions` request; `ApiError` names the field at fault."""
    completer = service.completer(request.model)
    note_unknown(request)
    more: dict[str, Any] = {"logprobs": request.logprobs}
    if request.prompt_logprobs is not None:
        more["prompt_logprobs"] = request.prompt_logprobs
    best_of = request.best_of or request.n or 1
    if best_of > (request.n or 1) and request.logprobs is None:
        more["logprobs"] = 0  # needed to tell which is best
    if request.suffix:
        more |= infill_ends(completer, request)
    sampling = settings_of(service, completer, request, **more)
    begin = request.add_special_tokens is not False
    prompts = [
        infill_prompt(completer, prompt, request.suffix)
        if request.suffix
        else encoded(completer, prompt, begin=begin)
        for prompt in request.prompts
    ]
    return plan_of(
        service, completer, request, prompts, sampling, best_of=best_of, echo=bool(request.echo)
    )


def plan_of(
    service: Service,
    completer: Completer,
    request: GenerationRequest,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    *,
    best_of: int,
    echo: bool = False,
) -> Plan:
    """Check the sizes and make the plan."""
    if best_of * len(prompts) > service.limits.max_choices:
        raise ApiError(
            400,
            f"{len(prompts)} prompts times {best_of} completions are more than the "
            f"{service.limits.max_choices} of one request.",
            param="n" if best_of > 1 else "prompt",
        )
    keep = request.truncate_prompt_tokens
    try:
        fit = [completer.fit(prompt, sampling.max_tokens, keep) for prompt in prompts]
    except PromptError as error:
        raise _refused(error) from error
    return Plan(completer, fit, sampling, request.n or 1, best_of, echo)


def encoded(
    completer: Completer,
    prompt: str | Sequence[int],
    *,
    begin: bool = True,
    param: str | None = None,
) -> Prompt:
    """`Completer.encode`, its refusal as an `ApiError` (about the field `param`)."""
    try:
        return completer.encode(prompt, begin=begin, special=True)
    except PromptError as error:
        raise _refused(error, param) from error


def _refused(error: PromptError, param: str | None = None) -> ApiError:
    return ApiError(400, str(error), param=param or error.param, code=error.code)


def settings_of(
    service: Service, completer: Completer, request: GenerationRequest, **more: Any
) -> Sampling:
    """The request's settings, within the service's limits and the model's vocabulary."""
    wanted = more.get("max_tokens", request.max_tokens)
    if wanted is not None and wanted > service.limits.max_tokens:
        raise ApiError(
            400,
            f"max_tokens is {wanted}; at most {service.limits.max_tokens} are made.",
            param="max_tokens",
        )
    size = completer.model.vocab_size
    for field in ("logit_bias", "allowed_token_ids", "stop_token_ids"):
        for id in getattr(request, field) or ():
            if not 0 <= id < size:
                raise ApiError(
                    400, f"{field} names token {id}; the vocabulary is 0…{size - 1}.", param=field
                )
    try:
        sampling = request.sampling(completer.defaults, **more)
    except ValueError as error:
        words = str(error).split()
        param = words[0] if words and words[0] in type(request).model_fields else None
        raise ApiError(400, f"{error}.", param=param) from error
    try:
        completer.check(sampling)
    except PromptError as error:
        raise _refused(error, constraint_field(request)) from error
    except RecursionError:
        field = constraint_field(request)
        raise ApiError(
            400, f"{field}: it is too deeply nested, or has too many parts.", param=field
        ) from None
    return sampling


def infill_prompt(completer: Completer, prefix: str | Sequence[int], suffix: str) -> Prompt:
    """The ids after which the model writes what belongs between `prefix` and `suffix`."""
    tokenizer: Any = completer.tokenizer
    if infill_tokens(tokenizer) is None:
        raise ApiError(
            400,
            f"suffix is not supported: {completer.name} was not trained to fill the middle "
            "(its tokenizer has no fill-in-the-middle tokens).",
            param="suffix",
        )
    if not isinstance(prefix, str):
        raise ApiError(400, "With suffix, prompt must be a text, not token ids.", param="prompt")
    ids = tuple(infill_ids(tokenizer, prefix, suffix))
    begin = () if completer.bos_id is None else (completer.bos_id,)
    return Prompt(begin + ids, len(begin))


def infill_ends(completer: Completer, request: GenerationRequest) -> dict[str, Any]:
    """The setting that ends a middle: at any token that begins something else."""
    known = named_tokens(completer.tokenizer)
    ends = {known[name] for name in _INFILL_ENDS if name in known}
    ends |= set(infill_tokens(completer.tokenizer) or ())
    return {"stop_token_ids": tuple(sorted({*ends, *(request.stop_token_ids or ())}))}


def note_unknown(request: BaseModel) -> None:
    """Unknown fields are allowed, and logged so that a misspelt one can be found."""
    unknown = sorted(request.model_extra or {})
    if unknown:
        log.warning("ignored unknown fields of the request: %s", ", ".join(unknown)[:500])

"""Errors as OpenAI words them: `{"error": {"message", "type", "param", "code"}}` and a status.

Reference: the official client maps 400, 401, 403, 404, 409, 422, 429 and ≥ 500 to exceptions of
their own; 422 is never sent, since OpenAI answers a malformed body with 400.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["ApiError", "error_body", "from_status", "from_validation"]

_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    421: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "service_unavailable_error",
    504: "timeout_error",
}


class ApiError(Exception):
    """Answered as `status` with an OpenAI error body; `param` names the field at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s

    @property
    def body(self) -> dict[str, Any]:
        return error_body(self.status, self.message, param=self.param, code=self.code)

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


def error_body(
    status: int, message: str, *, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """The JSON object OpenAI clients expect."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def from_validation(errors: Sequence[Any]) -> ApiError:
    """The first of pydantic's errors as one sentence that names the field."""
    first = errors[0]
    where = [str(part) for part in first["loc"] if part != "body"]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", first["msg"])
        return ApiError(400, f"The body is not valid JSON: {reason} (at character {where[-1]}).")
    if not where and first["type"] in ("missing", "model_attributes_type"):
        return ApiError(
            400, "Send a JSON object as the body, with the header 'Content-Type: application/json'."
        )
    message = str(first["msg"]).removeprefix("Value error, ")
    param = where[0] if where else None
    name = ".".join(where)
    said = not name or message.startswith(name)
    return ApiError(400, message if said else f"{name}: {message}", param=param)


def from_status(status: int, detail: str, path: str, method: str) -> ApiError:
    """Errors the framework itself raises: unknown path, wrong method."""
    if status == 404:
        return ApiError(404, f"There is nothing at {path}; see /v1/models and /.", code="not_found")
    if status == 405:
        return ApiError(405, f"{path} does not answer {method}.", code="method_not_allowed")
    return ApiError(status, detail)

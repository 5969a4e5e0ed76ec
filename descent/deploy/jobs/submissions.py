"""What may be posted to a BatchAPI or TaskAPI: Cortex' fields, each error naming field and limit.

    {"workers": 2, "item_list": {"items": [1, 2, 3], "batch_size": 2}, "config": {}, "timeout": 60}
Exactly one of `item_list`, `file_path_lister`, `delimited_files` says what there is to do.
`paths` is our name for Cortex' `s3_paths` (both are read); `attempts` and `retry_backoff_s`
override the API's. `sqs_dead_letter_queue.max_receive_count` is `attempts`; its `arn` is kept and
has no effect: dead letters stay in the job (GET /<api>/dead-letters?jobID=…).
"""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator

from descent.deploy.errors import HttpError
from descent.deploy.jobs.globs import Glob

__all__ = [
    "BATCH_BYTES",
    "BatchSubmission",
    "DelimitedFiles",
    "FilePathLister",
    "ItemList",
    "Lister",
    "TaskSubmission",
    "parse",
]

BATCH_BYTES = 256 * 1024  # Cortex': one message of its queue
MOST_PATTERNS = 100
Positive = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class DeadLetterQueue(_Strict):
    arn: str = Field(min_length=1)
    max_receive_count: Positive


class ItemList(_Strict):
    items: list[Any] = Field(min_length=1)
    batch_size: Positive


class Lister(_Strict):
    """Files by path or prefix that a pattern of `includes` matches and none of `excludes`."""

    paths: list[str] = Field(min_length=1, validation_alias=AliasChoices("paths", "s3_paths"))
    includes: list[str] = Field(default_factory=list, max_length=MOST_PATTERNS)
    excludes: list[str] = Field(default_factory=list, max_length=MOST_PATTERNS)
    batch_size: Positive

    @field_validator("includes", "excludes", mode="before")
    @classmethod
    def _null_is_none(cls, value: Any) -> Any:
        return [] if value is None else value

    @field_validator("includes", "excludes")
    @classmethod
    def _are_patterns(cls, value: list[str]) -> list[str]:
        for pattern in value:
            Glob(pattern)  # its GlobError is a ValueError: pydantic names the field
        return value


class FilePathLister(Lister):
    """Each item is the path of a file."""


class DelimitedFiles(Lister):
    """Each item is a JSON value in a file."""


class TaskSubmission(_Strict):
    timeout: Positive | None = None
    config: dict[str, Any] | None = None
    workers: int = Field(default=1, ge=1, le=1)


class BatchSubmission(_Strict):
    workers: Positive
    timeout: Positive | None = None
    config: dict[str, Any] | None = None
    sqs_dead_letter_queue: DeadLetterQueue | None = None
    item_list: ItemList | None = None
    file_path_lister: FilePathLister | None = None
    delimited_files: DelimitedFiles | None = None
    attempts: Annotated[int, Field(ge=1, le=100)] | None = None
    retry_backoff_s: Annotated[float, Field(ge=0, le=86_400)] | None = None

    @property
    def source(self) -> ItemList | FilePathLister | DelimitedFiles:
        source = self.item_list or self.file_path_lister or self.delimited_files
        assert source is not None, "parse() lets no submission without one pass"
        return source


Submission = TypeVar("Submission", "BatchSubmission", "TaskSubmission")
SOURCES = ("item_list", "file_path_lister", "delimited_files")


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def parse(kind: type[Submission], body: bytes) -> Submission:
    """The submission in `body`. Raises `HttpError` 400 naming the field."""
    try:
        value = json.loads(body or b"{}", parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise HttpError(400, "invalid_json", f"the body is no JSON: {error}") from None
    try:
        submission = kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or None
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        message = first["msg"].removeprefix("Value error, ")
        raise HttpError(
            400, "invalid_submission", f"{field or 'body'}: {message}{more}", field=field
        ) from None
    if isinstance(submission, BatchSubmission):
        given = [name for name in SOURCES if getattr(submission, name) is not None]
        if len(given) != 1:
            said = f"{' and '.join(given)} are given" if given else "none is given"
            raise HttpError(
                400, "invalid_submission", f"give exactly one of {', '.join(SOURCES)}: {said}"
            )
    return submission

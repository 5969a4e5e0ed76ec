"""Bytes to a value and back, for one annotation.   decode(body) → value,   encode(value) → body

JSON is read strictly (a text is not a number; NaN is not JSON) and errors name the field. Written:
what the annotation says; a result of other types, as NumPy's, is made plain and checked once more.
NaN and infinities are written null. bytes and pictures travel as they are when they are all there
is, and as base64url inside JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError, core_schema, from_json, to_json

from descent.deploy.errors import HttpError
from descent.deploy.service.types import adapted, image_bytes, image_from, is_image, plain

__all__ = ["JSON", "OCTETS", "Codec", "codec_of", "to_body"]

JSON = "application/json"
OCTETS = "application/octet-stream"
ANY: Any = Any
_WRITING: Any = {"inf_nan_mode": "null", "bytes_mode": "base64", "fallback": plain}


class Codec:
    """How values of one type travel.

    `schema`: JSON schema (2020-12; `$defs` inside). `media_type`: of the whole body.
    `decode` raises `HttpError` 400 naming the field; `encode` raises TypeError.
    """

    def __init__(
        self,
        schema: dict[str, Any],
        media_type: str,
        decode: Callable[[bytes], Any],
        encode: Callable[[Any], bytes],
    ) -> None:
        self.schema, self.media_type = schema, media_type
        self.decode, self.encode = decode, encode


def codec_of(annotation: Any, *, writing: bool, where: str = "value") -> Codec:
    """The codec of an annotation; `Any` is any JSON.

    Args:
        annotation: a type, resolved (no strings).
        writing: for results (schema of what is written), else for inputs.
        where: whose type it is, for errors.

    Raises:
        TypeError: no JSON form is known.
    """
    if annotation in (bytes, bytearray, memoryview):
        return Codec({"type": "string", "format": "binary"}, OCTETS, bytes, bytes)
    if is_image(annotation):
        picture = {"type": "string", "contentMediaType": "image/png"}
        media = "image/png" if writing else "image/*"
        return Codec(picture, media, _picture, image_bytes)
    if annotation is ANY or annotation is object:
        return Codec({}, JSON, _read_any, _write_any)
    try:
        adapter = TypeAdapter(adapted(annotation))
        mode = "serialization" if writing else "validation"
        schema = adapter.json_schema(mode=mode, schema_generator=_Schema)
    except (PydanticUserError, NameError) as error:
        reason = str(error).splitlines()[0]
        raise TypeError(
            f"{where} has the type {_name(annotation)}, whose JSON form is unknown: {reason}"
        ) from None
    return Codec(schema, JSON, _reader(adapter), _writer(adapter, where))


def to_body(value: Any) -> tuple[bytes, str]:
    """Any result and its media type: bytes and pictures as they are, the rest as JSON."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value), OCTETS
    if is_image(value):
        return image_bytes(value), "image/png"
    return _write_any(value), JSON


class _Schema(GenerateJsonSchema):
    """As pydantic's, but honest about numbers that are not finite."""

    def float_schema(self, schema: core_schema.FloatSchema) -> dict[str, Any]:
        made = super().float_schema(schema)
        return made | {"type": ["number", "null"]} if self.mode == "serialization" else made

    def encode_default(self, dft: Any) -> Any:
        return from_json(to_json(dft, **_WRITING))


def _reader(adapter: TypeAdapter[Any]) -> Callable[[bytes], Any]:
    validate = adapter.validator.validate_json

    def decode(body: bytes) -> Any:
        # The parser takes NaN and Infinity, which are not JSON; they are rare enough to look twice.
        if b"NaN" in body or b"Infinity" in body:
            _read_any(body)
        try:
            return validate(body, strict=True)
        except ValidationError as error:
            whole = _with_whole_numbers(body, error)
            if whole is None:
                raise _refused(error) from None
        try:
            return validate(whole, strict=True)
        except ValidationError as error:
            raise _refused(error) from None

    return decode


def _with_whole_numbers(body: bytes, error: ValidationError) -> bytes | None:
    """The body with 4.0 written 4 where an integer is asked for: in JSON they are one number."""
    found = error.errors(include_url=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        return None
    held, changed = [from_json(body)], False
    for each in found:
        if each["type"] == "int_type" and isinstance(each["input"], float):
            changed |= _set_whole(held, (0, *each["loc"]))
    return to_json(held[0]) if changed else None


def _set_whole(value: Any, path: tuple[int | str, ...]) -> bool:
    try:
        for step in path[:-1]:
            value = value[step]
        number = value[path[-1]]
        if not (isinstance(number, float) and number.is_integer()):
            return False
        value[path[-1]] = int(number)
    except (LookupError, TypeError):  # a path through a union names its member, too
        return False
    return True


def _writer(adapter: TypeAdapter[Any], where: str) -> Callable[[Any], bytes]:
    write, check = adapter.serializer.to_json, adapter.validator.validate_json

    def encode(value: Any) -> bytes:
        try:
            return write(value, warnings="error", fallback=plain)
        except (PydanticSerializationError, TypeError, ValueError, AttributeError):
            pass  # not what was promised, or another library's form of it
        try:
            made = check(to_json(value, **_WRITING | {"inf_nan_mode": "constants"}))
            return write(made, warnings="error", fallback=plain)
        except ValidationError as error:
            what, field = _first(error)
            at = f"{where}, at {field}," if field else where
            raise TypeError(f"{at} isn't of the type it is annotated with: {what}") from None

    return encode


def _read_any(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise _not_json(str(error)) from None


def _write_any(value: Any) -> bytes:
    try:
        return to_json(value, **_WRITING)
    except PydanticSerializationError as error:
        raise TypeError(str(error).removeprefix("Error calling `fallback`: TypeError: ")) from None


def _picture(body: bytes) -> Any:
    try:
        return image_from(body)
    except ValueError as error:
        raise HttpError(400, "invalid_input", f"The body {error}.", field="body") from None


def _refused(error: ValidationError) -> HttpError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return _not_json(first["msg"].removeprefix("Invalid JSON: "))
    what, field = _first(error)
    more = error.error_count() - 1
    also = f" ({more} more error{'s' * (more > 1)})" if more else ""
    return HttpError(
        400, "invalid_input", f"{field or 'The body'}: {what}{also}.", field=field or "body"
    )


def _first(error: ValidationError) -> tuple[str, str]:
    """What is wrong, in a clause, and the path to it: `rows[2].age`."""
    first = error.errors(include_url=False)[0]
    path = ""
    for step in first["loc"]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    what = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    given = first["input"]
    if first["type"] != "missing" and isinstance(given, str | int | float | bool | None):
        shown = _write_any(given).decode()
        what += f", not {shown if len(shown) <= 60 else shown[:57] + '…'}"
    return what[0].lower() + what[1:], path


def _not_json(why: str) -> HttpError:
    return HttpError(400, "invalid_json", f"The body isn't JSON: {why}.", field="body")


def _name(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)

"""Types that pydantic does not know, made known: arrays, images, tensors and data frames in JSON.

    np.ndarray, NDArray[np.float32]  nested lists        np.float32 …  a number
    PIL.Image.Image                  base64url of a file  torch.Tensor, descent's  nested lists
    pandas.DataFrame                 a list of records

`adapted(annotation)` gives the annotation with these replaced, inside lists, dicts, unions,
dataclasses and TypedDicts too. A library is used only if the service has imported it. Left out:
fields of pydantic models (they declare their own), shapes beyond "rectangular".
"""

from __future__ import annotations

import dataclasses
import functools
import io
import operator
import sys
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Union, cast, get_args, get_origin

import numpy as np
from pydantic import Base64UrlBytes, GetPydanticSchema, WithJsonSchema
from pydantic_core import core_schema
from typing_extensions import TypedDict, is_typeddict  # pydantic needs these before Python 3.12

__all__ = ["adapted", "converted", "image_bytes", "image_from", "is_image", "plain"]

MAX_PIXELS = 64_000_000
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_ITEMS = {"f": "number", "i": "integer", "u": "integer", "b": "boolean", "U": "string"}


def adapted(tp: Any) -> Any:
    """`tp` with every foreign type in it replaced by one pydantic can read and write."""
    if (known := _foreign(tp)) is not None:
        return known
    origin, args = get_origin(tp), get_args(tp)
    if origin is Annotated:
        inner = adapted(args[0])
        return tp if inner is args[0] else Annotated[(inner, *args[1:])]
    if origin in (Union, types.UnionType):
        members = [adapted(arg) for arg in args]
        same = all(new is old for new, old in zip(members, args))
        return tp if same else functools.reduce(operator.or_, members)
    if origin is not None and origin is not typing.Literal and args:
        new = tuple(arg if isinstance(arg, list) else adapted(arg) for arg in args)
        return tp if new == args else origin[new]
    if isinstance(tp, type) and (fields := _fields(tp)) is not None:
        new = {name: adapted(field) for name, field in fields.items()}
        if any(new[name] is not fields[name] for name in new):
            return _rebuilt(tp, new)
    return tp


def plain(value: Any) -> Any:
    """What stands for `value` in JSON, one level deep; pydantic-core asks for what it cannot write.

    Raises TypeError naming the type.
    """
    if is_image(value):
        return image_bytes(value)
    if callable(getattr(value, "detach", None)):  # a tensor: PyTorch's or ours
        value = value.detach()
        value = value.cpu() if hasattr(value, "cpu") else value
        return value.tolist() if hasattr(value, "tolist") else value.numpy().tolist()
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return value.to_dict(orient="records")
    for method in ("tolist", "to_list", "_asdict", "to_dict"):
        if callable(getattr(value, method, None)):
            return getattr(value, method)()
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    raise TypeError(
        f"a {name} has no form in JSON: return numbers, texts, lists or dicts, or `encode` it"
    )


def is_image(value: Any) -> bool:
    """Is it a Pillow image, or that class? False where Pillow is not loaded."""
    pillow = sys.modules.get("PIL.Image")
    if pillow is None:
        return False
    return (
        issubclass(value, pillow.Image)
        if isinstance(value, type)
        else isinstance(value, pillow.Image)
    )


def image_from(data: bytes) -> Any:
    """Decode a picture whose size has been looked at first. Raises ValueError."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        if image.width * image.height > MAX_PIXELS:
            size = f"{image.width} × {image.height}"
            raise ValueError(f"has {size} pixels: at most {MAX_PIXELS:,} are read")
        image.load()
    except UnidentifiedImageError:
        raise ValueError(f"should be a picture: {', '.join(_FORMATS)}") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"should be a whole picture: {error}") from None
    return image


def image_bytes(image: Any) -> bytes:
    """A Pillow image as a PNG file."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _foreign(tp: Any) -> Any:
    if tp is bytes:
        return Base64UrlBytes
    if tp is np.ndarray or get_origin(tp) is np.ndarray:
        return _array_type(_dtype(tp))
    if isinstance(tp, type) and issubclass(tp, np.generic):
        return _scalar_type(tp)
    if is_image(tp):
        return converted(Base64UrlBytes, image_from, image_bytes)
    if (made := _tensor_maker(tp)) is not None:
        return converted(adapted(np.ndarray), made, plain)
    if isinstance(tp, type) and tp.__module__.startswith("pandas.") and tp.__name__ == "DataFrame":
        return converted(list[dict[str, Any]], tp, plain)
    return None


def _dtype(tp: Any) -> np.dtype | None:
    """NDArray[np.float32] is ndarray[shape, dtype[float32]]; None: any numbers."""
    args = get_args(tp)
    inner = get_args(args[1]) if len(args) > 1 else ()
    if inner and isinstance(inner[0], type) and issubclass(inner[0], np.generic):
        try:
            return np.dtype(inner[0])
        except TypeError:  # an abstract one, as np.floating
            return None
    return None


def _array_type(dtype: np.dtype | None) -> Any:
    def read(value: Any) -> np.ndarray:
        return _array_of(value, dtype)

    item = "number" if dtype is None else _ITEMS.get(dtype.kind, "number")
    described = {
        "type": "array",
        "items": {"type": [item, "array"]},
        "description": f"{dtype or 'numbers'}, rectangular",
    }
    written = described | {"items": {"type": [item, "array", "null"]}}
    schema = core_schema.no_info_plain_validator_function(
        read,
        serialization=core_schema.plain_serializer_function_ser_schema(
            lambda value: np.asarray(value).tolist()
        ),
    )
    return Annotated[
        np.ndarray,
        GetPydanticSchema(lambda _s, _h: schema),
        WithJsonSchema(described, mode="validation"),
        WithJsonSchema(written, mode="serialization"),
    ]


def _array_of(value: Any, dtype: np.dtype | None) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value if dtype is None else value.astype(dtype, copy=False)
    if not isinstance(value, list):
        raise ValueError(f"should be a list of numbers, not {type(value).__name__}")
    try:
        array = np.array(value)
    except ValueError:
        raise ValueError("should be rectangular: its rows have different lengths") from None
    text = dtype is not None and dtype.kind in "UOS"
    if array.size and array.dtype.kind not in ("U" if text else "biuf"):
        raise ValueError(f"should hold {'texts' if text else 'numbers'} only")
    if dtype is None or text:
        return array
    if dtype.kind in "iu" and array.size:
        if array.dtype.kind == "f":
            raise ValueError("should hold whole numbers only")
        least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
        if array.min() < least or array.max() > most:
            raise ValueError(f"should hold numbers from {least} to {most} ({dtype})")
    return array.astype(dtype)


def _scalar_type(tp: type) -> Any:
    inner = bool if issubclass(tp, np.bool_) else int if issubclass(tp, np.integer) else float
    inner = str if issubclass(tp, np.character) else inner
    return converted(adapted(inner), tp, lambda value: inner(value))


def _tensor_maker(tp: Any) -> Callable[[Any], Any] | None:
    """How a tensor is made of an array; no library is imported for it."""
    if not isinstance(tp, type) or tp.__name__ != "Tensor":
        return None
    if tp.__module__.split(".")[0] == "torch":
        return sys.modules["torch"].as_tensor
    if tp.__module__.startswith("descent."):
        import descent

        return descent.tensor
    return None


def converted(wire: Any, make: Callable[[Any], Any], write: Callable[[Any], Any]) -> Any:
    """A type that travels as `wire` and is used as what `make` gives."""

    def schema(_source: Any, handler: Callable[[Any], Any]) -> Any:
        inner = handler(wire)
        return core_schema.no_info_after_validator_function(
            make,
            inner,
            serialization=core_schema.plain_serializer_function_ser_schema(
                write, return_schema=inner
            ),
        )

    return Annotated[Any, GetPydanticSchema(schema)]


def _fields(tp: type) -> dict[str, Any] | None:
    if dataclasses.is_dataclass(tp):
        hints = typing.get_type_hints(tp, include_extras=True)
        return {field.name: hints[field.name] for field in dataclasses.fields(tp) if field.init}
    if is_typeddict(tp):
        hints = typing.get_type_hints(tp, include_extras=True)
        return {name: _bare(hint) for name, hint in hints.items()}
    return None


def _bare(hint: Any) -> Any:
    wrapped = get_origin(hint) in (typing.Required, typing.NotRequired)
    return get_args(hint)[0] if wrapped else hint


def _rebuilt(tp: type, fields: dict[str, Any]) -> Any:
    """A dataclass or TypedDict whose fields travel as the adapted ones."""
    if is_typeddict(tp):
        optional = cast(Any, tp).__optional_keys__
        typed = {
            name: typing.NotRequired[field] if name in optional else field
            for name, field in fields.items()
        }
        return TypedDict(tp.__name__, typed)  # type: ignore[misc]
    data = cast(Any, tp)
    without = dataclasses.MISSING
    optional = {
        field.name: typing.NotRequired[fields[field.name]]
        for field in dataclasses.fields(data)
        if field.init and (field.default is not without or field.default_factory is not without)
    }
    wire: Any = TypedDict(tp.__name__, fields | optional)  # type: ignore[misc]
    names = list(fields)

    def write(value: Any) -> Any:
        return {name: getattr(value, name) for name in names}

    return converted(wire, lambda given: tp(**given), write)

"""Annotations become schemas and codecs; errors name the field."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from descent.deploy.errors import HttpError
from descent.deploy.service import signature
from descent.deploy.service.types import image_bytes

RATE, TWO = np.int32(16000), np.int64(2)


class Odd: ...


@dataclasses.dataclass
class House:
    rooms: int
    kind: Literal["flat", "house"] = "flat"
    area_m2: float = 50.0


@dataclasses.dataclass
class Sounds:
    name: str
    samples: NDArray[np.float32]
    rate: np.int32 = RATE


class Price(pydantic.BaseModel):
    euros: Annotated[float, pydantic.Field(ge=0)]
    notes: list[str] = []


def refused(call: Any, *args: Any) -> HttpError:
    with pytest.raises(HttpError) as error:
        call(*args)
    assert error.value.status == 400
    return error.value


def test_a_dataclass_in_a_model_out() -> None:
    class Priced:
        """Prices houses."""

        def predict(self, house: House) -> Price:
            return Price(euros=house.rooms * house.area_m2)

    made = signature.of(Priced())
    value = made.decode_json(b'{"rooms": 3, "kind": "house"}')
    assert value == House(3, "house")
    assert json.loads(made.encode_json(Priced().predict(value))) == {"euros": 150.0, "notes": []}
    assert made.input_schema["required"] == ["rooms"]
    assert made.summary == "Prices houses."
    assert made.examples == [{"rooms": 1, "kind": "flat", "area_m2": 50.0}]
    assert not made.stream
    assert not made.spread


@pytest.mark.parametrize(
    ("body", "field", "code", "words"),
    [
        (b'{"rooms": "3"}', "rooms", "invalid_input", 'not "3"'),
        (b'{"rooms": 3, "kind": "tent"}', "kind", "invalid_input", "'flat' or 'house'"),
        (b'{"kind": "flat"}', "rooms", "invalid_input", "required"),
        (b"[1]", "body", "invalid_input", "object"),
        (b"{rooms: 3}", "body", "invalid_json", "line 1 column 2"),
        (b"", "body", "invalid_json", "EOF"),
        (b'{"rooms": 3, "area_m2": NaN}', "body", "invalid_json", "line 1"),
        (b"\xff", "body", "invalid_json", "line 1"),
    ],
)
def test_errors_name_the_field(body: bytes, field: str, code: str, words: str) -> None:
    def predict(house: House) -> float: ...

    error = refused(signature.of(predict).decode_json, body)
    assert (error.field, error.code) == (field, code)
    assert words in error.message


def test_a_whole_number_is_an_integer_however_it_is_written() -> None:
    def predict(house: House, counts: list[int]) -> int: ...

    made = signature.of(predict)
    value = made.decode_json(b'{"house": {"rooms": 3.0}, "counts": [1, 2.0, 1e2]}')
    assert value["house"].rooms == 3
    assert value["counts"] == [1, 2, 100]
    error = refused(made.decode_json, b'{"house": {"rooms": 3.0}, "counts": [1.5]}')
    assert error.field == "counts[0]"

    def single(n: int) -> int: ...

    assert signature.of(single).decode_json(b"4.0") == 4
    refused(signature.of(single).decode_json, b"4.5")


def test_a_path_into_lists() -> None:
    def predict(houses: list[House]) -> list[float]: ...

    error = refused(signature.of(predict).decode_json, b'[{"rooms": 1}, {"rooms": null}]')
    assert error.field == "[1].rooms"


def test_no_annotations_take_and_give_any_json() -> None:
    def predict(value): ...

    made = signature.of(predict)
    assert made.decode_json(b'{"a": [1, null]}') == {"a": [1, None]}
    assert made.input_schema == made.output_schema == {}
    refused(made.decode_json, b"Infinity")
    refused(made.decode_json, b"[" * 5000)
    results = {
        "array": np.array([[1.5, np.nan]]),
        "scalar": np.float32(2),
        "house": House(1),
        "price": Price(euros=1),
        "bytes": b"\xff\xff",
        "set": {3},
    }
    assert json.loads(made.encode_json(results)) == {
        "array": [[1.5, None]],
        "scalar": 2.0,
        "house": {"rooms": 1, "kind": "flat", "area_m2": 50.0},
        "price": {"euros": 1.0, "notes": []},
        "bytes": "__8=",
        "set": [3],
    }
    assert made.encode(b"raw") == (b"raw", "application/octet-stream")
    assert made.encode(1)[1] == "application/json"
    with pytest.raises(TypeError, match="object has no form in JSON"):
        made.encode_json(object())


def test_arrays_and_scalars_of_numpy() -> None:
    def predict(x: NDArray[np.float32], k: np.int64 = TWO) -> np.ndarray: ...

    made = signature.of(predict)
    assert made.spread
    value = made.decode_json(b'{"x": [[1, 2.5]]}')
    assert value["x"].dtype == np.float32
    assert value["x"].tolist() == [[1, 2.5]]
    assert value["k"] == 2
    assert isinstance(value["k"], np.int64)
    assert json.loads(made.encode_json(np.float64([[1, np.inf]]))) == [[1.0, None]]
    for body, words in [
        (b'{"x": [[1], [1, 2]]}', "rectangular"),
        (b'{"x": [["a"]]}', "numbers only"),
        (b'{"x": [null]}', "numbers only"),
        (b'{"x": 1}', "list"),
    ]:
        error = refused(made.decode_json, body)
        assert error.field == "x"
        assert words in error.message
    refused(made.decode_json, b'{"x": [1], "y": 1}')

    def small(x: NDArray[np.uint8]) -> np.uint8: ...

    assert signature.of(small).decode_json(b"[0, 255]").dtype == np.uint8
    assert "from 0 to 255" in refused(signature.of(small).decode_json, b"[256]").message
    assert "whole" in refused(signature.of(small).decode_json, b"[0.5]").message
    assert signature.of(small).encode_json(np.uint8(7)) == b"7"


def test_a_dataclass_of_arrays() -> None:
    def predict(x: Sounds) -> Sounds: ...

    made = signature.of(predict)
    value = made.decode_json(b'{"name": "a", "samples": [0.5]}')
    assert isinstance(value, Sounds)
    assert value.samples.dtype == np.float32
    assert value.rate == 16000
    assert json.loads(made.encode_json(value)) == {"name": "a", "samples": [0.5], "rate": 16000}
    assert made.input_schema["required"] == ["name", "samples"]


def test_a_result_of_numpy_where_python_was_promised() -> None:
    def predict(x: int) -> dict[str, list[float]]: ...

    made = signature.of(predict)
    assert json.loads(made.encode_json({"p": np.array([0.5, math.nan])})) == {"p": [0.5, None]}
    with pytest.raises(TypeError, match=r"the result of predict, at p\[1\],.* number"):
        made.encode_json({"p": [1.0, "two"]})


def test_binary_and_pictures() -> None:
    def negative(image: Image.Image) -> Image.Image: ...

    made = signature.of(negative)
    picture = Image.new("RGB", (3, 2), (255, 0, 0))
    assert made.decode_json(image_bytes(picture)).size == (3, 2)
    assert made.output_type == "image/png"
    assert made.encode(picture)[0].startswith(b"\x89PNG")
    assert "picture" in refused(made.decode_json, b"GIF89a no").message

    def echo(data: bytes) -> bytes: ...

    made = signature.of(echo)
    assert made.decode_json(b"\x00\xff") == b"\x00\xff"
    assert made.input_type == made.output_type == "application/octet-stream"


def test_bytes_and_pictures_within_json() -> None:
    def predict(picture: Image.Image, more: list[bytes]) -> dict[str, bytes]: ...

    made = signature.of(predict)
    png = image_bytes(Image.new("L", (2, 2)))
    texts = [base64.urlsafe_b64encode(data).decode() for data in (png, b"\xff\xfe")]
    value = made.decode_json(json.dumps({"picture": texts[0], "more": texts[1:]}).encode())
    assert value["picture"].size == (2, 2)
    assert value["more"] == [b"\xff\xfe"]
    assert made.encode_json({"a": b"\xff\xfe"}) == b'{"a":"__4="}'
    error = refused(made.decode_json, b'{"picture": "AAAA", "more": []}')
    assert error.field == "picture"


def test_a_picture_beyond_the_limit_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("descent.deploy.service.types.MAX_PIXELS", 5)
    data = image_bytes(Image.new("L", (3, 2)))

    def size(image: Image.Image) -> list[int]: ...

    assert "3 × 2" in refused(signature.of(size).decode_json, data).message


def test_streams() -> None:
    class Counting:
        def predict(self, n: int) -> Iterator[int]:
            yield from range(n)

    class Chunks:
        async def predict(self, n: int) -> AsyncIterator[bytes]:
            yield b""

    class Bare:
        def predict(self, n):
            yield n

    counted = signature.of(Counting())
    assert counted.stream
    assert counted.output_type == "text/event-stream"
    assert counted.output_schema == {"type": "integer"}
    assert signature.of(Chunks()).output_type == "application/octet-stream"
    assert signature.of(Bare()).stream
    assert signature.of(Bare()).output_schema == {}


def test_decode_and_encode_are_the_wire() -> None:
    class Wrapped:
        examples = [[1, 2]]  # noqa: RUF012

        def decode(self, request: list[int]) -> np.ndarray:
            return np.array(request)

        def predict(self, x: np.ndarray) -> np.ndarray:
            return x

        def encode(self, result: np.ndarray) -> dict[str, float]:
            return {"sum": float(result.sum())}

    made = signature.of(Wrapped(), examples=[[5]])
    assert made.input_schema == {"title": "request", "items": {"type": "integer"}, "type": "array"}
    assert made.examples == [[1, 2], [5]]
    assert made.output_schema["additionalProperties"]["type"] == ["number", "null"]


def test_a_batched_service_takes_single_items() -> None:
    class Batched:
        def predict(self, values: list[House]) -> list[float]: ...

    made = signature.of(Batched(), batched=True)
    assert made.decode_json(b'{"rooms": 2}') == House(2)
    assert made.encode_json(2.5) == b"2.5"


def test_what_cannot_travel_is_said_at_once() -> None:
    def predict(x: Odd) -> int: ...

    with pytest.raises(TypeError, match=r"the input of predict has the type .*Odd"):
        signature.of(predict)

    def unresolved(x: Missing) -> int: ...  # noqa: F821  # pyright: ignore

    with pytest.raises(TypeError, match="'Missing' is not defined"):
        signature.of(unresolved)
    with pytest.raises(TypeError, match="no `predict`"):
        signature.of(3)
    with pytest.raises(TypeError, match="takes no input"):
        signature.of(lambda: 1)


def test_a_tensor_of_pytorch() -> None:
    torch = pytest.importorskip("torch")

    def predict(x: torch.Tensor) -> torch.Tensor: ...

    predict.__annotations__ = {"x": torch.Tensor, "return": torch.Tensor}
    made = signature.of(predict)
    assert made.decode_json(b"[[1.0, 2.0]]").shape == (1, 2)
    weight = torch.ones(2, requires_grad=True)
    assert made.encode_json(weight) == b"[1.0,1.0]"


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(_values)
def test_any_json_goes_through(value: Any) -> None:
    made = signature.of(lambda x: x)
    try:
        body = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    assert json.loads(made.encode_json(made.decode_json(body))) == value

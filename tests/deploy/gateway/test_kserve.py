"""KServe's protocol over services of plain JSON values."""

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.deploy.errors import HttpError
from descent.deploy.gateway import Gateway, Limits, Route, Served
from descent.deploy.gateway.tensors import metadata, tensors_of, value_of
from tests.deploy.gateway.conftest import reply, serving, whole

NUMBERS = {"type": "array", "items": {"type": "number"}}
HOUSE = {
    "type": "object",
    "properties": {
        "area": {"type": "number"},
        "rooms": {"type": "integer"},
        "photo": {"type": "array", "items": NUMBERS},
        "owner": {"$ref": "#/$defs/Owner"},
        "town": {"type": "string"},
    },
    "$defs": {"Owner": {"type": "object", "properties": {"name": {"type": "string"}}}},
}


def tensor(name, data, shape, datatype="FP64"):
    return {"name": name, "data": data, "shape": shape, "datatype": datatype}


@pytest.fixture(scope="module")
def http():
    async def double(scope, receive, send):
        value = json.loads(await whole(receive))
        if value == [0.0]:
            return await reply(send, b'{"error": {"code": "x", "message": "no zeros"}}', 422)
        said = json.dumps([2 * x for x in value]).encode()
        await reply(send, said, headers=[(b"content-type", b"application/json")])

    async def price(scope, receive, send):
        house = json.loads(await whole(receive))
        await reply(send, json.dumps({"price": house["area"] * 2, "seen": house}).encode())

    gateway = Gateway()
    for name, app, schema in (("double", double, NUMBERS), ("price", price, HOUSE)):
        signature = {"input": schema, "output": NUMBERS}
        served = Served(name, 3, app, Limits(max_body_bytes=10_000), signature)
        gateway.set_route(Route(name, "RealtimeAPI", f"/{name}", served))
    gateway.set_route(Route("jobs", "AsyncAPI", "/jobs", Served("jobs", 1, double)))
    with serving(gateway) as port:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/v2") as client:
            yield client


def test_server_and_models(http):
    assert http.get("").json()["name"] == "descent"
    assert http.get("/health/live").json() == {"live": True}
    assert http.get("/health/ready").json() == {"ready": True}
    assert http.get("/models/double/ready").status_code == 200
    said = http.get("/models/double/versions/3").json()
    assert said["versions"] == ["3"]
    assert said["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1]}]


def test_infer(http):
    asked = {"id": "7", "inputs": [tensor("input", [1.5, 2.0], [2])]}
    answer = http.post("/models/double/infer", json=asked, headers={"x-request-id": "r"})
    assert answer.headers["x-request-id"] == "r"
    assert answer.json() == {
        "model_name": "double",
        "model_version": "3",
        "id": "7",
        "outputs": [{"name": "output", "datatype": "FP64", "shape": [2], "data": [3.0, 4.0]}],
    }


def test_infer_by_names(http):
    owner = json.dumps({"name": "Ada"})
    asked = {
        "inputs": [
            tensor("area", [80.0], [1]),
            tensor("rooms", [3], [1, 1], "INT64"),
            tensor("photo", [1, 2, 3, 4, 5, 6], [2, 3]),
            tensor("owner", [owner], [1], "BYTES"),
            tensor("town", ["Ulm"], [1], "BYTES"),
        ],
        "outputs": [{"name": "price"}],
    }
    answer = http.post("/models/price/versions/3/infer", json=asked).json()
    assert answer["outputs"] == [tensor("price", [160.0], [1])]
    del asked["outputs"]
    seen = http.post("/models/price/infer", json=asked).json()["outputs"][1]
    assert seen["parameters"] == {"content_type": "application/json"}
    assert json.loads(seen["data"][0]) == {
        "area": 80.0, "rooms": 3, "photo": [[1, 2, 3], [4, 5, 6]], "owner": {"name": "Ada"},
        "town": "Ulm",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/models/none/infer", {"inputs": []}, 404, "no model 'none'"),
        ("/models/jobs/infer", {"inputs": []}, 404, "no model 'jobs'"),
        ("/models/double/versions/2/infer", {"inputs": []}, 404, "serves version 3, not 2"),
        ("/models/double/infer", {}, 400, "a list 'inputs'"),
        ("/models/double/infer", [1], 400, "a list 'inputs'"),
        ("/models/double/infer", {"inputs": []}, 400, "exactly one tensor"),
        ("/models/double/infer", {"inputs": [3]}, 400, r"inputs[0] must be an object"),
        ("/models/double/infer", {"inputs": [tensor("a", [1], [2])]}, 400, "has 1 values"),
        ("/models/double/infer", {"inputs": [tensor("a", [1], [1], "FP8")]}, 400, "datatype"),
        ("/models/double/infer", {"inputs": [tensor("a", [1], [-1])]}, 400, "list of sizes"),
        ("/models/double/infer", {"inputs": [tensor("a", [1] * 4, [2, 2])]}, 400, "2 dimensions"),
        ("/models/double/infer", {"inputs": [tensor("a", [1], [1] * 99)]}, 400, "32 dimensions"),
        ("/models/double/infer", {"inputs": [tensor("a", [], [10**9, 0])]}, 400, "too large"),
        (
            "/models/double/infer",
            {"inputs": [tensor("a", [0.0], [1])], "outputs": [3]},
            400,
            "'outputs' must be",
        ),
        (
            "/models/double/infer",
            {"inputs": [tensor("a", [0.0], [1])], "outputs": 3},
            400,
            "'outputs' must be",
        ),
        ("/models/double/infer", {"inputs": [tensor("a", [0.0], [1])]}, 422, "no zeros"),
        ("/models/double/infer", {"inputs": [tensor("a", [1.0] * 9999, [9999])]}, 413, "larger"),
        ("/models/double/explain", {}, 404, "nothing is at"),
        ("/nope", {}, 404, "nothing is at"),
    ],
)
def test_errors_are_the_protocols(http, path, body, status, said):
    answer = http.post(path, json=body)
    assert answer.status_code == status
    assert said in answer.json()["error"]


def test_wrong_methods_and_no_json(http):
    assert http.get("/models/double/infer").status_code == 405
    answer = http.post("/models/double/infer", content=b"{")
    assert answer.status_code == 400
    assert "not valid JSON" in answer.json()["error"]


def test_no_other_spelling_of_a_path(http):
    """The node asks for a key by how a path begins."""
    assert httpx.get(f"{http.base_url}/models/double").status_code == 404  # /v2//models
    assert http.get("/models/double/").status_code == 200


def test_nested_too_deep():
    deep = [1.0]
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(HttpError, match="nested too deep"):
        value_of([tensor("a", deep, [1])], NUMBERS)
    with pytest.raises(HttpError, match="one JSON text"):
        value_of([tensor("a", ["[" * 10_000], [1], "BYTES")], {"type": "object"})


def test_metadata_of_parts():
    found = {t["name"]: t for t in metadata(HOUSE, "input")}
    assert found["photo"] == {"name": "photo", "datatype": "FP64", "shape": [-1, -1]}
    assert found["rooms"]["datatype"] == "INT64"
    assert found["owner"]["parameters"] == {"content_type": "application/json"}


scalars = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text())  # fmt: skip
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=12)


@given(values)
def test_any_value_comes_back(value):
    """What is written as a tensor is read again, given a schema that knows nothing."""
    (made,) = tensors_of(value)
    if made.get("parameters"):
        assert json.loads(made["data"][0]) == value
    else:
        read = value_of([made], {})
        assert (read if isinstance(read, dict) else {"output": read})["output"] == (
            value if isinstance(value, list) else [value]
        )


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda s: st.lists(s, max_size=3) | st.dictionaries(st.sampled_from(["name", "shape", "datatype", "data"]), s)))  # fmt: skip
def test_no_nonsense_breaks_it(value):
    with pytest.raises(HttpError):
        value_of([value], NUMBERS)

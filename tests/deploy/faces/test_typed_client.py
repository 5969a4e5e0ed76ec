"""The generated client: types from the schema, nothing in a schema becomes code, and it works."""

from __future__ import annotations

import ast
import http.server
import io
import threading
import types
import typing
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from descent.deploy.service.client_types import Types, identifier
from descent.deploy.service.typed_client import client_source


def load(source: str) -> types.ModuleType:
    module = types.ModuleType("client_made")
    exec(compile(source, "client.py", "exec", dont_inherit=True), module.__dict__)
    return module


@pytest.fixture
def made(http: httpx.Client) -> Any:
    """name → the class that the API's own page hands out."""

    def made(name: str, cls: str) -> Any:
        response = http.get(f"/{name}/-/client.py")
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/x-python")
        module = load(response.text)
        return module, getattr(module, cls)

    return made


def test_the_clients_of_real_apis(made: Any) -> None:
    module, Pricer = made("pricer", "Pricer")
    with Pricer() as pricer:
        price = pricer({"rooms": 2, "kind": "flat"})
        assert price["euros"] == 60000
        assert pricer.cheapest([{"rooms": 2}, {"rooms": 1}]) == 1
        assert pricer.kinds() == ["flat", "house"]
        with pytest.raises(module.ApiError) as error:
            pricer({"rooms": 0})
        assert (error.value.status, error.value.field) == (400, "rooms")
    hints = typing.get_type_hints(Pricer.__call__, vars(module))
    assert typing.is_typeddict(hints["value"])
    assert hints["value"].__required_keys__ == {"rooms"}
    fields = typing.get_type_hints(hints["value"], vars(module))
    assert fields["kind"] == typing.Literal["flat", "house"]
    assert fields["notes"] == list[str]
    assert typing.get_type_hints(Pricer.cheapest, vars(module))["return"] == int | None


def test_parameters_streams_bytes_and_pictures(made: Any) -> None:
    with made("repeat", "Repeat")[1]() as repeat:
        assert repeat(text="ab") == "abab"
        assert repeat(text="ab", times=3) == "ababab"
    with made("speaker", "Speaker")[1]() as speaker:
        assert list(speaker("a b c")) == ["a ", "b ", "c "]
    with made("bytes", "Bytes")[1]() as reverse:
        assert reverse(b"abc") == b"cba"
    file = io.BytesIO()
    Image.new("RGB", (2, 2), (255, 255, 255)).save(file, "PNG")
    with made("negative", "Negative")[1]() as negative:
        picture = Image.open(io.BytesIO(negative(file.getvalue())))
    assert picture.getpixel((0, 0)) == (0, 0, 0)


def test_jobs(made: Any) -> None:
    _, Later = made("later", "Later")
    with Later() as later:
        assert later({"n": 1}) == {"given": {"n": 1}}
        assert later.get(later.submit(2), wait_s=20)["status"] == "completed"
    _, Many = made("many", "Many")
    with Many() as many:
        job = many.submit([1, 2, 3], batch_size=2)
        assert many.wait(job)["status"] == "succeeded"
        assert len(list(many.results(job))) == 2


class Refusing(http.server.BaseHTTPRequestHandler):
    """503 twice, then the answer."""

    seen: typing.ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.seen.append(self.path)
        busy = len(self.seen) <= 2 or self.path == "/always"
        body = b'{"error": {"code": "busy", "message": "full"}}' if busy else b"7"
        self.send_response(503 if busy else 200)
        if len(self.seen) == 1:
            self.send_header("retry-after", "0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def refusing() -> Iterator[str]:
    Refusing.seen.clear()
    server = http.server.HTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_refusals_are_tried_again_after_what_they_say(
    refusing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load(client_source("busy-api", f"{refusing}/x", None))
    waits: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    with module.BusyApi() as client:
        assert client(1) == 7
    assert waits == [0.0, 0.4]  # what Retry-After said; then a longer one of its own
    with module.BusyApi(f"{refusing}/always", retries=1) as client:
        with pytest.raises(module.ApiError, match="503 busy: full"):
            client(1)
    assert Refusing.seen == ["/x"] * 3 + ["/always"] * 2


HOSTILE = [
    '"; import os; os.system("touch /tmp/hacked"); "',
    "'''", "\\", "class", "a b", "é", "1st", "\n    x = 1\n", "__import__", "Any", "",
]  # fmt: skip


@given(st.sampled_from(HOSTILE), st.sampled_from(HOSTILE), st.text(max_size=8))
def test_nothing_in_a_schema_becomes_code(key: str, title: str, text: str) -> None:
    part = {"type": "object", "title": title, "properties": {key: {"enum": [text, title]}}}
    schema = {
        "type": "object", "title": key, "description": title,
        "properties": {key: {"$ref": f"#/$defs/{title}"}, text: part}, "required": [text],
        "$defs": {title: part},
    }  # fmt: skip
    signature = {"input": schema, "output": part, "summary": key + title, "spread": True,
                 "endpoints": [{"path": f"/{text}", "methods": ["POST"], "input": part}]}  # fmt: skip
    source = client_source(title or "x", f"http://h/{text}", signature)
    tree = ast.parse(source)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert "os" not in names
    assert "__import__" not in names
    load(source)


def test_types() -> None:
    types = Types()
    node = {"type": "object", "title": "Node", "properties": {
        "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}}}  # fmt: skip
    assert types.of({"$ref": "#/$defs/Node", "$defs": {"Node": node}}, "X") == "Node"
    assert "next: NotRequired['Node | None']" in types.source()
    assert types.of({"type": ["number", "null"]}, "X") == "float | None"
    assert types.of({"type": "array", "items": {"type": "array", "items": {}}}, "X") == (
        "list[list[Any]]"
    )
    assert types.of({"additionalProperties": {"type": "integer"}, "type": "object"}, "X") == (
        "dict[str, int]"
    )
    assert types.of({"const": 1.5}, "X") == "Any"
    assert types.of({"$ref": "#/$defs/Nothing"}, "X") == "Any"
    loop = {"$ref": "#/$defs/L", "$defs": {"L": {"type": "array", "items": {"$ref": "#/$defs/L"}}}}
    assert types.of(loop, "X") == "Any"
    assert identifier("for", "x") == "for_"
    assert identifier("9", "x") == "x_9"
    again = types.of({"$ref": "#/$defs/Other", "$defs": {"Other": node}}, "X")
    assert again != "Node"  # its `next` is the other schema's Node
    flat = {"type": "object", "title": "Flat", "properties": {"a": {"type": "string"}}}
    assert types.of(flat, "X") == types.of(dict(flat), "Y") == "Flat"
    assert types.source().count("class Flat") == 1

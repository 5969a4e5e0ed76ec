"""The official client with the node's /v1 and with an API's own."""

import contextlib

import httpx
import openai
import pytest

from descent.deploy.gateway import Gateway, Limits, Route, Served
from descent.deploy.service.lifespan import Lifespan
from descent.serve.app import make_app
from tests.count_models import code_completer, name_completer
from tests.deploy.gateway.conftest import echo, reply, serving

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def port():
    gateway = Gateway()
    for api, completer in (("coder", code_completer()), ("namer", name_completer())):
        app = make_app([completer])
        lifespan = Lifespan(app)
        gateway.on_start.append(lifespan.start)
        gateway.on_stop.append(lifespan.stop)
        signature = {"paths": {"/v1/completions": {}}}
        served = Served(api, 1, app, Limits(max_concurrency=8), signature)
        gateway.set_route(Route(api, "RealtimeAPI", f"/{api}", served))
    gateway.set_route(Route("plain", "RealtimeAPI", "/plain", Served("plain", 1, echo)))
    with serving(gateway) as number:
        yield number


@contextlib.contextmanager
def client(port, path="/v1"):
    with openai.OpenAI(
        base_url=f"http://127.0.0.1:{port}{path}", api_key="unused", max_retries=0
    ) as made:
        yield made


@pytest.mark.parametrize(
    ("path", "model"),
    [("/v1", "coder"), ("/v1", "code"), ("/coder/v1", "code")],
)
def test_completions(port, path, model):
    with client(port, path) as ai:
        reply = ai.completions.create(model=model, prompt="def ", max_tokens=7, seed=1)
        assert len(reply.choices[0].text) == 7
        assert reply.model == "code"
        stream = ai.completions.create(
            model=model, prompt="def ", max_tokens=7, seed=1, stream=True
        )
        assert "".join(c.choices[0].text for c in stream) == reply.choices[0].text


def test_models(port):
    with client(port) as ai:
        assert [m.id for m in ai.models.list()] == ["coder", "code", "namer", "names"]
        assert ai.models.retrieve("names").id == "names"
        assert ai.models.retrieve("namer").id == "namer"


def test_a_failed_answer_about_models_is_not_kept():
    said = [(503, b"loading"), (200, b'{"data": [{"id": "own"}]}')]

    async def app(scope, receive, send):
        status, body = said.pop(0)
        await reply(send, body, status)

    gateway = Gateway()
    served = Served("api", 1, app, signature={"paths": {"/v1/completions": {}}})
    gateway.set_route(Route("api", "RealtimeAPI", "/api", served))
    with serving(gateway) as port:
        url = f"http://127.0.0.1:{port}/v1/models"
        listed = [[m["id"] for m in httpx.get(url).json()["data"]] for _ in range(3)]
    assert listed == [["api"], ["api", "own"], ["api", "own"]]


def test_errors(port):
    with client(port) as ai:
        with pytest.raises(openai.NotFoundError, match="there are: coder, namer"):
            ai.completions.create(model="plain", prompt="x")
        with pytest.raises(openai.NotFoundError):
            ai.models.retrieve("none")
        with pytest.raises(openai.BadRequestError) as caught:
            ai.completions.create(model="coder", prompt="def ", max_tokens=-1)
        assert caught.value.param == "max_tokens"
    for body in (b"{", b"[]", b"{}", b'{"model": 3}'):
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/completions", content=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "invalid_request_error"
    assert httpx.get(f"http://127.0.0.1:{port}/v1/completions").status_code == 405
    answer = httpx.post(f"http://127.0.0.1:{port}/v1/nothing", json={"model": "coder"})
    assert answer.status_code == 404


def test_a_path_goes_on_as_it_may_be_sent():
    """What was decoded for routing is quoted again: line ends would begin a header elsewhere."""
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["raw_path"])
        await reply(send, b"{}")

    gateway = Gateway()
    served = Served("api", 1, app, signature={"paths": {"/v1/completions": {}}})
    gateway.set_route(Route("api", "RealtimeAPI", "/api", served))
    with serving(gateway) as port:
        httpx.post(f"http://127.0.0.1:{port}/v1/a%0d%0ax%20y", json={"model": "api"})
    assert seen[-1] == b"/api/v1/a%0D%0Ax%20y"

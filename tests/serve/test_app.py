"""Models, health, metrics, headers, keys, hosts: everything around the completions."""

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from descent.serve import background_server
from descent.serve.app import make_app
from tests.count_models import code_completer
from tests.serve.conftest import metric


def test_models(http):
    listed = http.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["code", "names"]
    one = http.get("/v1/models/names").json()
    assert one == listed["data"][1]
    assert (one["object"], one["created"], one["max_model_len"]) == ("model", 1700000001, 2)
    assert one["metadata"]["kind"] == "names"
    assert one["metadata"]["explain"] is False
    missing = http.get("/v1/models/none")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "model_not_found"


def test_health(http):
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/readyz").json() == {"status": "ready", "models": ["code", "names"]}


def test_unknown_paths_and_methods_answer_as_the_rest_does(http):
    assert http.get("/v1/nothing").json()["error"]["message"].startswith("There is nothing at")
    answer = http.get("/v1/completions")
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_request_ids_are_kept_or_made(http):
    assert (
        http.get("/healthz", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    )
    made = {http.get("/healthz").headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    long = http.get("/healthz", headers={"x-request-id": "x" * 500}).headers["x-request-id"]
    assert len(long) == 32


def test_metrics_count_what_happened(http):
    def read():
        return {
            "requests": metric(
                http, "descent_http_requests_total", handler="/v1/completions", status="200"
            ),
            "refused": metric(
                http, "descent_http_requests_total", handler="/v1/completions", status="400"
            ),
            "generated": metric(http, "descent_generation_tokens_total", model_name="names"),
            "prompt": metric(http, "descent_prompt_tokens_total", model_name="names"),
            "first": metric(http, "descent_time_to_first_token_seconds_count", model_name="names"),
            "between": metric(
                http, "descent_inter_token_latency_seconds_count", model_name="names"
            ),
            "length": metric(
                http, "descent_completions_total", model_name="names", finished_reason="length"
            ),
        }

    before = read()
    body = {"model": "names", "prompt": "emm", "max_tokens": 4, "logit_bias": {"0": -100}}
    assert http.post("/v1/completions", json=body).status_code == 200
    assert http.post("/v1/completions", json=body | {"n": -1}).status_code == 400
    after = read()
    assert {key: after[key] - before[key] for key in after} == {
        "requests": 1,
        "refused": 1,
        "generated": 4,
        "prompt": 3,
        "first": 1,
        "between": 3,
        "length": 1,
    }
    assert metric(http, "descent_requests_running", model_name="names") == 0


def test_paths_a_client_makes_up_do_not_become_metrics(http):
    for i in range(5):
        http.get(f"/made/up/{i}")
    text = http.get("/metrics").text
    assert "made" not in text
    assert 'handler="unknown"' in text


def test_page_and_its_files_are_served_under_a_strict_policy(http):
    page = http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    assert "https://" not in page.text
    for name in ("app.js", "api.js", "tokens.js", "style.css", "icon.svg"):
        assert http.get(f"/static/{name}").status_code == 200
    assert http.get("/static/../app.py").status_code == 404
    assert http.get("/static/%2e%2e/app.py").status_code == 404


def test_other_hosts_are_not_answered(http):
    assert http.get("/v1/models", headers={"host": "evil.example"}).status_code == 421
    assert http.get("/v1/models", headers={"host": "localhost:99"}).status_code == 200


def test_api_key_guards_the_api_only():
    with (
        background_server([code_completer()], api_key="secret") as url,
        httpx.Client(base_url=url) as http,
    ):
        assert http.get("/v1/models").status_code == 401
        wrong = http.get("/v1/models", headers={"authorization": "Bearer wrong"})
        assert wrong.json()["error"]["code"] == "invalid_api_key"
        right = http.get("/v1/models", headers={"authorization": "Bearer secret"})
        assert right.status_code == 200
        assert http.get("/healthz").status_code == 200
        assert http.get("/").status_code == 200


def test_extra_routes_are_served():
    async def explain(request):
        return PlainTextResponse(f"explaining {request.query_params['prompt']}")

    async def broken(request):
        raise RuntimeError("never shown")

    routes = [Route("/explain", explain), Route("/broken", broken)]
    with (
        background_server([code_completer()], extra_routes=routes) as url,
        httpx.Client(base_url=url) as http,
    ):
        assert http.get("/explain", params={"prompt": "x = "}).text == "explaining x = "
        answer = http.get("/broken")
        assert answer.status_code == 500
        assert "never shown" not in answer.text
        assert answer.headers["x-request-id"]
        assert metric(http, "descent_http_requests_total", handler="explain", status="200") == 1


def test_what_cannot_be_served_is_said_at_once():
    with pytest.raises(ValueError, match="nothing to serve"):
        make_app([])
    with pytest.raises(ValueError, match="same name: code, code"):
        make_app([code_completer(), code_completer()])


def test_openapi_describes_the_body(http):
    schema = http.get("/openapi.json").json()
    fields = schema["components"]["schemas"]["CompletionRequest"]["properties"]
    assert {"prompt", "max_tokens", "logit_bias", "top_k"} <= fields.keys()

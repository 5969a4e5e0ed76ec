"""Whatever a client sends, the answer is one of the contract's: never a 500, never a hang."""

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from descent.serve import background_server
from descent.serve.chat_contract import ChatRequest
from descent.serve.contract import CompletionRequest
from descent.serve.embeddings import EmbeddingRequest
from descent.serve.infill import InfillRequest
from descent.serve.tokens import DetokenizeRequest, TemplateRequest, TokenizeRequest
from tests.count_models import code_completer
from tests.serve.scripted import Script, scripted

BODIES = {
    "/v1/completions": CompletionRequest,
    "/v1/chat/completions": ChatRequest,
    "/v1/embeddings": EmbeddingRequest,
    "/infill": InfillRequest,
    "/tokenize": TokenizeRequest,
    "/detokenize": DetokenizeRequest,
    "/apply-template": TemplateRequest,
}
SMALL = {"model": "chatty", "max_tokens": 4, "n_predict": 4}
# What makes most requests get past the first check, and then whatever comes.
PLAUSIBLE = {
    "prompt": st.one_of(st.text(max_size=8), st.lists(st.integers(-2, 300), max_size=3)),
    "input": st.one_of(st.text(max_size=8), st.lists(st.text(max_size=4), max_size=3)),
    "messages": st.lists(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["system", "user", "assistant", "tool", "x"])},
            optional={
                "content": st.one_of(st.none(), st.text(max_size=6), st.lists(
                    st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url"])},
                                          optional={"text": st.text(max_size=4)}), max_size=2)),
                "tool_calls": st.lists(st.fixed_dictionaries({}, optional={
                    "function": st.fixed_dictionaries({"name": st.text(max_size=3)},
                                                      optional={"arguments": st.text(max_size=4)})}),
                    max_size=2),
            },
        ),
        max_size=3,
    ),
    "tokens": st.lists(st.integers(-2, 300), max_size=4),
    "stream": st.booleans(),
    "response_format": st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "json_object", "json_schema", "x"])},
        optional={"json_schema": st.fixed_dictionaries({}, optional={"schema": st.recursive(
            st.sampled_from([True, {"type": "string"}, {"type": "integer"}, {"enum": [1]}, {}]),
            lambda inner: st.fixed_dictionaries({"type": st.just("object"),
                                                 "properties": st.dictionaries(st.text(max_size=2), inner, max_size=2)}))})},
    ),
    "guided_regex": st.text(alphabet="ab()[]*+?|{}0,1\\d^$.", max_size=8),
    "n": st.integers(1, 3),
    "temperature": st.floats(0, 2),
    "stop": st.lists(st.text(min_size=1, max_size=2), max_size=2),
}  # fmt: skip
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
              st.text(max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip


@st.composite
def requests(draw):
    path = draw(st.sampled_from(sorted(BODIES)))
    fields = [name for name in BODIES[path].model_fields if name not in SMALL]
    chosen = draw(st.lists(st.sampled_from(fields), max_size=5, unique=True))
    needed = [name for name in ("prompt", "input", "messages", "tokens") if name in fields]
    body = dict(SMALL)
    for name in {*chosen, *needed}:
        plausible = name in PLAUSIBLE and draw(st.integers(0, 4)) > 0
        body[name] = draw(PLAUSIBLE[name] if plausible else ANYTHING)
    return path, body


@pytest.fixture(scope="module")
def http():
    with (
        background_server([scripted(Script("a1 {")), code_completer()]) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield client


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(request_=requests())
def test_any_body_gets_an_answer_of_the_contract(http, request_):
    path, body = request_
    answer = http.post(path, json=body)
    assert answer.status_code in (200, 400, 404), (answer.status_code, answer.text, path, body)
    if answer.status_code != 200:
        assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    elif body.get("stream") is True and path != "/v1/embeddings":
        assert b'"error"' not in answer.content, (answer.text, body)

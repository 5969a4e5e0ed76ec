"""Constrained output in every spelling clients use, by the official client where it has one."""

import json

import httpx
import jsonschema
import openai
import pydantic
import pytest

from descent.serve import background_server
from tests.count_models import code_completer
from tests.serve.scripted import Script, scripted

USER = [{"role": "user", "content": "Who?"}]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 150}},
    "required": ["name", "age"],
    "additionalProperties": False,
}  # fmt: skip
SAYS = '{"name": "Ada", "age": 36}'
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}}


@pytest.fixture(scope="module")
def url():
    # One says what is asked for, the other would say something else.
    models = {"willing": Script(SAYS), "unwilling": Script("No. I won't: {]")}
    completers = [scripted(model, name) for name, model in models.items()]
    with background_server([*completers, code_completer()]) as url:
        yield url


@pytest.fixture
def client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture
def http(url):
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client


class Person(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    name: str
    age: int


def test_the_client_s_parse_gives_an_object(client):
    reply = client.chat.completions.parse(model="willing", messages=USER, response_format=Person)
    assert reply.choices[0].message.parsed == Person(name="Ada", age=36)


@pytest.mark.parametrize("model", ["willing", "unwilling"])
def test_a_schema_is_kept_to(client, model):
    wanted = {
        "type": "json_schema",
        "json_schema": {"name": "person", "schema": SCHEMA, "strict": True},
    }
    reply = client.chat.completions.create(
        model=model, messages=USER, response_format=wanted, max_tokens=300
    )
    assert reply.choices[0].finish_reason == "stop"
    value = json.loads(reply.choices[0].message.content)
    jsonschema.validate(value, SCHEMA)
    if model == "willing":
        assert value == json.loads(SAYS)
    chunks = client.chat.completions.create(
        model=model, messages=USER, response_format=wanted, max_tokens=300, stream=True
    )
    assert json.loads("".join(c.choices[0].delta.content or "" for c in chunks)) == value


@pytest.mark.parametrize(
    "extra",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
        {"response_format": {"type": "json_object", "schema": SCHEMA}},
        {"structured_outputs": {"json": SCHEMA}},
        {"structured_outputs": {"json": json.dumps(SCHEMA)}},
        {"guided_json": SCHEMA},
        {"guided_json": json.dumps(SCHEMA)},
    ],
    ids=str,
)
def test_every_spelling_of_a_schema(http, extra):
    body = {"model": "unwilling", "prompt": "x", "max_tokens": 300, **extra}
    reply = http.post("/v1/completions", json=body).json()
    jsonschema.validate(json.loads(reply["choices"][0]["text"]), SCHEMA)


@pytest.mark.parametrize(
    ("extra", "allowed"),
    [
        ({"structured_outputs": {"choice": ["yes", "no"]}}, ("yes", "no")),
        ({"guided_choice": ["yes", "no"]}, ("yes", "no")),
        ({"structured_outputs": {"regex": "[ab]{2}"}}, ("aa", "ab", "ba", "bb")),
        ({"guided_regex": "[ab]{2}"}, ("aa", "ab", "ba", "bb")),
    ],
    ids=str,
)
def test_choices_and_expressions(http, extra, allowed):
    for seed in range(5):
        body = {"model": "unwilling", "prompt": "x", "temperature": 1, "seed": seed, **extra}
        reply = http.post("/v1/completions", json=body).json()
        assert reply["choices"][0]["text"] in allowed
        assert reply["choices"][0]["finish_reason"] == "stop"


def test_a_json_object(client):
    reply = client.chat.completions.create(
        model="unwilling", messages=USER, response_format={"type": "json_object"}, max_tokens=200
    )
    assert isinstance(json.loads(reply.choices[0].message.content), dict)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_that_must_be_called(client, streamed):
    choices = ({"type": "function", "function": {"name": "look_up"}}, "required")
    for choice in choices:
        asked = {"messages": USER, "tools": [TOOL], "tool_choice": choice, "max_tokens": 400}
        made = client.chat.completions.create(model="unwilling", stream=streamed, **asked)
        if streamed:
            parts = [chunk.choices[0] for chunk in made]
            calls = [call for part in parts for call in part.delta.tool_calls or []]
            assert not any(part.delta.content for part in parts)
            reason = parts[-1].finish_reason
        else:
            calls, reason = made.choices[0].message.tool_calls, made.choices[0].finish_reason
            assert made.choices[0].message.content is None
        assert reason == "tool_calls"
        assert calls
        for call in calls:
            assert call.function.name == "look_up"
            jsonschema.validate(json.loads(call.function.arguments), SCHEMA)


def test_a_forced_call_cut_off_is_text(client):
    reply = client.chat.completions.create(
        model="willing", messages=USER, tools=[TOOL], tool_choice="required", max_tokens=3
    )
    choice = reply.choices[0]
    assert (choice.finish_reason, choice.message.tool_calls) == ("length", None)


@pytest.mark.parametrize(
    ("extra", "param"),
    [
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "purple"}}}}, "response_format"),
        ({"guided_regex": "(a"}, "guided_regex"),
        ({"guided_regex": "(?=a)b"}, "guided_regex"),
        ({"guided_regex": "(" * 5000 + "a" + ")" * 5000}, "guided_regex"),
        ({"guided_regex": "a" * 100_000}, "guided_regex"),
        ({"guided_choice": ["a" * 60_000, "b" * 60_000]}, "guided_choice"),
        ({"guided_json": {"enum": ["a" * 300_000]}}, "guided_json"),
        ({"guided_json": "{"}, "guided_json"),
        ({"guided_json": {"type": "object"}, "guided_regex": "a"}, "guided_regex"),
        ({"guided_choice": [""]}, "guided_choice"),
        ({"guided_grammar": "root ::= x"}, "guided_grammar"),
        ({"structured_outputs": {"grammar": "root ::= x"}}, "structured_outputs"),
        ({"structured_outputs": {"regex": "a", "choice": ["b"]}}, "structured_outputs"),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_what_can_t_be_kept_to_is_refused_before_anything_is_made(http, extra, param):
    answer = http.post("/v1/completions", json={"model": "unwilling", "prompt": "x", **extra})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param

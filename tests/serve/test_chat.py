"""`/v1/chat/completions`: messages through a real template, deltas, tool calls, refusals."""

import json

import httpx
import numpy as np
import openai
import pytest

from descent.serve import background_server
from tests.count_models import code_completer
from tests.serve.scripted import CHATML, Script, scripted

SAYS = "Fünf – und <b>nicht</b> mehr."
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Add two numbers",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                "required": ["a", "b"],
            },
        },
    }
]
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>'
NO_TAGS = CHATML.replace("<tool_call>", "").replace("</tool_call>", "")
LLAMA3 = "{# ipython, python_tag #}{{ '\"parameters\"' }}" + NO_TAGS
MISTRAL = "{# [TOOL_CALLS] #}" + NO_TAGS
USER = [{"role": "user", "content": "2 + 3?"}]


@pytest.fixture(scope="module")
def models():
    return {
        "plain": Script(SAYS),
        "small": Script(SAYS, context=64),
        "hermes": Script(f"Let me see. {CALL}\n{CALL}"),
        "broken": Script('<tool_call>{"name": "add", <b>oops</tool_call> and on'),
        "llama3": Script('<|python_tag|>{"name": "add", "parameters": {"a": 2, "b": 3}}'),
        "mistral": Script('[TOOL_CALLS] [{"name": "add", "arguments": {"a": 2, "b": 3}}]'),
        "arguments": Script('{"a": 2, "b": 3}'),
    }


@pytest.fixture(scope="module")
def url(models):
    sources = {"llama3": LLAMA3, "mistral": MISTRAL}
    completers = [scripted(m, n, sources.get(n, CHATML)) for n, m in models.items()]
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


def test_an_answer(client, models):
    messages = [
        {"role": "developer", "content": "Be short."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "2 +"}, {"type": "text", "text": "3?"}],
        },
        {"role": "assistant", "content": "What?"},
        {"role": "user", "content": "2 + 3?"},
    ]
    reply = client.chat.completions.create(model="plain", messages=messages)
    assert isinstance(reply, openai.types.chat.ChatCompletion)
    assert reply.id.startswith("chatcmpl-")
    assert (reply.object, reply.model) == ("chat.completion", "plain")
    (choice,) = reply.choices
    assert (choice.message.role, choice.message.content) == ("assistant", SAYS)
    assert (choice.finish_reason, choice.message.tool_calls) == ("stop", None)
    assert models["plain"].heard[-1] == (
        "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\n2 +\n3?<|im_end|>\n"
        "<|im_start|>assistant\nWhat?<|im_end|>\n<|im_start|>user\n2 + 3?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    # Every special token of the template is one token of the prompt.
    assert reply.usage.prompt_tokens < len(models["plain"].heard[-1])
    assert reply.usage.completion_tokens == len(SAYS.encode()) + 1


def test_a_stream_begins_with_the_role_and_ends_with_the_reason(client):
    stream = client.chat.completions.create(
        model="plain", messages=USER, stream=True, stream_options={"include_usage": True}, n=2
    )
    *chunks, last = stream
    assert last.choices == []
    assert last.usage.completion_tokens == 2 * (len(SAYS.encode()) + 1)
    assert all(chunk.object == "chat.completion.chunk" for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)
    for index in (0, 1):
        mine = [c.choices[0] for c in chunks if c.choices[0].index == index]
        assert (mine[0].delta.role, mine[0].delta.content) == ("assistant", "")
        assert all(choice.delta.role is None for choice in mine[1:])
        assert "".join(choice.delta.content or "" for choice in mine) == SAYS
        assert [choice.finish_reason for choice in mine] == [None] * (len(mine) - 1) + ["stop"]
    # A character of two bytes comes whole.
    assert all("\ufffd" not in (c.choices[0].delta.content or "") for c in chunks)


def test_limits(client, models):
    def reply(**body):
        return client.chat.completions.create(model="plain", messages=USER, **body)

    for body in ({"max_completion_tokens": 4}, {"max_tokens": 4}):
        choice = reply(**body).choices[0]
        assert (choice.message.content, choice.finish_reason) == ("Fün", "length")
    assert reply(max_completion_tokens=4, max_tokens=9).usage.completion_tokens == 4
    assert reply(stop=["und"]).choices[0].message.content == "Fünf – "
    empty = reply(max_tokens=0).choices[0]
    assert (empty.message.content, empty.finish_reason) == ("", "length")
    # Without a limit the answer may fill the context, and no more.
    short = client.chat.completions.create(model="small", messages=USER)
    assert short.usage.total_tokens <= 64
    with pytest.raises(openai.BadRequestError, match="context of 64") as error:
        client.chat.completions.create(model="small", messages=USER, max_tokens=60)
    assert error.value.code == "context_length_exceeded"


def test_logprobs_have_bytes_and_alternatives(client):
    reply = client.chat.completions.create(
        model="plain", messages=USER, max_tokens=5, logprobs=True, top_logprobs=3
    )
    content = reply.choices[0].logprobs.content
    assert [bytes(entry.bytes) for entry in content] == [b"F", b"\xc3", b"\xbc", b"n", b"f"]
    assert content[1].token == "bytes:\\xc3"
    for entry in content:
        assert len(entry.top_logprobs) == 3
        assert entry.top_logprobs[0].token == entry.token
        assert entry.logprob == pytest.approx(-np.log1p(263 * np.exp(-30.0)), abs=1e-6)
    whole = client.chat.completions.create(model="plain", messages=USER, max_tokens=5)
    assert whole.choices[0].logprobs is None
    chunks = client.chat.completions.create(
        model="plain", messages=USER, max_tokens=5, logprobs=True, stream=True
    )
    streamed = [e for c in chunks for e in (c.choices[0].logprobs or _none).content]
    assert [entry.token for entry in streamed] == [entry.token for entry in content]
    assert all(entry.top_logprobs == [] for entry in streamed)


class _none:
    content = ()


@pytest.mark.parametrize("model", ["hermes", "llama3", "mistral"])
@pytest.mark.parametrize("streamed", [False, True])
def test_tool_calls_are_read(client, models, model, streamed):
    asked = {"model": model, "messages": USER, "tools": TOOLS, "stream": streamed}
    if streamed:
        chunks = [c.choices[0] for c in client.chat.completions.create(**asked)]
        content = "".join(c.delta.content or "" for c in chunks)
        calls = [call for c in chunks for call in c.delta.tool_calls or []]
        assert [call.index for call in calls] == list(range(len(calls)))
        reason = chunks[-1].finish_reason
    else:
        choice = client.chat.completions.create(**asked).choices[0]
        content, calls, reason = (
            choice.message.content,
            choice.message.tool_calls,
            choice.finish_reason,
        )
    assert reason == "tool_calls"
    assert len(calls) == (2 if model == "hermes" else 1)
    assert len({call.id for call in calls}) == len(calls)
    for call in calls:
        assert (call.type, call.function.name) == ("function", "add")
        assert json.loads(call.function.arguments) == {"a": 2, "b": 3}
    assert (content or "").strip() == ("Let me see." if model == "hermes" else "")
    assert '"Add two numbers"' in models[model].heard[-1]  # the template was given the tools


def test_what_is_no_call_stays_text(client, models):
    reply = client.chat.completions.create(model="broken", messages=USER, tools=TOOLS)
    choice = reply.choices[0]
    assert (choice.message.content, choice.finish_reason) == (models["broken"].says, "stop")
    chunks = client.chat.completions.create(model="broken", messages=USER, tools=TOOLS, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == models["broken"].says
    # Without tools, or with tool_choice none, even a good one is text.
    reply = client.chat.completions.create(
        model="hermes", messages=USER, tools=TOOLS, tool_choice="none"
    )
    assert reply.choices[0].message.content == models["hermes"].says
    assert '"Add two numbers"' not in models["hermes"].heard[-1]


def test_an_answer_with_tools_streams_as_it_comes(client):
    chunks = client.chat.completions.create(model="plain", messages=USER, tools=TOOLS, stream=True)
    pieces = [c.choices[0].delta.content for c in chunks if c.choices[0].delta.content]
    assert len(pieces) > 10
    assert "".join(pieces) == SAYS  # the "<" of "<b>" too


def test_the_result_of_a_tool_goes_back_to_the_model(client, models):
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "add", "arguments": '{"a": 2}'},
    }
    messages = [
        *USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "5"},
    ]
    assert client.chat.completions.create(model="plain", messages=messages, tools=TOOLS)
    heard = models["plain"].heard[-1]
    assert '<tool_call>{"name": "add", "arguments": {"a": 2}}</tool_call>' in heard
    assert "<|im_start|>tool\n5<|im_end|>" in heard


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"messages": []}, "messages", "at least one message"),
        ({"messages": None}, "messages", "at least one message"),
        ({"messages": [{"role": "clown", "content": "x"}]}, "messages", r"messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages", "messages[0].content is missing"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages", "a text or a list"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages",
            "messages[0].content[0] is of type 'image_url'",
        ),
        ({"top_logprobs": 3}, None, "logprobs is true"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "less than or equal to 20"),
        ({"tools": [{"type": "function"}]}, "tools", "tools[0]"),
        ({"tool_choice": "required"}, None, "tools are given"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "sub"}}},
            None,
            "names no tool",
        ),
        ({"functions": [{"name": "f"}]}, None, "use tools"),
        ({"response_format": {"type": "xml"}}, "response_format", "'xml'"),
        ({"max_completion_tokens": -1}, "max_completion_tokens", "greater than or equal"),
        ({"model": "none"}, "model", "does not exist"),
    ],
    ids=str,
)
def test_wrong_requests_name_the_field(http, body, param, words):
    answer = http.post("/v1/chat/completions", json={"model": "plain", "messages": USER, **body})
    assert answer.status_code in (400, 404)
    error = answer.json()["error"]
    assert error["param"] == param
    assert words in error["message"]


def test_a_model_without_a_template_says_so(http):
    answer = http.post("/v1/chat/completions", json={"model": "code", "messages": USER})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == ("messages", "no_chat_template")
    assert "/v1/completions" in error["message"]


def test_the_template_s_own_refusal_is_a_400():
    source = "{{ raise_exception('Conversation roles must alternate') }}"
    with (
        background_server([scripted(Script("x"), source=source)]) as url,
        httpx.Client(base_url=url) as http,
    ):
        answer = http.post("/v1/chat/completions", json={"messages": USER})
        assert answer.status_code == 400
        assert "Conversation roles must alternate" in answer.json()["error"]["message"]


async def test_async_streams(url):
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused") as client:
        stream = await client.chat.completions.create(model="plain", messages=USER, stream=True)
        text = ""
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
    assert text == SAYS


test_async_streams.__test__ = False


def test_async_client(url):
    import asyncio

    asyncio.run(test_async_streams(url))

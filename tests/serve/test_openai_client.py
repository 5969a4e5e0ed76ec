"""The official `openai` client against our server: what it expects is the contract."""

import openai
import pytest

pytestmark = pytest.mark.oracle


@pytest.fixture
def client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_completion(client):
    reply = client.completions.create(model="code", prompt="def ", max_tokens=7, seed=1)
    assert isinstance(reply, openai.types.Completion)
    assert len(reply.choices[0].text) == 7
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.total_tokens == 11
    again = client.completions.create(model="code", prompt="def ", max_tokens=7, seed=1)
    assert again.choices[0].text == reply.choices[0].text


def test_stream_with_usage(client):
    stream = client.completions.create(
        model="code",
        prompt="def ",
        max_tokens=12,
        seed=1,
        stream=True,
        stream_options={"include_usage": True},
        logprobs=3,
    )
    *chunks, last = stream
    whole = client.completions.create(model="code", prompt="def ", max_tokens=12, seed=1)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == "length"
    assert all(len(chunk.choices[0].logprobs.tokens) == 1 for chunk in chunks)
    assert last.choices == []
    assert last.usage == whole.usage


def test_logprobs_echo_and_n(client):
    reply = client.completions.create(
        model="names", prompt="em", n=3, logprobs=2, echo=True, max_tokens=30, seed=5
    )
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    for choice in reply.choices:
        record = choice.logprobs
        assert choice.text.startswith("em")
        assert len(record.tokens) == len(record.token_logprobs) == len(record.top_logprobs)
        assert "".join(record.tokens).removesuffix("<|endoftext|>") == choice.text
        for token, logprob, top in zip(record.tokens, record.token_logprobs, record.top_logprobs):
            assert top[token] == logprob <= 0
            assert len(top) in (2, 3)


def test_stop(client):
    reply = client.completions.create(model="code", prompt="def ", max_tokens=500, stop=["\n", ":"])
    assert reply.choices[0].finish_reason == "stop"
    assert not {"\n", ":"} & set(reply.choices[0].text)


def test_models(client):
    assert [model.id for model in client.models.list()] == ["code", "names"]
    assert client.models.retrieve("names").created == 1700000001


def test_errors_become_the_client_s_exceptions(client):
    with pytest.raises(openai.NotFoundError, match="does not exist") as error:
        client.completions.create(model="none", prompt="x")
    assert (error.value.code, error.value.param) == ("model_not_found", "model")
    assert error.value.request_id
    with pytest.raises(openai.BadRequestError, match="temperature") as error:
        client.completions.create(model="code", prompt="x", temperature=5)
    assert error.value.param == "temperature"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("none")


async def gather_texts(url):
    import asyncio

    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused") as client:
        asked = [
            client.completions.create(model="code", prompt="class ", seed=i, max_tokens=20)
            for i in range(8)
        ]
        return [reply.choices[0].text for reply in await asyncio.gather(*asked)]


def test_async_client_many_at_once(client, url):
    import asyncio

    texts = asyncio.run(gather_texts(url))
    one = client.completions.create(model="code", prompt="class ", seed=3, max_tokens=20)
    assert texts[3] == one.choices[0].text
    assert len(set(texts)) == 8

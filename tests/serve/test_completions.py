"""The HTTP contract, by plain requests against a really started server."""

import json
import math

import httpx
import numpy as np
import pytest

from descent.generate.drawing import log_softmax
from descent.serve import background_server
from tests.count_models import Failing, code_completer, code_model, name_model


def post(http, **body):
    body = {"model": "code"} | body
    return http.post("/v1/completions", json=body)


def done(http, **body):
    answer = post(http, **body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def stream(http, **body):
    body = {"model": "code", "stream": True} | body
    with http.stream("POST", "/v1/completions", json=body) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        raw = answer.read().decode()
    assert raw.endswith("data: [DONE]\n\n")
    events = raw.removesuffix("data: [DONE]\n\n").split("\n\n")
    assert events.pop() == ""
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    return [json.loads(event[6:]) for event in events]


def test_reply_has_the_contract_s_fields(http):
    reply = done(http, prompt="def ", max_tokens=5, seed=1)
    assert reply["id"].startswith("cmpl-")
    assert (reply["object"], reply["model"]) == ("text_completion", "code")
    assert isinstance(reply["created"], int)
    assert reply["usage"] == {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}
    (choice,) = reply["choices"]
    assert choice.keys() == {"index", "text", "logprobs", "finish_reason"}
    assert (choice["index"], choice["logprobs"], choice["finish_reason"]) == (0, None, "length")
    assert len(choice["text"]) == 5


def test_default_is_sixteen_tokens(http):
    assert done(http, prompt="def ")["usage"]["completion_tokens"] == 16


def test_streamed_text_equals_the_whole(http):
    settings = {"prompt": "class ", "max_tokens": 60, "seed": 3}
    chunks = stream(http, **settings)
    assert (
        "".join(c["choices"][0]["text"] for c in chunks)
        == (done(http, **settings)["choices"][0]["text"])
    )
    assert len({c["id"] for c in chunks}) == 1
    assert [c["choices"][0]["finish_reason"] for c in chunks] == [None] * 59 + ["length"]
    assert all("usage" not in c for c in chunks)


def test_stream_usage_comes_last_with_no_choices(http):
    chunks = stream(http, prompt="x", max_tokens=4, stream_options={"include_usage": True})
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5}
    assert all(c["usage"] is None for c in chunks[:-1])


def test_logprobs_are_the_model_s(http):
    reply = done(http, prompt="retur", max_tokens=6, logprobs=3, seed=2, temperature=0.5)
    choice = reply["choices"][0]
    record = choice["logprobs"]
    assert "".join(record["tokens"]) == choice["text"]
    assert record["text_offset"] == [5, 6, 7, 8, 9, 10]
    session = code_model().session()
    fed = list(b"retur")
    for token, logprob, top in zip(
        record["tokens"], record["token_logprobs"], record["top_logprobs"], strict=True
    ):
        logp = log_softmax(session.feed(fed).astype(np.float64))
        assert logprob == pytest.approx(logp[ord(token)])
        best = sorted(range(256), key=lambda i: (-logp[i], i))[:3]
        assert set(map(chr, best)) | {token} == set(top)
        assert top[token] == pytest.approx(logprob)
        fed = [ord(token)]


def test_streamed_logprobs_equal_the_whole(http):
    settings = {"prompt": "é = ", "max_tokens": 30, "seed": 5, "logprobs": 2}
    whole = done(http, **settings)["choices"][0]["logprobs"]
    chunks = [c["choices"][0]["logprobs"] for c in stream(http, **settings)]
    for field in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
        assert [item for chunk in chunks for item in chunk[field]] == whole[field]


def test_echo_returns_the_prompt_with_its_logprobs(http):
    choice = done(http, prompt="import", max_tokens=2, echo=True, logprobs=0, seed=1)["choices"][0]
    record = choice["logprobs"]
    assert choice["text"].startswith("import")
    assert "".join(record["tokens"]) == choice["text"]
    assert record["text_offset"] == list(range(8))
    assert record["token_logprobs"][0] is None
    assert record["top_logprobs"][0] is None
    session = code_model().session()
    for i, id in enumerate(b"impor"):
        logp = log_softmax(session.feed([id]).astype(np.float64))
        assert record["token_logprobs"][i + 1] == pytest.approx(logp[b"import"[i + 1]])


def test_scoring_a_text_without_generating(http):
    reply = done(http, prompt="import os", max_tokens=0, echo=True, logprobs=1)
    choice = reply["choices"][0]
    assert choice["text"] == "import os"
    assert choice["finish_reason"] == "length"
    assert len(choice["logprobs"]["tokens"]) == 9
    assert reply["usage"]["completion_tokens"] == 0
    chunks = stream(http, prompt="import os", max_tokens=0, echo=True)
    assert [c["choices"][0]["text"] for c in chunks] == ["import os"]
    assert chunks[0]["choices"][0]["finish_reason"] == "length"
    assert [c["choices"][0]["text"] for c in stream(http, prompt="a", max_tokens=0)] == [""]


def test_streamed_echo_comes_as_one_piece(http):
    chunks = stream(http, prompt="import", max_tokens=3, echo=True, seed=1)
    assert len(chunks) == 3
    assert chunks[0]["choices"][0]["text"].startswith("import")


def test_begin_token_scores_the_first_letter_of_a_name(http):
    record = done(http, model="names", prompt="em", max_tokens=0, echo=True, logprobs=0)
    record = record["choices"][0]["logprobs"]
    model, tokenizer = name_model()
    assert record["tokens"] == ["e", "m"]
    first = math.log(model.probabilities(None, 0)[tokenizer.encode("e")[0]])
    assert record["token_logprobs"][0] == pytest.approx(first, rel=1e-5)


def test_names_from_an_empty_prompt(http):
    reply = done(http, model="names", prompt="", n=5, seed=4, max_tokens=100, logprobs=2)
    for choice in reply["choices"]:
        assert choice["finish_reason"] == "stop"
        assert choice["text"].isalpha()
        assert choice["logprobs"]["tokens"][-1] == "<|endoftext|>"
    assert reply["usage"]["prompt_tokens"] == 0
    assert done(http, model="names", seed=4)["choices"][0]["text"]  # prompt may be left out


def test_seed_n_and_prompt_lists_do_not_influence_each_other(http):
    def texts(**body):
        choices = done(http, max_tokens=20, seed=9, **body)["choices"]
        assert [choice["index"] for choice in choices] == list(range(len(choices)))
        return [choice["text"] for choice in choices]

    a, b = texts(prompt="def a", n=2), texts(prompt="def b", n=2)
    assert len({*a, *b}) == 4
    assert texts(prompt=["def a", "def b"], n=2) == a + b
    assert texts(prompt="def a") == a[:1]
    assert texts(prompt=list(b"def a")) == a[:1]
    assert texts(prompt=[list(b"def a"), list(b"def b")]) == [a[0], b[0]]
    chunks = stream(http, prompt=["def a", "def b"], n=2, seed=9, max_tokens=20)
    streamed = [""] * 4
    for chunk in chunks:
        streamed[chunk["choices"][0]["index"]] += chunk["choices"][0]["text"]
    assert streamed == a + b


def test_best_of_returns_the_likeliest(http):
    settings = {"prompt": "self.", "seed": 2, "max_tokens": 8, "logprobs": 0}
    every = done(http, n=6, **settings)["choices"]
    score = {c["text"]: sum(c["logprobs"]["token_logprobs"]) / 8 for c in every}
    reply = done(http, n=2, best_of=6, **settings)
    assert [c["text"] for c in reply["choices"]] == sorted(score, key=score.get, reverse=True)[:2]
    assert reply["usage"]["completion_tokens"] == 48
    assert done(http, best_of=3, prompt="x")["choices"][0]["logprobs"] is None


@pytest.mark.parametrize("streamed", [False, True])
def test_stop_strings_end_the_text_and_are_left_out(http, streamed):
    settings = {"prompt": "def ", "max_tokens": 400, "seed": 6}
    text = done(http, **settings)["choices"][0]["text"]
    stop = text[20:24]
    settings["stop"] = [stop, "never in the text"]
    if streamed:
        choices = [c["choices"][0] for c in stream(http, **settings)]
        got, reason = "".join(c["text"] for c in choices), choices[-1]["finish_reason"]
    else:
        (choice,) = done(http, **settings)["choices"]
        got, reason = choice["text"], choice["finish_reason"]
    assert (got, reason) == (text[: text.index(stop)], "stop")


def test_extras_and_unknown_fields(http):
    greedy = done(http, prompt="def ", temperature=0, max_tokens=9)["choices"][0]["text"]
    for same in ({"top_k": 1}, {"top_p": 1e-9}, {"min_p": 1.0}):
        got = done(http, prompt="def ", max_tokens=9, best_friend="x", user="u", **same)
        assert got["choices"][0]["text"] == greedy
    reply = done(http, prompt="d", max_tokens=2, return_token_ids=True)
    choice = reply["choices"][0]
    assert bytes(choice["token_ids"]).decode() == choice["text"]
    forced = done(http, prompt="d", max_tokens=3, logit_bias={"120": 100})["choices"][0]["text"]
    assert forced == "xxx"
    assert len(done(http, prompt="x" * 500, truncate_prompt_tokens=3)["choices"]) == 1


@pytest.mark.parametrize(
    ("body", "status", "param", "words"),
    [
        ({"model": "gpt-5"}, 404, "model", "does not exist"),
        ({"model": None}, 400, "model", "'code', 'names'"),
        ({"prompt": 3}, 400, "prompt", "list of strings"),
        ({"prompt": ["a", [1]]}, 400, "prompt", "list of strings"),
        ({"prompt": [300]}, 400, "prompt", "outside the vocabulary"),
        ({"model": "names", "prompt": "Ünal"}, 400, "prompt", "names cannot read"),
        ({"max_tokens": -1}, 400, "max_tokens", "greater than or equal to 0"),
        ({"max_tokens": 10**6}, 400, "max_tokens", "at most 16384"),
        ({"max_tokens": "many"}, 400, "max_tokens", "integer"),
        ({"max_tokens": True}, 400, "max_tokens", "integer"),
        ({"temperature": 2.5}, 400, "temperature", "less than or equal to 2"),
        ({"top_p": 0}, 400, "top_p", "greater than 0"),
        ({"n": 0}, 400, "n", "greater than or equal to 1"),
        ({"n": 100, "prompt": ["a", "b", "c"]}, 400, "n", "more than the 256"),
        ({"logprobs": 21}, 400, "logprobs", "less than or equal to 20"),
        ({"best_of": 1, "n": 2}, 400, None, "best_of"),
        ({"best_of": 2, "stream": True}, 400, None, "best_of"),
        ({"suffix": "end"}, 400, "suffix", "not supported"),
        ({"stop": ""}, 400, "stop", "at least one character"),
        ({"stop": 5}, 400, "stop", "string"),
        ({"logit_bias": {"999": 1}}, 400, "logit_bias", "token 999"),
        ({"logit_bias": {"1": 101}}, 400, "logit_bias", "less than or equal to 100"),
        ({"presence_penalty": 3}, 400, "presence_penalty", "less than or equal to 2"),
        ({"stream_options": {"include_usage": True}}, 400, None, "stream is true"),
    ],
    ids=str,
)
def test_wrong_requests_name_the_field(http, body, status, param, words):
    answer = post(http, **({"prompt": "x"} | body))
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["param"] == param
    assert words in error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("content", "headers", "words"),
    [
        (b'{"model": ', {"content-type": "application/json"}, "not valid JSON"),
        (b'{"model": "code"}', {"content-type": "text/plain"}, "Content-Type: application/json"),
        (b"", {"content-type": "application/json"}, "JSON object"),
        (b"[1]", {"content-type": "application/json"}, "JSON object"),
    ],
)
def test_bodies_that_are_not_json_objects(http, content, headers, words):
    answer = http.post("/v1/completions", content=content, headers=headers)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_body_too_large(http):
    big = b'{"prompt": "' + b"x" * (5 * 2**20) + b'"}'
    json_type = {"content-type": "application/json"}
    assert http.post("/v1/completions", content=big, headers=json_type).status_code == 413
    pieces = (big[i : i + 2**16] for i in range(0, len(big), 2**16))  # sent without a length
    answer = http.post("/v1/completions", content=pieces, headers=json_type)
    assert answer.status_code == 413
    assert "4,194,304 bytes" in answer.json()["error"]["message"]


def test_context_overflow_is_named():
    with (
        background_server([code_completer(overflow="refuse", model=bounded())]) as url,
        httpx.Client(base_url=url) as http,
    ):
        error = post(http, prompt="x" * 10, max_tokens=20).json()["error"]
        assert (error["param"], error["code"]) == ("max_tokens", "context_length_exceeded")
        assert "context of 24 tokens" in error["message"]
        assert post(http, prompt="x" * 30).json()["error"]["param"] == "prompt"
        assert done(http, prompt="x" * 30, max_tokens=20, truncate_prompt_tokens=-1)


def bounded():
    from tests.count_models import TrigramModel

    return TrigramModel(list(b"abcabcabd" * 9), 256, context=24)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_failing_model_answers_500_and_the_next_request_is_served(streamed):
    broken = code_completer(Failing(code_model(), good=0), name="broken")
    late = code_completer(Failing(code_model(), good=3), name="late")
    with (
        background_server([broken, late, code_completer()]) as url,
        httpx.Client(base_url=url) as http,
    ):
        answer = post(http, model="broken", prompt="x", stream=streamed)
        assert answer.status_code == 500
        assert answer.json()["error"]["type"] == "server_error"
        assert "FloatingPointError" in answer.json()["error"]["message"]
        answer = post(http, model="late", prompt="x", stream=streamed)
        if streamed:
            *_, last, end = answer.text.split("\n\n")
            assert end == ""
            assert json.loads(last[6:])["error"]["type"] == "server_error"
        else:
            assert answer.status_code == 500
        assert done(http, prompt="x")
        assert done(http, model="late", prompt="x", max_tokens=2)

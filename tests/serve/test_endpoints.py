"""Tokens, templates, infilling, embeddings, health, versions, metrics under other names."""

import base64
import json

import httpx
import numpy as np
import openai
import pytest

from descent.generate import Completer
from descent.generate.embedding import embedder
from descent.generate.sessions import ModelLanguage
from descent.models.building import build
from descent.serve import background_server
from tests.count_models import ByteTokenizer, code_completer, name_completer
from tests.serve.conftest import metric
from tests.serve.scripted import SPECIAL, Script, scripted

CONTEXT = 32


@pytest.fixture(scope="module")
def tiny():
    config = {"vocab_size": 256, "block_size": CONTEXT, "n_layer": 2, "n_head": 2, "n_embd": 16}
    return build("gpt", config).eval()


@pytest.fixture(scope="module")
def middle():
    return Script("a + b<|file_sep|>no more")


@pytest.fixture(scope="module")
def url(tiny, middle):
    gpt = Completer(
        "tiny", 1700000003, ModelLanguage(tiny, 256), ByteTokenizer(), embed=embedder(tiny)
    )
    fill = scripted(middle, "fill")
    with background_server([gpt, fill, code_completer(), name_completer()]) as url:
        yield url


@pytest.fixture
def http(url):
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture
def client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def post(http, path, **body):
    answer = http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(http, path, **body):
    answer = http.post(path, json=body)
    assert answer.status_code == 400, answer.text
    return answer.json()["error"]


# ── Tokens ──────────────────────────────────────────────────────────────────────────────────────


def test_tokenize_and_back(http):
    made = post(http, "/tokenize", model="code", prompt="é=1", return_token_strs=True)
    assert made["tokens"] == list("é=1".encode())
    assert (made["count"], made["max_model_len"]) == (4, None)
    assert made["token_strs"] == ["bytes:\\xc3", "bytes:\\xa9", "=", "1"]
    back = post(http, "/detokenize", model="code", tokens=made["tokens"])
    assert back == {"prompt": "é=1", "content": "é=1"}
    assert post(http, "/tokenize", model="code", prompt="")["tokens"] == []


def test_special_tokens_are_read_and_written(http):
    made = post(http, "/tokenize", model="fill", prompt="a<|im_end|>b")
    assert made["tokens"] == [97, SPECIAL["<|im_end|>"], 98]
    assert (
        post(http, "/detokenize", model="fill", tokens=made["tokens"])["prompt"] == "a<|im_end|>b"
    )


def test_a_begin_token_is_added_unless_unwanted(http):
    assert post(http, "/tokenize", model="names", prompt="em")["tokens"] == [0, 5, 13]
    bare = post(http, "/tokenize", model="names", prompt="em", add_special_tokens=False)
    assert bare["tokens"] == [5, 13]


def test_llama_cpp_s_fields(http):
    made = post(http, "/tokenize", model="names", content="em", with_pieces=True)
    assert made["tokens"] == [{"id": 5, "piece": "e"}, {"id": 13, "piece": "m"}]
    made = post(http, "/tokenize", model="code", content="é", with_pieces=True)
    assert made["tokens"] == [{"id": 195, "piece": [195]}, {"id": 169, "piece": [169]}]
    assert post(http, "/tokenize", model="names", content="em", add_special=True)["count"] == 3


def test_a_conversation_s_tokens(http):
    messages = [{"role": "user", "content": "hi"}]
    text = post(http, "/apply-template", model="fill", messages=messages)["prompt"]
    assert text == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    made = post(http, "/tokenize", model="fill", messages=messages)
    assert post(http, "/detokenize", model="fill", tokens=made["tokens"])["prompt"] == text
    assert made["tokens"].count(SPECIAL["<|im_start|>"]) == 2


def test_wrong_requests(http):
    assert "only one of them" in refused(http, "/tokenize", model="code")["message"]
    assert refused(http, "/tokenize", model="names", prompt="Ü")["param"] == "prompt"
    error = refused(http, "/detokenize", model="code", tokens=[1, 300])
    assert (error["param"], "position 1" in error["message"]) == ("tokens", True)
    assert refused(http, "/apply-template", model="code", messages=[])["param"] == "messages"


# ── Filling the middle ──────────────────────────────────────────────────────────────────────────


def test_suffix_with_a_model_that_fills_in(client, middle):
    reply = client.completions.create(model="fill", prompt="def add(a, b): return ", suffix="\n#")
    assert middle.heard[-1] == (
        "<|fim_prefix|>def add(a, b): return <|fim_suffix|>\n#<|fim_middle|>"
    )
    assert reply.choices[0].text.startswith("a + b")


def test_suffix_with_one_that_does_not(client):
    with pytest.raises(openai.BadRequestError, match="not trained to fill the middle") as error:
        client.completions.create(model="code", prompt="def ", suffix="x")
    assert error.value.param == "suffix"
    with pytest.raises(openai.BadRequestError, match="token ids"):
        client.completions.create(model="fill", prompt=[1, 2], suffix="x")
    with pytest.raises(openai.BadRequestError, match="echo"):
        client.completions.create(model="fill", prompt="a", suffix="x", echo=True)


def test_infill(http, middle):
    body = {"model": "fill", "input_prefix": "x = ", "input_suffix": "\n", "n_predict": 5}
    made = post(http, "/infill", **body)
    assert (made["content"], made["stop"], made["stop_type"]) == ("a + b", True, "limit")
    assert (made["tokens_predicted"], made["model"]) == (5, "fill")
    assert made["tokens"] == list(b"a + b")
    extra = [{"filename": "a.py", "text": "import b"}]
    post(http, "/infill", **body, prompt="a", input_extra=extra)
    assert middle.heard[-1] == ("a.py\nimport b\n<|fim_prefix|>x = <|fim_suffix|>\n<|fim_middle|>a")
    with http.stream("POST", "/infill", json={**body, "stream": True}) as answer:
        events = [json.loads(e[6:]) for e in answer.read().decode().split("\n\n") if e]
    assert "".join(e["content"] for e in events) == "a + b"
    assert [e["stop"] for e in events] == [False] * 4 + [True]
    assert refused(http, "/infill", model="code", input_prefix="x")["param"] == "suffix"
    assert "input_extra[0]" in refused(http, "/infill", **body, input_extra=[{}])["message"]


# ── Embeddings ──────────────────────────────────────────────────────────────────────────────────


def test_embeddings_are_the_last_norm_s_output(http, tiny):
    made = post(http, "/v1/embeddings", model="tiny", input=["hello", "hi"])
    assert made["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert [entry["index"] for entry in made["data"]] == [0, 1]
    seen = {}

    def hook(module, inputs, output):
        seen["hidden"] = np.array(output.array[0], np.float64)

    import descent as dc

    handle = tiny.ln_f.register_forward_hook(hook)
    try:
        with dc.no_grad():
            tiny(dc.from_numpy(np.array([list(b"hello")])))
    finally:
        handle.remove()
    mean = seen["hidden"].mean(0)
    assert made["data"][0]["embedding"] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    last = post(
        http, "/v1/embeddings", model="tiny", input="hello", pooling="last", normalize=False
    )
    assert last["data"][0]["embedding"] == pytest.approx(seen["hidden"][-1], abs=1e-4)


def test_embeddings_by_the_official_client(client):
    # It asks for base64 and decodes it.
    reply = client.embeddings.create(model="tiny", input="hello")
    vector = np.array(reply.data[0].embedding)
    assert vector.shape == (16,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    floats = client.embeddings.create(model="tiny", input="hello", encoding_format="float")
    assert floats.data[0].embedding == pytest.approx(vector, abs=1e-7)
    short = client.embeddings.create(model="tiny", input="hello", dimensions=4)
    cut = vector[:4] / np.linalg.norm(vector[:4])
    assert short.data[0].embedding == pytest.approx(cut, abs=1e-5)
    ids = client.embeddings.create(model="tiny", input=list(b"hello"))
    assert ids.data[0].embedding == pytest.approx(vector, abs=1e-6)


def test_base64_is_little_endian_float32(http):
    made = post(http, "/v1/embeddings", model="tiny", input="x", encoding_format="base64")
    raw = base64.b64decode(made["data"][0]["embedding"])
    plain = post(http, "/v1/embeddings", model="tiny", input="x")["data"][0]["embedding"]
    assert np.frombuffer(raw, "<f4").tolist() == pytest.approx(plain, abs=1e-7)


def test_embeddings_that_can_t_be_made(http):
    path = "/v1/embeddings"
    assert refused(http, path, model="code", input="x")["param"] == "model"
    assert refused(http, path, model="tiny", input="")["param"] == "input"
    assert refused(http, path, model="tiny", input=3)["param"] == "input"
    assert refused(http, path, model="tiny", input="x", dimensions=17)["param"] == "dimensions"
    long = refused(http, path, model="tiny", input="x" * 40)
    assert (long["param"], long["code"]) == ("input", "context_length_exceeded")
    cut = post(http, path, model="tiny", input="x" * 40, truncate_prompt_tokens=-1)
    assert cut["usage"]["prompt_tokens"] == CONTEXT


# ── Around ──────────────────────────────────────────────────────────────────────────────────────


def test_health_and_version(http):
    from descent import __version__

    assert http.get("/health").json() == {"status": "ok"}
    assert http.get("/version").json() == {"version": __version__}


def test_model_cards_say_what_a_model_can(http):
    cards = {card["id"]: card for card in http.get("/v1/models").json()["data"]}
    assert cards["fill"]["metadata"]["can"] == ["completions", "chat", "infill"]
    assert cards["tiny"]["metadata"]["can"] == ["completions", "embeddings"]
    assert cards["code"]["metadata"]["can"] == ["completions"]
    assert (cards["fill"]["parent"], cards["fill"]["root"]) == (None, "fill")
    assert cards["tiny"]["max_model_len"] == CONTEXT


def test_metrics_stand_there_under_other_names_too(http):
    before = metric(http, "vllm:generation_tokens_total", model_name="code")
    post(http, "/v1/completions", model="code", prompt="x", max_tokens=3, ignore_eos=True)
    after = metric(http, "vllm:generation_tokens_total", model_name="code")
    assert after - before == 3
    text = http.get("/metrics").text
    for name in (
        "vllm:num_requests_running", "vllm:time_to_first_token_seconds_bucket",
        "vllm:e2e_request_latency_seconds_count", "vllm:request_queue_time_seconds_sum",
        "vllm:request_success_total", "vllm:request_params_max_tokens_bucket",
        "llamacpp:tokens_predicted_total", "http_requests_total", "vllm:kv_cache_usage_perc",
    ):  # fmt: skip
        assert f"\n{name}{{" in text or f"# TYPE {name}" in text, name
    lines = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(lines) == len(set(lines))


def test_the_key_guards_everything_that_runs_a_model():
    with (
        background_server([code_completer()], api_key="secret") as url,
        httpx.Client(base_url=url) as http,
    ):
        for path in ("/tokenize", "/detokenize", "/apply-template", "/infill", "/v1/embeddings",
                     "/v1/chat/completions"):  # fmt: skip
            answer = http.post(path, json={})
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "invalid_api_key"
        assert http.get("/health").status_code == 200
        bearer = {"authorization": "Bearer secret"}
        assert http.post("/tokenize", json={"prompt": "x"}, headers=bearer).status_code == 200
    with (
        background_server([code_completer()], api_key="secret") as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError, match="Incorrect API key"),
    ):
        client.models.list()

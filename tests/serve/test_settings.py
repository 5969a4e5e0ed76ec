"""Every further setting of a completion has its effect over HTTP, and its refusal names it."""

from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from descent.data.infill import infill_tokens
from descent.generate import Completer
from descent.generate.sessions import ModelLanguage
from descent.models.building import build
from descent.serve import background_server
from tests.count_models import ByteTokenizer, code_model
from tests.serve.conftest import eventually, metric
from tests.serve.test_worker import open_request


def done(http, **body):
    answer = http.post("/v1/completions", json={"model": "code", "prompt": "def ", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def text(http, **body):
    (choice,) = done(http, **body)["choices"]
    return choice["text"]


def test_endings(http):
    names = {"model": "names", "prompt": "em", "max_tokens": 40, "seed": 3}
    short = done(http, **names)["choices"][0]
    assert short["finish_reason"] == "stop"
    long = done(http, **names, min_tokens=20)
    assert long["usage"]["completion_tokens"] >= 20
    endless = done(http, **names, ignore_eos=True)["choices"][0]
    assert endless["finish_reason"] == "length"
    line = text(http, max_tokens=400, seed=1)
    first = line[: line.index("\n")]
    at_line = done(http, max_tokens=400, seed=1, stop_token_ids=[10])["choices"][0]
    assert (at_line["text"], at_line["finish_reason"]) == (first, "stop")
    kept = text(http, max_tokens=400, seed=1, stop_token_ids=[10], include_stop_str_in_output=True)
    assert kept == first + "\n"
    assert text(
        http, max_tokens=400, seed=1, stop=["\n"], include_stop_str_in_output=True
    ) == kept  # fmt: skip


def test_which_tokens(http):
    assert text(http, max_tokens=4, allowed_token_ids=[120]) == "xxxx"
    assert "e" not in text(http, max_tokens=200, seed=1, bad_words=["e"])
    assert "e" in text(http, max_tokens=200, seed=1)
    once = done(http, max_tokens=60, seed=1, no_repeat_ngram_size=1, return_token_ids=True)
    assert len({*b"def ", *once["choices"][0]["token_ids"]}) == 64
    greedy = {"temperature": 0, "max_tokens": 200}
    plain = text(http, **greedy)
    assert len(set(text(http, **greedy, repetition_penalty=5.0))) > len(set(plain))
    assert text(http, **greedy, typical_p=0.5) == plain
    assert text(http, **greedy, speculate=4) == plain


def test_logprobs_of_the_prompt(http):
    (choice,) = done(http, prompt="import", max_tokens=2, seed=1, prompt_logprobs=2)["choices"]
    assert len(choice["text"]) == 2  # not echoed
    rows = choice["prompt_logprobs"]
    assert len(rows) == 6
    assert rows[0] is None
    p = np.log(code_model().probabilities(None, ord("i")))
    entry = rows[1][str(ord("m"))]
    assert entry["logprob"] == pytest.approx(p[ord("m")], rel=1e-5)
    assert entry["decoded_token"] == "m"
    best = max(rows[1].values(), key=lambda other: other["logprob"])
    assert best["rank"] == 1


def test_begin_tokens(http):
    score = {"model": "names", "prompt": "em", "max_tokens": 0, "echo": True, "logprobs": 0}
    with_begin = done(http, **score)["choices"][0]["logprobs"]["token_logprobs"]
    without = done(http, **score, add_special_tokens=False)["choices"][0]["logprobs"]
    assert with_begin[0] is not None
    assert without["token_logprobs"][0] is None


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"min_tokens": 20}, "min_tokens", "at most max_tokens"),
        ({"min_tokens": True}, "min_tokens", "integer"),
        ({"typical_p": 0}, "typical_p", "greater than 0"),
        ({"repetition_penalty": 0}, "repetition_penalty", "greater than 0"),
        ({"stop_token_ids": [999]}, "stop_token_ids", "token 999"),
        ({"allowed_token_ids": [-1]}, "allowed_token_ids", "greater than or equal to 0"),
        ({"bad_words": "x"}, "bad_words", "list"),
        ({"bad_words": [""]}, "bad_words", "empty word"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size", "greater than or equal to 0"),
        ({"prompt_logprobs": 1, "stream": True}, None, "prompt_logprobs"),
        ({"speculate": 100}, "speculate", "less than or equal to 64"),
    ],
    ids=str,
)
def test_refusals_name_the_field(http, body, param, words):
    answer = http.post("/v1/completions", json={"model": "code", "prompt": "x", **body})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], words in error["message"]) == (param, True)


@pytest.mark.parametrize(
    "names",
    [
        ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"),
        ("<fim_prefix>", "<fim_middle>", "<fim_suffix>"),
        ("▁<PRE>", "▁<MID>", "▁<SUF>"),
        ("<｜fim▁begin｜>", "<｜fim▁end｜>", "<｜fim▁hole｜>"),
    ],
)
def test_marks_for_infilling_as_others_spell_them(names):
    marks = dict(zip(names, (7, 8, 9)))
    special = SimpleNamespace(special_tokens=marks)
    # Qwen2.5-Coder's are added tokens, but not special ones.
    added = SimpleNamespace(added_tokens=marks, special_tokens={"<|endoftext|>": 1})
    assert infill_tokens(special) == infill_tokens(added) == (7, 8, 9)
    assert infill_tokens(ByteTokenizer()) is None


# ── A model with an engine: requests computed together ──────────────────────────────────────────


@pytest.fixture(scope="module")
def gpt():
    config = {"vocab_size": 256, "block_size": 512, "n_layer": 2, "n_head": 2, "n_embd": 32}
    model = ModelLanguage(build("gpt", config).eval(), 256)
    return Completer("gpt", 1700000004, model, ByteTokenizer())


def test_company_does_not_change_a_text(gpt):
    with background_server([gpt]) as url, httpx.Client(base_url=url, timeout=60) as http:
        import concurrent.futures

        def made(i):
            body = {"prompt": "x" * (1 + 7 * i), "max_tokens": 12 + i, "seed": i, "logprobs": 1}
            return text(http, model="gpt", **body)

        alone = [made(i) for i in range(8)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            together = list(pool.map(made, range(8)))
        assert together == alone
        several = done(http, model="gpt", prompt=["a", "b"], n=3, seed=1, max_tokens=9)
        texts = [choice["text"] for choice in several["choices"]]
        assert texts[:3] == [
            choice["text"]
            for choice in done(http, model="gpt", prompt="a", n=3, seed=1, max_tokens=9)["choices"]
        ]
        assert metric(http, "vllm:prefix_cache_queries_total", model_name="gpt") > 0


def test_a_closed_connection_frees_its_blocks(gpt):
    with background_server([gpt]) as url, httpx.Client(base_url=url, timeout=60) as http:
        before = metric(
            http, "descent_completions_total", model_name="gpt", finished_reason="abort"
        )
        body = {"prompt": "x", "max_tokens": 500, "stream": True, "ignore_eos": True}
        sock = open_request(url, {"model": "gpt", **body})
        assert b"200 OK" in sock.recv(4096)
        eventually(lambda: metric(http, "descent_generation_tokens_total", model_name="gpt") >= 2)
        sock.close()
        ended = {"model_name": "gpt", "finished_reason": "abort"}
        eventually(lambda: metric(http, "descent_completions_total", **ended) > before)
        eventually(lambda: metric(http, "descent_kv_cache_usage_perc", model_name="gpt") == 0)
        assert gpt.engine.stats.running == 0

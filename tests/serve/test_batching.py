"""Continuous batching through the service: requests of a model with an engine advance together."""

import concurrent.futures
import threading

import httpx
import pytest

from descent.generate import Completer
from descent.serve import background_server
from descent.serve.service import Limits
from tests.count_models import ByteTokenizer
from tests.generate.engine.models import alone, count_decoder
from tests.serve.conftest import eventually, metric
from tests.serve.test_worker import open_request

BYTES = ByteTokenizer()


class Language:
    """A model that is its decoder alone; `gate` holds every step of it."""

    context, vocab_size = 512, 256

    def __init__(self, **sizes) -> None:
        self.decoder = count_decoder(**sizes)
        self.gate = threading.Event()
        self.gate.set()
        forward = self.decoder.forward

        def gated(ids):
            self.gate.wait(30)
            return forward(ids)

        self.decoder.forward = gated

    def session(self):
        raise AssertionError("the engine computes")


@pytest.fixture
def served():
    language = Language()
    completer = Completer("code", 0, language, BYTES, overflow="slide")
    limits = Limits(max_running=32, max_waiting=64)
    with (
        background_server([completer], limits=limits) as url,
        httpx.Client(base_url=url, timeout=60) as http,
    ):
        yield url, http, language, completer


def ask(url, **body):
    answer = httpx.post(f"{url}/v1/completions", json={"prompt": "def ", **body}, timeout=60)
    assert answer.status_code == 200, answer.text
    return [c["text"] for c in answer.json()["choices"]]


def expected(sampling, choice=0):
    return bytes(alone(BYTES.encode("def "), sampling, choice)).decode(errors="replace")


def test_many_requests_take_few_turns(served):
    from descent.generate import Sampling

    url, http, language, completer = served
    language.gate.clear()
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        asked = [pool.submit(ask, url, seed=s, max_tokens=40) for s in range(24)]
        running = lambda: metric(http, "descent_requests_running", model_name="code")  # noqa: E731
        waiting = lambda: metric(http, "descent_requests_waiting", model_name="code")  # noqa: E731
        eventually(lambda: running() + waiting() == 24)
        language.gate.set()
        texts = [future.result()[0] for future in asked]
    assert texts == [expected(Sampling(seed=s, max_tokens=40)) for s in range(24)]
    assert completer.engine.stats.turns < 24 * 40 / 4
    assert completer.engine.scheduler.pool.n_held == 0


def test_choices_and_prompts_of_one_request_advance_together(served):
    from descent.generate import Sampling

    url, _, _, completer = served
    texts = ask(url, seed=3, n=4, max_tokens=30)
    assert texts == [expected(Sampling(seed=3, max_tokens=30), choice) for choice in range(4)]
    assert completer.engine.stats.turns < 40


def test_a_client_that_leaves_frees_its_blocks(served):
    url, http, language, completer = served
    sock = open_request(url, {"prompt": "def ", "max_tokens": 400, "stream": True})
    sock.recv(1)
    eventually(lambda: completer.engine.stats.generated_tokens > 3)
    language.gate.clear()
    sock.close()
    gone = {"handler": "/v1/completions", "method": "POST"}
    eventually(lambda: metric(http, "descent_http_requests_total", **gone) == 1)
    language.gate.set()
    eventually(lambda: completer.engine.scheduler.pool.n_held == 0)
    assert completer.engine.stats.generated_tokens < 400
    assert ask(url, max_tokens=3, seed=1)


def test_a_long_prompt_does_not_hold_up_a_running_stream(served):
    url, _, _, completer = served
    completer.engine.scheduler.turn_tokens = 16
    with httpx.stream(
        "POST", f"{url}/v1/completions",
        json={"prompt": "x", "max_tokens": 200, "stream": True, "seed": 1}, timeout=60,
    ) as stream:  # fmt: skip
        lines = stream.iter_lines()
        next(lines)
        long = ask(url, prompt="y" * 300, max_tokens=4, seed=2)
        assert len(long[0]) == 4
        rest = [line for line in lines if line.startswith("data: {")]
    assert len(rest) >= 199


def test_beams_and_constraints_through_the_service(served):
    url, _, _, _ = served
    [text] = ask(url, structured_outputs={"regex": "[a-z]{3}=[0-9]+;"}, max_tokens=20, seed=1)
    assert text[3] == "="
    assert text[-1] == ";"

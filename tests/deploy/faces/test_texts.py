"""Runs and models of text behind an API: OpenAI's paths below it, a short form at it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from descent.deploy.asking import Answer, ask
from descent.deploy.errors import HttpError
from descent.deploy.pool import Context, LoadError
from descent.deploy.service import signature
from descent.deploy.service.opening import open_target
from descent.deploy.service.texts import Completions, Translations
from descent.goals.translate import TranslateOptions
from descent.goals.translate import up as up_translate


@pytest.fixture(scope="module")
def translate_run(tmp_path_factory: Any) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    pairs = runs / "pairs.tsv"
    words = [("one", "eins"), ("two", "zwei"), ("red", "rot"), ("four", "vier")]
    lines = [f"{a[0]} {b[0]}.\t{a[1]} {b[1]}." for a in words for b in words]
    pairs.write_text("\n".join(lines * 8), encoding="utf-8")
    sizes = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_hidden": 16}
    list(up_translate(TranslateOptions(
        data=str(pairs), valid=str(pairs), test=str(pairs), steps=2, runs=runs, vocab_size=280,
        batch_tokens=128, model=sizes, training={"compile": False}, every=2, beam=1)))  # fmt: skip
    return runs / "translate"


@pytest.fixture(scope="module")
def names(names_run: Path) -> Iterator[Completions]:
    service = open_target(names_run, name="babies")
    service.load()
    yield service
    service.unload()


def asked(app: Any, path: str, body: Any = None, method: str = "POST") -> Answer:
    given = b"" if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    context = Context("r1")
    call = ask(
        app, path, given, context=context, method=method, headers=headers, root_path="/babies"
    )
    return asyncio.run(call)


def test_a_names_run_is_openais_api_below_its_name(names: Completions) -> None:
    assert isinstance(names, Completions)
    cards = json.loads(asked(names.asgi, "/v1/models", method="GET").body)
    assert [card["id"] for card in cards["data"]] == ["babies"]
    request = {"model": "babies", "prompt": "ma", "max_tokens": 4, "seed": 1}
    below = asked(names.asgi, "/v1/completions", request)
    assert below.status == 200
    for path in ("", "/"):
        short = asked(names.asgi, path, {"prompt": "ma", "max_tokens": 4, "seed": 1})
        assert short.status == 200
        text = json.loads(short.body)["choices"][0]["text"]
        assert text == json.loads(below.body)["choices"][0]["text"]
    wrong = asked(names.asgi, "", {"prompt": "ma", "max_tokens": -1})
    assert wrong.status == 400
    assert json.loads(wrong.body)["error"]["param"] == "max_tokens"
    assert names.check_health()


def test_a_vanishing_penalty_is_no_division_by_zero(names: Completions) -> None:
    body = {"prompt": "ma", "max_tokens": 4, "repetition_penalty": 1e-320}
    assert asked(names.asgi, "", body).status == 200


def test_its_page_is_written_for_any_path(names: Completions) -> None:
    page = asked(names.asgi, "/", method="GET")
    assert page.status == 200
    assert b'src="static/app.js"' in page.body
    assert b'"/static' not in page.body
    assert asked(names.asgi, "/static/app.js", method="GET").status == 200
    moved = asked(names.asgi, "", method="GET")
    assert moved.status == 307
    assert moved.headers["location"].endswith("/babies/")
    explained = asked(names.asgi, "/explain?model=babies", method="GET")
    assert explained.status in (200, 404)


def test_its_signature_is_the_completion(names: Completions) -> None:
    made = signature.of(names)
    assert "prompt" in made.input_schema["properties"]
    assert "StreamOptions" in made.input_schema["$defs"]
    answer = json.loads(asked(names.asgi, "", made.examples[0]).body)
    jsonschema.validate(made.examples[0], made.input_schema)
    jsonschema.validate(answer, made.output_schema)
    assert made.examples == [{"prompt": "", "max_tokens": 24}]
    assert "/v1/chat/completions" in made.paths
    assert json.loads(json.dumps(made.as_json()))["concurrency"] == 16


def test_a_text_model_before_load_and_with_a_wrong_option(names_run: Path) -> None:
    with pytest.raises(LoadError, match=r"config\.widht: .*it has chat_template"):
        open_target(names_run, {"widht": "int8"})
    fresh = open_target(names_run)
    assert not fresh.check_health()
    with pytest.raises(RuntimeError, match="load"):
        asked(fresh.asgi, "/v1/models", method="GET")


def test_what_is_wrong_with_a_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="`descent pull nobody/nothing` fetches it"):
        open_target("nobody/nothing").load()
    (tmp_path / "config.json").write_text('{"format": "descent-run.v1", "goal": "translate"}')
    with pytest.raises(LoadError, match=r"tokenizer\.json"):
        open_target(tmp_path).load()


def test_a_translation(translate_run: Path) -> None:
    service = open_target(translate_run)
    assert isinstance(service, Translations)
    service.load()
    made = signature.of(service)
    one = service.predict(made.decode_json(b'{"text": "one two."}'))
    several = service.predict(made.decode_json(b'{"text": ["one two.", "red."]}'))
    assert isinstance(one.translation, str)
    assert several.translation[0] == one.translation
    assert json.loads(made.encode_json(service.predict(made.decode_json(b'{"text": []}')))) == {
        "translation": []
    }
    with pytest.raises(HttpError) as error:
        service.predict(made.decode_json(json.dumps({"text": "one " * 4000}).encode()))
    assert error.value.field == "text"
    with pytest.raises(LoadError, match="no options"):
        open_target(translate_run, {"beam": 2})
    service.unload()

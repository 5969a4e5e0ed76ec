"""Any model argument opened for serving: folders, GGUF, names on the hub; widths; explanations."""

import httpx
import numpy as np
import openai
import pytest

import descent as dc
from descent.data.errors import DataError
from descent.data.tokenizers import ByteBPE
from descent.generate.embedding import embedder
from descent.goals.opening import Explainable, open_model
from descent.hub import save
from descent.hub.bundle import Bundle
from descent.hub.cache import ModelCache
from descent.models.building import build
from descent.serve import background_server
from descent.view.pages import explain_routes

TEXT = "the cat sat on the mat and the dog sat on the cat; " * 40
CHAT = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
LLAMA = {
    "vocab_size": 320, "block_size": 128, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_embd": 64,
    "n_hidden": 96, "tie": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    made = ByteBPE.train(TEXT, 319)
    made.register_special_tokens({"<|endoftext|>": made.vocab_size})
    return made


@pytest.fixture(scope="module")
def model():
    dc.manual_seed(7)
    made = build("llama", LLAMA).eval()
    for p in made.parameters():
        p.array *= 3.0  # away from uniform, so that greedy tokens do not hang on rounding
    return made


@pytest.fixture(scope="module")
def bundle(model, tokenizer):
    ends = [tokenizer.special_tokens["<|endoftext|>"]]
    return Bundle.of(
        "llama", LLAMA, model, tokenizer, name="tiny", eos_ids=ends, chat_template=CHAT
    )


@pytest.fixture(scope="module")
def folder(bundle, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny-llama"
    save(bundle, path, format="hf")
    return path


def greedy(model, ids, n):
    ids = list(ids)
    with dc.no_grad():
        for _ in range(n):
            logits, _ = model(dc.from_numpy(np.array([ids])))
            ids.append(int(logits.array[0, -1].argmax()))
    return ids[-n:]


def test_a_folder_serves_what_the_model_says(folder, model, tokenizer):
    opened = open_model(folder)
    completer = opened.completer
    assert (completer.name, completer.info["width"]) == ("tiny-llama", "float32")
    assert completer.info["parameters"] == sum(p.numel() for p in model.parameters())
    expected = greedy(model, tokenizer.encode("the cat"), 12)
    with (
        background_server([completer]) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client,
    ):
        reply = client.completions.create(
            model="tiny-llama", prompt="the cat", max_tokens=12, temperature=0,
            extra_body={"return_token_ids": True, "ignore_eos": True},
        )  # fmt: skip
        assert reply.choices[0].token_ids == expected
        chat = client.chat.completions.create(
            model="tiny-llama", messages=[{"role": "user", "content": "hi"}], max_tokens=3
        )
        assert chat.usage.prompt_tokens == len(tokenizer.encode("<|user|>hi<|assistant|>"))
        vector = client.embeddings.create(model="tiny-llama", input="the cat sat").data[0].embedding
    mean = embedder(model)(tokenizer.encode("the cat sat")).mean(0)
    assert vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-4)


def test_long_texts_are_embedded_in_pieces(folder, model, tokenizer):
    completer = open_model(folder, context=128).completer
    ids = (tokenizer.encode(TEXT) * 2)[:120]
    made = completer.embed(ids)
    assert made.shape == (120, 64)
    assert np.abs(made - embedder(model)(ids)).max() < 1e-3 * np.abs(made).max()
    assert completer.engine.stats.cache_use == 0


def test_gguf_keeps_its_width(bundle, tmp_path):
    path = tmp_path / "tiny-q8.gguf"
    save(bundle, path, format="gguf", dtype="q8_0")
    completer = open_model(path).completer
    assert (completer.name, completer.info["width"]) == ("tiny-q8", "int8")
    assert completer.chat is not None
    assert completer.complete_text("the cat", max_tokens=4, min_tokens=4, seed=1)
    assert open_model(path, width="float32", name="x").completer.name == "x"


def test_a_name_on_the_hub_is_found_where_it_was_pulled(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="`descent pull me/tiny` fetches it"):
        open_model("me/tiny")
    cache, commit = ModelCache("me/tiny"), "d" * 40
    cache.folder.joinpath("snapshots").mkdir(parents=True)
    cache.snapshot(commit).symlink_to(folder)
    cache.point("main", commit)
    assert open_model("me/tiny").completer.name == "me/tiny"


def test_explanations_build_the_modules_when_asked(folder):
    opened = open_model(folder, name="tiny")
    models = Explainable([opened])
    assert list(models) == ["tiny"]
    with (
        background_server([opened.completer], extra_routes=explain_routes(models)) as url,
        httpx.Client(base_url=url, timeout=30) as http,
    ):
        page = http.get("/explain", params={"model": "tiny", "prompt": "the cat"})
        assert page.status_code == 200
        assert "Why this token?" in page.text


def test_what_can_t_be_opened(folder, tmp_path, bundle):
    with pytest.raises(DataError, match="no width 'int3'"):
        open_model(folder, width="int3")
    bare = Bundle("llama", bundle.config, bundle.weights, None, {})
    save(bare, tmp_path / "bare", format="hf")
    with pytest.raises(DataError, match="no tokenizer"):
        open_model(tmp_path / "bare")


def test_for_an_explanation_nothing_is_packed(folder, model, tokenizer):
    opened = open_model(folder, pack=False)
    assert opened.build() is opened.completer.model.model
    expected = tokenizer.decode(greedy(model, tokenizer.encode("the cat"), 3))
    assert opened.completer.complete_text("the cat", max_tokens=3, temperature=0) == expected

"""`descent pretrain`: token files of both kinds, nanoGPT's settings, going on, HellaSwag."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from descent.data.errors import DataError
from descent.data.hellaswag import Question, read_hellaswag, write_hellaswag
from descent.data.shards import open_tokens
from descent.data.tokenizers.chars import CharTokenizer
from descent.goals.events import Ready, Said
from descent.goals.folder import RunError
from descent.goals.loading import load_completer
from descent.goals.pretrain import PretrainOptions, make_tokens, up
from descent.train.choices import choice_accuracy
from descent.train.loop import Finished
from descent.train.pretrain import PRETRAIN_PRESETS, PretrainSettings
from descent.train.settings import learning_rate

TEXT = "hello there, general kenobi. you are a bold one.\n" * 60
SMALL = dict(max_iters=12, batch_size=4, block_size=16, n_layer=1, n_head=2, n_embd=16,
             eval_interval=6, eval_iters=2, warmup_iters=2, compile=False)  # fmt: skip


@pytest.fixture
def text(tmp_path):
    (tmp_path / "t.txt").write_text(TEXT)
    return tmp_path / "t.txt"


def options(data, tmp_path, name="run", **changes) -> PretrainOptions:
    settings = PretrainSettings.from_dict({**SMALL, **changes})
    return PretrainOptions(str(data), settings, name, tmp_path / "runs")


def test_a_text_becomes_tokens_and_a_run_that_serves(text, tmp_path) -> None:
    events = list(up(options(text, tmp_path)))
    assert isinstance(events[-1], Ready)
    tokens = [open_tokens(p) for p in sorted((tmp_path / "runs/run/tokens").glob("*.bin"))]
    assert [len(t) for t in tokens] == [2646, 294]  # train, val: nine tenths and the last one
    completer, run, model = load_completer(tmp_path / "runs/run")
    assert completer.complete_text("hello", max_tokens=3, min_tokens=3, seed=1)
    assert run.config["results"]["val_loss_nats"] > 0
    assert model.ln_f.bias is None


def test_nano_gpt_s_files_without_a_header_and_several_shards(text, tmp_path) -> None:
    tokenizer = CharTokenizer.from_text(TEXT)
    ids = np.array(tokenizer.encode(TEXT), "<u2")
    data = tmp_path / "data"
    data.mkdir()
    ids[:1000].tofile(data / "train_0.bin")
    ids[1000:2600].tofile(data / "train_1.bin")
    ids[2600:].tofile(data / "val.bin")
    events = list(up(options(data, tmp_path)))
    assert any(
        isinstance(e, Said) and "2,600 tokens to learn from in 2 files" in e.text for e in events
    )
    assert any(isinstance(e, Said) and "will not serve" in e.text for e in events)
    (data / "val.bin").unlink()
    with pytest.raises(DataError, match="'val' in their names"):
        list(up(options(data, tmp_path, name="b")))


def test_stopped_and_resumed_ends_with_the_same_bits(text, tmp_path) -> None:
    list(make(text, tmp_path))
    data = tmp_path / "tokens"
    list(up(options(data, tmp_path, "whole", dropout=0.1)))
    asked = iter([False] * 7 + [True] * 100)
    list(up(options(data, tmp_path, "run", dropout=0.1), lambda: next(asked)))
    list(up(options(data, tmp_path, "run", dropout=0.1)))
    runs = tmp_path / "runs"
    one, two = (
        load_file(runs / n / "checkpoints/step-00000012.safetensors") for n in ("whole", "run")
    )
    for name, array in one.items():
        np.testing.assert_array_equal(two[name], array, err_msg=name)
    events = list(up(options(data, tmp_path, "run", max_iters=14)))  # a longer plan goes on
    assert next(e for e in events if isinstance(e, Finished)).step == 14
    with pytest.raises(RunError, match="has n_layer 1, not 2"):
        list(up(options(data, tmp_path, "run", n_layer=2, max_iters=14)))


def make(text, tmp_path):
    return make_tokens(str(text), tmp_path / "tokens", tokenizer="chars", shard_tokens=1000)


def test_shards_are_as_long_as_asked(text, tmp_path) -> None:
    list(make(text, tmp_path))
    sizes = [len(open_tokens(p)) for p in sorted((tmp_path / "tokens").glob("train*.bin"))]
    assert sizes == [1000, 1000, 646]


def test_eval_only_measures_and_changes_nothing(text, tmp_path) -> None:
    list(up(options(text, tmp_path)))
    before = (tmp_path / "runs/run/model.safetensors").read_bytes()
    questions = [Question((1, 2), ((3, 4), (5,), (6, 7), (8,)), 1)]
    write_hellaswag(tmp_path / "h.bin", questions)
    events = list(up(options(text, tmp_path, eval_only=True, hellaswag=str(tmp_path / "h.bin"))))
    assert not any(isinstance(e, Finished) for e in events)
    assert any(isinstance(e, Said) and "HellaSwag: " in e.text for e in events)
    assert (tmp_path / "runs/run/model.safetensors").read_bytes() == before
    config = json.loads((tmp_path / "runs/run/config.json").read_text())
    assert config["results"]["hellaswag"] in (0.0, 1.0)


def test_hellaswag_files(tmp_path) -> None:
    tokenizer = CharTokenizer.from_text("abcdefgh .")
    (tmp_path / "h.jsonl").write_text(
        '{"ctx": "ab", "endings": ["c", "de", "f", "g"], "label": 2}\n'
        '{"ctx": "h", "endings": ["a.", "b", "c", "d"], "label": "0"}\n'
    )
    questions = read_hellaswag(tmp_path / "h.jsonl", tokenizer)
    assert questions[0].endings[1] == tuple(tokenizer.encode(" de"))
    assert [q.label for q in questions] == [2, 0]
    write_hellaswag(tmp_path / "h.bin", questions)
    assert read_hellaswag(tmp_path / "h.bin") == questions
    data = (tmp_path / "h.bin").read_bytes()
    assert np.frombuffer(data[:16], "<i4").tolist() == [20240522, 1, 2, 42]
    for cut in (data[:1030], data[:-4], data[:1024] + bytes(20)):
        (tmp_path / "x.bin").write_bytes(cut)
        with pytest.raises(DataError):
            read_hellaswag(tmp_path / "x.bin")
    (tmp_path / "bad.jsonl").write_text('{"ctx": "ab"}\n')
    with pytest.raises(DataError, match="line 1"):
        read_hellaswag(tmp_path / "bad.jsonl", tokenizer)


def test_the_answer_is_the_ending_of_least_loss_per_token() -> None:
    import descent as dc
    from descent.models.gpt import GPT, GPTConfig

    dc.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8))
    rng = np.random.default_rng(0)
    right = [0, 0]
    questions = []
    for _ in range(20):
        endings = tuple(tuple(map(int, rng.integers(0, 11, n))) for n in rng.integers(1, 5, 4))
        questions.append(
            Question(tuple(map(int, rng.integers(0, 11, 3))), endings, int(rng.integers(4)))
        )
    for q in questions:
        losses = []
        for e in q.endings:  # one after the other, by the model's own loss
            ids = np.array([q.context + e])
            y = np.where(np.arange(1, ids.shape[1]) < len(q.context), -1, ids[0, 1:])[None]
            losses.append(model(dc.from_numpy(ids[:, :-1]), dc.from_numpy(y))[1].item())
        right[0] += int(np.argmin(losses) == q.label)
        right[1] += int(np.argmin([v * len(e) for v, e in zip(losses, q.endings)]) == q.label)
    found = choice_accuracy(model, questions)
    assert [found.normalised, found.summed] == [r / 20 for r in right]
    assert found.questions == 20


def test_settings_are_nano_gpt_s() -> None:
    s = PretrainSettings.from_dict(PRETRAIN_PRESETS["shakespeare-char-cpu"])
    t = s.training()
    want = dict(max_steps=2000, batch_size=12, accumulate=1, learning_rate=1e-3, warmup_steps=100,
                beta1=0.9, beta2=0.99, weight_decay=0.1, clip=1.0, schedule="cosine")  # fmt: skip
    assert {k: getattr(t, k) for k in want} == want
    assert learning_rate(0, t) == pytest.approx(1e-3 / 101)
    assert learning_rate(1999, t) == pytest.approx(1e-4, rel=1e-2)
    shorter = PretrainSettings(lr_decay_iters=1000).training()
    assert learning_rate(1500, shorter) == pytest.approx(1e-4)
    assert PretrainSettings(decay_lr=False).training().schedule == "constant"
    assert PretrainSettings(schedule="wsd").training().schedule == "wsd"
    for name in PRETRAIN_PRESETS:
        PretrainSettings.from_dict(PRETRAIN_PRESETS[name])
    with pytest.raises(ValueError, match="min_lr must be between"):
        PretrainSettings(min_lr=1.0)
    with pytest.raises(ValueError, match=r"unknown settings \['wandb_log'\]"):
        PretrainSettings.from_dict({"wandb_log": True})

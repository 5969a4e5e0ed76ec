"""Every model type a user can name learns text too (names: test_names), and unknown ones are said."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from descent.goals.complete import CompleteOptions, up
from descent.goals.events import Ready
from descent.goals.folder import RunError
from descent.goals.loading import as_completer
from descent.goals.model_types import MODEL_TYPES, model_type
from descent.models.building import MODELS
from descent.train.loop import Evaluated, Stepped

SIZES = {"n_layer": 1, "n_head": 2, "n_embd": 8, "n_hidden": 16, "block_size": 8}


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    for i in range(6):
        lines = [f"line {j} of text {i}: the cat sat on mat {(i * j) % 7}" for j in range(40)]
        (folder / f"{i}.txt").write_text("\n".join(lines))
    return folder


def options(runs, texts, type):
    known = MODELS[MODEL_TYPES[type][0]][0].__dataclass_fields__
    return CompleteOptions(
        data=str(texts), steps=40, runs=runs, type=type, characters=True,
        model={k: v for k, v in SIZES.items() if k in known},
        training={"learning_rate": 0.01, "warmup_steps": 2, "eval_batches": 2},
    )  # fmt: skip


@pytest.mark.parametrize("type", MODEL_TYPES)
def test_learns_text_goes_on_and_completes(type, texts, tmp_path):
    events = list(up(options(tmp_path / "one", texts, type)))
    losses = [e.val_loss for e in events if isinstance(e, Evaluated)]
    assert losses[-1] < losses[0]
    made = []
    stopping = up(options(tmp_path / "two", texts, type), lambda: len(made) >= 17)
    made.extend(event for event in stopping if isinstance(event, Stepped))
    assert len(made) == 17
    *_, ready = up(options(tmp_path / "two", texts, type))
    assert isinstance(ready, Ready)
    one, two = (load_file(tmp_path / k / "complete" / "model.safetensors") for k in ("one", "two"))
    assert all(np.array_equal(one[k], two[k]) for k in one)
    completer = as_completer(ready.run, ready.model, ready.tokenizer)
    assert len(completer.complete_text("the cat sat", max_tokens=20, seed=3)) == 20


def test_every_model_has_a_type():
    assert {kind for kind, _ in MODEL_TYPES.values()} == set(MODELS)


def test_the_users_sizes_take_precedence():
    assert model_type("gru", {"n_embd": 8}) == ("rnn", {"n_embd": 8, "n_hidden": 64, "cell": "gru"})
    with pytest.raises(
        RunError, match="unknown model type 'lstmm'; known: gpt, llama, transformer"
    ):
        model_type("lstmm", {})

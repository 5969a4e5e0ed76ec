"""The floors: every number of a prediction expands to scalars that give the same number."""

import numpy as np
import pytest

import descent.random
from descent.data.tokenizers.bpe import ByteBPE
from descent.generate import Completer
from descent.generate.sessions import ModelLanguage
from descent.models.gpt import GPT, GPTConfig
from descent.view.floors import Explanation
from descent.view.pages import explain_routes, render
from descent.view.terms import largest_terms
from descent.view.text import write

TEXT = "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a - b\n" * 4
PROMPT = "def add(a, b):\n    return"


@pytest.fixture(scope="module")
def explained():
    descent.random.manual_seed(1)
    tokenizer = ByteBPE.train([TEXT], 300)
    config = GPTConfig(
        tokenizer.vocab_size, block_size=16, n_layer=2, n_head=2, n_embd=16, init_std=0.3
    )
    model = GPT(config)
    completer = Completer("tiny", 0, ModelLanguage(model, tokenizer.vocab_size), tokenizer)
    return Explanation(completer, model, PROMPT), completer, model


def test_the_distribution_is_the_softmax_of_the_logits(explained) -> None:
    e, completer, _model = explained
    p = np.exp(e.logits.astype(np.float64))
    np.testing.assert_allclose(e.probabilities, p / p.sum(), rtol=1e-5)
    top = e.candidates(5)
    assert [c.probability for c in top] == sorted((c.probability for c in top), reverse=True)
    assert top[0].id == e.token_id == int(np.argmax(e.logits))
    session = completer.model.session()
    np.testing.assert_allclose(session.feed(e.ids), e.logits, rtol=1e-4, atol=1e-5)


def test_every_op_of_the_prediction_expands_to_the_same_numbers(explained) -> None:
    e, _, _ = explained
    rng = np.random.default_rng(0)
    kinds = set()
    for r in e.trace.records:
        y = r.outputs[0]
        kinds.add(r.op.name)
        for _ in range(2):
            index = tuple(int(rng.integers(n)) for n in y.shape)
            value = r.op.explain(r.arrays, index, r.meta)
            assert value.data == pytest.approx(float(y[index]), rel=2e-5, abs=2e-6), (
                r.op.name,
                index,
            )
    assert {"affine", "layer_norm", "attention", "gelu_tanh", "embedding", "add"} <= kinds


def test_gradients_are_those_of_the_log_probability(explained) -> None:
    e, _, _ = explained
    r = e.record(e.logits_record())
    expected = -e.probabilities.copy()
    expected[e.token_id] += 1
    np.testing.assert_allclose(r.gradient[0, -1], expected, atol=1e-6)
    assert not r.gradient[0, :-1].any()


def test_records_know_where_they_ran(explained) -> None:
    e, _, _model = explained
    r = e.record(e.logits_record())
    assert (r.module, r.module_class) == ("lm_head", "Linear")
    assert r.place.startswith("models/gpt.py:")
    assert [o.name for o in r.origins if o.kind == "parameter"] == ["wte.weight"]
    made_by = next(o.record for o in r.origins if o.kind == "op")
    assert e.record(made_by).module == "ln_f"
    assert {f.path for f in e.layers()} >= {"wte", "h.0.attn.c_attn", "h.1.mlp.c_proj", "ln_f"}


def test_an_element_is_a_sum_of_terms_largest_first(explained) -> None:
    e, _, model = explained
    f = e.element(e.logits_record())
    assert f.index[-1] == e.token_id
    assert f.n_terms == model.config.n_embd
    values = [abs(t.value) for t in f.terms]
    assert values == sorted(values, reverse=True)
    every, _ = largest_terms(f.value, 1000)
    assert sum(t.value for t in every) == pytest.approx(f.computed, rel=1e-5)
    (label_x, x, slope_x), (label_w, w, slope_w) = f.terms[0].leaves
    assert label_x.startswith("x[0, ")
    assert label_w == f"w[{e.token_id}, {label_x.rsplit(', ')[-1]}"
    assert f.terms[0].value == pytest.approx(x * w)
    assert (slope_x, slope_w) == (pytest.approx(w), pytest.approx(x))


def test_the_chain_rule_through_one_element_is_a_finite_difference(explained) -> None:
    """d log p / d(one weight of the head), by the page's product, beside a nudge of that weight."""
    e, _completer, model = explained
    f = e.element(e.logits_record())
    label, weight, slope = f.terms[0].leaves[1]
    column = int(label.rstrip("]").rsplit(", ")[-1])
    head = model.lm_head.weight.array
    logits = e.logits.astype(np.float64)
    x = f.terms[0].leaves[0][1]
    eps = 1e-5
    moved = logits.copy()
    moved[e.token_id] += eps * x
    log_p = lambda z: z[e.token_id] - np.log(np.exp(z - z.max()).sum()) - z.max()  # noqa: E731
    assert f.gradient * slope == pytest.approx((log_p(moved) - log_p(logits)) / eps, rel=1e-3)
    assert head[e.token_id, column] == pytest.approx(weight)


def test_text_and_page_show_the_same_floors(explained) -> None:
    from rich.console import Console

    e, completer, model = explained
    console = Console(width=160, record=True, file=open("/dev/null", "w"))
    write(e, console.print)
    console.file.close()
    text = console.export_text()
    number = e.logits_record()
    page = render(e, {"model": "tiny", "prompt": PROMPT, "token_id": "1"}, number, None)
    logit = f"{e.element(number).computed:.6f}"
    for shown in (text, page):
        assert logit in shown
        assert "lm_head" in shown
        assert "r k, n k" in shown
    assert "<script" not in page
    assert explain_routes({"tiny": (model, None, completer)})[0].path == "/explain"


def test_wrong_questions_get_clear_answers(explained) -> None:
    e, completer, model = explained
    with pytest.raises(ValueError, match=r"op 9999: this prediction ran ops 0 to"):
        e.element(9999)
    with pytest.raises(ValueError, match=r"element \[0, 99\] is outside the output of shape"):
        e.element(0, (0, 99))
    with pytest.raises(ValueError, match="tokens, not one"):
        Explanation(completer, model, PROMPT, token="def add")
    with pytest.raises(ValueError, match="token 100000 is outside"):
        Explanation(completer, model, PROMPT, token=100_000)

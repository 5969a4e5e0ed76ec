"""Beam search beside transformers': the same weights, the same texts and scores."""

import numpy as np
import pytest

from descent.generate import Sampling
from descent.generate.decoder.reference import ReferenceDecoder
from descent.generate.engine import Engine
from tests.generate.engine.models import BYTES, Ids, count_engine, small_gpt

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle
END = 7


def their_gpt(model):
    c = model.config
    config = transformers.GPT2Config(
        vocab_size=c.vocab_size, n_positions=c.block_size, n_embd=c.n_embd, n_layer=c.n_layer,
        n_head=c.n_head, bos_token_id=0, eos_token_id=END, pad_token_id=0,
    )  # fmt: skip
    theirs = transformers.GPT2LMHeadModel(config).eval()
    state = {}
    for name, p in model.state_dict().items():
        value = torch.from_numpy(np.array(p.array))
        transposed = name.endswith(".weight") and (".c_" in name) and "wte" not in name
        state["lm_head.weight" if name == "lm_head.weight" else f"transformer.{name}"] = (
            value.T.contiguous() if transposed else value
        )
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected
    assert all("attn.bias" in name or "masked_bias" in name for name in missing)
    return theirs


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "settings",
    [
        {"beams": 3},
        {"beams": 4, "n": 4, "length_penalty": 0.0},
        {"beams": 4, "n": 2, "early_stopping": True, "length_penalty": 2.0},
        {"beams": 3, "n": 3, "early_stopping": "never", "length_penalty": 1.5},
        {"beams": 2, "no_repeat_ngram_size": 2},
        {"beams": 3, "repetition_penalty": 1.4, "min_tokens": 6},
    ],
    ids=str,
)
def test_as_transformers_finds_them(settings, seed):
    model = small_gpt(seed)
    theirs = their_gpt(model)
    engine = Engine(ReferenceDecoder.of(model, block_tokens=4), Ids(), [END])
    more = {"num_beams": settings["beams"], "num_return_sequences": settings.get("n", 1)}
    more |= {k: v for k, v in settings.items() if k not in ("beams", "n", "min_tokens")}
    if "min_tokens" in settings:
        more["min_new_tokens"] = settings["min_tokens"]
    for prompt in ([3, 1, 4, 1, 5], [9, 2, 6]):
        with torch.no_grad():
            out = theirs.generate(
                torch.tensor([prompt]), max_new_tokens=20, do_sample=False,
                attention_mask=torch.ones(1, len(prompt)), return_dict_in_generate=True,
                output_scores=True, **more,
            )  # fmt: skip
        wanted = [row[len(prompt) :].tolist() for row in out.sequences]
        [made] = engine.generate([prompt], Sampling(max_tokens=20, logprobs=0, **settings))
        for completion, row in zip(made, wanted):
            assert list(completion.ids) == row[: len(completion.ids)]
            assert all(id in (0, END) for id in row[len(completion.ids) :])  # padding
            assert completion.finish_reason == ("stop" if completion.ids[-1] == END else "length")
        if "repetition_penalty" not in settings:
            penalty = settings.get("length_penalty", 1.0)
            scores = [c.logprob / len(c.ids) ** penalty for c in made]
            assert scores == pytest.approx(out.sequences_scores.tolist(), rel=1e-4)
    assert engine.scheduler.pool.n_held == 0


def test_one_beam_more_than_greedy_is_at_least_as_likely():
    engine = count_engine()
    greedy, beam = (
        engine.generate(["def "], Sampling(max_tokens=20, logprobs=0, temperature=0, beams=b))[0][0]
        for b in (1, 5)
    )
    assert beam.logprob >= greedy.logprob


def test_beams_survive_a_small_cache_and_company():
    settings = Sampling(max_tokens=24, beams=3, n=3)
    prompt = BYTES.encode("class Model:\n    def ")
    wanted = [[s.id for s in h] for h in count_engine().submit_all(prompt, settings)]
    engine = count_engine(cache_tokens=128, turn_tokens=8)
    others = [engine.submit(prompt, Sampling(max_tokens=40, seed=s)) for s in range(3)]
    handles = engine.submit_all(prompt, settings)
    assert [[s.id for s in h] for h in handles] == wanted
    assert all(len(list(other)) == 40 for other in others)
    assert engine.stats.preempted > 0
    assert engine.scheduler.pool.n_held == 0


def test_stop_strings_and_cancelling():
    engine = count_engine()
    [[made]] = engine.generate(["import "], Sampling(max_tokens=40, beams=3, stop=("\n",)))
    assert "\n" not in made.text
    handles = engine.submit_all(BYTES.encode("x = "), Sampling(max_tokens=40, beams=4, n=2))
    engine.turn(), engine.turn()
    handles[0].cancel()
    assert engine.scheduler.pool.n_held > 0  # the other reader still waits
    handles[1].cancel()
    assert engine.scheduler.pool.n_held == 0

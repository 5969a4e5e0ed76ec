"""A compiled step trains as an uncompiled one, resumes to the bit, and can be switched off."""

import numpy as np
import pytest

import descent.random
from descent.models.nplm import NPLM, NPLMConfig
from descent.train.loop import Compiled, Finished, Stepped, Training
from descent.train.nonfinite import NonFiniteError
from descent.train.passes import MOST_SHAPES, Passes
from descent.train.settings import TrainSettings
from tests.train.test_training import TOKENS, Batches, training, weights


def losses(events):
    return [e.loss for e in events if isinstance(e, Stepped)]


def test_the_same_losses_and_norms_as_uncompiled(tmp_path) -> None:
    plain = training(tmp_path / "a")
    wanted = list(plain.run())
    compiled = training(tmp_path / "b", compile=True)
    got = list(compiled.run())
    (said,) = [e for e in got if isinstance(e, Compiled)]
    assert not said.why_not
    assert said.seconds > 0
    assert not [e for e in wanted if isinstance(e, Compiled)]
    np.testing.assert_allclose(losses(got), losses(wanted), atol=1e-5)
    norms = [[e.grad_norm for e in run if isinstance(e, Stepped)] for run in (got, wanted)]
    np.testing.assert_allclose(norms[0], norms[1], atol=1e-5)
    for name, w in weights(plain).items():
        np.testing.assert_allclose(weights(compiled)[name], w, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_interrupted_and_resumed_equals_uninterrupted_to_the_last_bit(tmp_path, accumulate) -> None:
    how = {"accumulate": accumulate, "compile": True}
    whole = training(tmp_path / "a", **how)
    list(whole.run())
    first = training(tmp_path / "b", **how)
    first.should_stop = lambda: first.step >= 7
    assert [e.reason for e in first.run() if isinstance(e, Finished)] == ["stopped"]
    descent.random.rand((50,))  # a new process would have another random state
    second = training(tmp_path / "b", **how)
    latest = second.latest()
    assert latest is not None
    second.resume(latest)
    list(second.run())
    for name, w in weights(whole).items():
        np.testing.assert_array_equal(weights(second)[name], w, err_msg=name)


def test_accumulated_gradients_are_those_of_the_uncompiled_run(tmp_path) -> None:
    how = {"accumulate": 3, "max_steps": 4}
    wanted = losses(training(tmp_path / "a", **how).run())
    got = losses(training(tmp_path / "b", **how, compile=True).run())
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_a_loss_that_is_not_finite_changes_nothing(tmp_path) -> None:
    t = training(tmp_path, compile=True)
    t.one_step()
    t.model.wte.weight.array[...] = np.inf
    before = weights(t)
    with pytest.raises(NonFiniteError, match=r"wte\.weight holds infinity"):
        t.one_step()
    for name, w in weights(t).items():
        np.testing.assert_array_equal(before[name], w, err_msg=name)


class Uneven(Batches):
    """Every fourth batch is shorter, each time by another number of rows."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0

    def next(self):
        self.made += 1
        x, y = super().next()
        rows = 4 if self.made % 4 else 1 + self.made // 4 % 3
        return x[:rows], y[:rows]


def test_shapes_met_once_run_uncompiled_and_are_in_the_checkpoint(tmp_path) -> None:
    t = training(tmp_path, compile=True, max_steps=9)
    t.batches = Uneven()
    list(t.run())
    assert t.shapes == [[4, 8], [2, 8], [3, 8]]
    assert t.passes.step is not None
    assert len(t.passes.step.programs) == 1  # only the first shape came twice
    again = training(tmp_path, compile=True)
    latest = again.latest()
    assert latest is not None
    again.resume(latest)
    assert again.shapes == t.shapes


def test_no_more_shapes_than_a_few_are_compiled(tmp_path) -> None:
    shapes: list[list[int]] = []
    passes = Passes(training(tmp_path).model, clip=None, accumulate=1, compiled=True, shapes=shapes)
    rows = np.stack([TOKENS[i : i + 8] for i in range(6)])
    known = [passes._known(rows[:n].shape) for n in (4, 4, 1, 1, 2, 3, 3, 5)]
    assert known == [True, True, False, True, False, False, False, False]
    assert len(shapes) == MOST_SHAPES


def test_a_model_that_cannot_be_captured_says_why_and_trains(tmp_path) -> None:
    def run(folder, compile):
        t = training(folder, compile=compile)
        forward = t.model.forward

        def looks(x, y):
            logits, loss = forward(x, y)
            return logits, loss if float(loss.item()) < 100 else loss * 0.5

        t.model.forward = looks
        return list(t.run())

    events = run(tmp_path / "b", True)
    (said,) = [e for e in events if isinstance(e, Compiled)]
    assert "item" in said.why_not
    np.testing.assert_array_equal(losses(events), losses(run(tmp_path / "a", False)))


class Rows:
    """Windows of four tokens and the one that follows."""

    def next(self):
        x = np.stack([TOKENS[i : i + 4] for i in range(12)])
        return x, TOKENS[4:16, None]


def test_running_statistics_move_and_flags_are_seen(tmp_path) -> None:
    """What the model keeps beside its parameters: the step sees into it."""

    def run(compile):
        descent.random.manual_seed(1)
        model = NPLM(NPLMConfig(11, block_size=4, n_embd=4, n_hidden=8, pad=0, batch_norm=True))
        t = Training(model, Rows(), TrainSettings(compile=compile), tmp_path, list, list)  # type: ignore[arg-type]
        for _ in range(3):
            t.one_step()
        model.eval()  # running statistics from here on
        return t, [t.one_step().loss for _ in range(2)]

    (plain, wanted), (compiled, got) = run(False), run(True)
    assert compiled.passes.step is not None
    assert not compiled.passes.step.refused
    assert compiled.model.norm.num_batches_tracked.item() == 3
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    for name, w in weights(plain).items():
        np.testing.assert_allclose(weights(compiled)[name], w, atol=1e-5, err_msg=name)

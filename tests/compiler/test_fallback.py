"""What a compiled form can't contain runs as eager code does, with a message; never a wrong result."""

import io
import logging
import os
import sys
import threading

import numpy as np
import pytest

import descent as dc
from descent import nn, optim
from descent.autograd import observe
from descent.compiler.shadow import Shadow
from tests.compiler import outside, refusing
from tests.compiler.beside import beside


@pytest.fixture(autouse=True)
def as_written(monkeypatch):
    monkeypatch.setenv("DESCENT_COMPILE", "0")


PROGRAMS = {**refusing.PROGRAMS, **outside.PROGRAMS}


@pytest.mark.parametrize("name", PROGRAMS)
def test_equal_or_refused(name):
    build, given = PROGRAMS[name]
    beside(build, **given)


def refusal(fn, *args, caplog=None):
    step = dc.compile(fn)
    step(*args)
    assert step.refused is not None
    return step.refused


def test_messages_say_what_and_where(caplog):
    with caplog.at_level(logging.WARNING, "descent.compile"):
        why = refusal(lambda x: print("x", file=io.StringIO()) or x * 2, dc.ones(2))
        assert "test_fallback.py" in why
        assert "print()" in why
        assert "item" in refusal(lambda x: x * x.sum().item(), dc.ones(2))
        assert "numpy" in refusal(lambda x: x * float(x.numpy().sum()), dc.ones(2))
        state = {"n": 0}
        assert "n changed from 0 to 1" in refusal(
            lambda x: state.update(n=state["n"] + 1) or x * 1, dc.ones(2)
        )
        assert state["n"] == 1
        items = iter([1])
        assert "iterator" in refusal(lambda x: (x, items)[0], dc.ones(2))
    assert len(caplog.records) == 5
    assert all("runs uncompiled" in r.getMessage() for r in caplog.records)


def test_what_is_refused_prints_once(capsys):
    step = dc.compile(lambda x: print("seen") or x * 2)
    step(dc.ones(2))
    assert capsys.readouterr().out == "seen\n"


def test_an_error_in_the_step_leaves_nothing_half_done():
    w = dc.randn(3).requires_grad_()
    opt = optim.SGD([w], 0.1, momentum=0.9)
    before = w.numpy(force=True).copy()

    @dc.compile
    def step(x):
        opt.zero_grad()
        (w * x).sum().backward()
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        step(dc.ones(3))
    assert not isinstance(w.array, Shadow)
    np.testing.assert_array_equal(w.array, before)
    assert not opt.state_dict()["state"]
    assert dc.randn(2).sum().item() is not None  # draws are draws again


def test_recompiling_says_why(caplog):
    scale = 2.0
    step = dc.compile(lambda x: x * scale)
    with caplog.at_level(logging.INFO, "descent.compile"):
        step(dc.ones(2))
        assert not caplog.records
        scale = 3.0
        assert step(dc.ones(2)).tolist() == [3.0, 3.0]
        assert step(dc.ones(4)).tolist() == [3.0] * 4
    messages = [r.getMessage() for r in caplog.records]
    assert "scale changed from 2.0 to 3.0" in messages[0]
    assert "float32" in messages[1] or "f4" in messages[1]


def test_a_wrong_index_changes_nothing_but_raises():
    w = dc.randn(5, 2).requires_grad_()
    opt = optim.AdamW([w], 0.1)

    @dc.compile
    def step(ids):
        opt.zero_grad()
        w[ids].sum().backward()
        opt.step()

    step(dc.tensor([0, 4]))
    before, count = w.array.copy(), float(opt.state[w]["step"].array)
    for bad in ([0, 5], [-6, 1]):
        with pytest.raises(IndexError):
            step(dc.tensor(bad))
        np.testing.assert_array_equal(w.array, before)
        assert float(opt.state[w]["step"].array) == count
    step(dc.tensor([0, -1]))
    assert float(opt.state[w]["step"].array) == count + 1
    assert step.refused is None


def test_draws_of_other_threads_stay_theirs():
    got = []

    def other():
        got.append(dc.randn(3))

    def step(x):
        t = threading.Thread(target=other)
        t.start()
        t.join()
        return x * 2

    dc.compile(step)(dc.ones(2))
    assert not isinstance(got[0].array, Shadow)


def test_captures_in_two_threads():
    results = {}

    def work(k):
        step = dc.compile(lambda x: (x * k).tanh() + k)
        results[k] = [step(dc.ones(3) * i).numpy() for i in range(5)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k in range(4):
        for i in range(5):
            np.testing.assert_allclose(results[k][i], np.tanh(i * np.float32(k)) + k, rtol=1e-5)


def test_one_step_in_two_threads():
    w = dc.ones(3)
    step = dc.compile(lambda x: ((x + w).tanh() * 2).exp())
    step(dc.zeros(3))
    wrong = []

    def work(k):
        x = dc.ones(3) * k
        expected = np.exp(np.tanh(x.numpy() + 1) * 2)
        for _ in range(50):
            if not np.allclose(step(x).numpy(), expected, rtol=1e-5):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in (-2, 1, 3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_after_the_model_is_gone():
    model = nn.Linear(3, 2)
    expected = model(dc.ones(1, 3)).tolist()
    step = dc.compile(model.forward)
    step(dc.ones(1, 3))
    del model
    np.testing.assert_allclose(step(dc.ones(1, 3)).tolist(), expected, rtol=1e-6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_in_a_forked_process(monkeypatch):
    step = dc.compile(lambda x: x * 2 + 1)
    assert step(dc.ones(2)).tolist() == [3.0, 3.0]
    pid = os.fork()
    if pid == 0:
        good = step(dc.ones(2) * 3).tolist() == [7.0, 7.0]
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no folder is read-only there")
def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DESCENT_CACHE", str(tmp_path / "file"))
    step = dc.compile(lambda x: x * 2 - 1)
    assert step(dc.ones(2)).tolist() == [1.0, 1.0]
    assert step.refused is None


def test_a_profiler_is_put_back():
    def mine(frame, event, called):
        pass

    before = sys.getprofile()
    sys.setprofile(mine)
    try:
        dc.compile(lambda x: x * 2)(dc.ones(2))
        assert sys.getprofile() is mine
    finally:
        sys.setprofile(before)


def test_under_a_trace_every_op_runs():
    seen = []
    step = dc.compile(lambda x: x.tanh() * 2)
    step(dc.ones(2))
    with observe(lambda op, *rest: seen.append(op.name)):
        step(dc.ones(2))
    assert seen == ["tanh", "mul"]


def test_a_failing_compiler_falls_back(monkeypatch, caplog):
    from descent.compiler import program

    def broken(*args, **kwargs):
        raise KeyError("a bug")

    monkeypatch.setattr(program, "write", broken)
    step = dc.compile(lambda x: x * 2)
    with caplog.at_level(logging.WARNING, "descent.compile"):
        assert step(dc.ones(2)).tolist() == [2.0, 2.0]
    assert "KeyError" in step.refused


def test_scanning_adds_gradients_up_as_calls_do():
    w, v = (dc.ones(3).requires_grad_() for _ in range(2))
    xs = dc.randn(4, 3)
    for x in xs:
        (v * x).tanh().sum().backward()
    step = dc.compile(lambda x: (w * x).tanh().sum().backward())
    step(xs[0])
    w.grad = None
    step.scan(xs)
    np.testing.assert_allclose(w.grad.array, v.grad.array, rtol=1e-5)


def test_scanning_makes_constants_anew():
    step = dc.compile(lambda x: dc.zeros(2).add_(x))
    step(dc.ones(2))
    assert step.scan(dc.ones(3, 2)).tolist() == [[1.0, 1.0]] * 3

"""The compiled step beside the eager one: timed, its loops listed, a refusal told."""

import dataclasses

import pytest

from descent.costs import profile
from descent.costs.compiled import compiled_times
from descent.costs.errors import CostError
from descent.costs.presets import preset_work
from tests.costs.test_counting import MACHINE


def test_a_compiled_step_is_timed_and_its_loops_sum_up(monkeypatch):
    monkeypatch.setenv("DESCENT_COMPILE", "0")  # the written file as plain Python: no compilation
    report = profile(preset_work("bigram", batch=2), seconds=0.01, machine=MACHINE, compiled=True)
    c = report.compiled
    assert c.step_s > 0
    assert len(c.loops) > 1
    assert sum(c.share(x) for x in c.loops) == pytest.approx(1)
    assert [x.seconds for x in c.loops] == sorted((x.seconds for x in c.loops), reverse=True)
    assert "compiled" in report.to_dict()


def test_it_is_the_same_step(monkeypatch):
    """The compiled step trains: the loss falls as in the eager one."""
    monkeypatch.setenv("DESCENT_COMPILE", "0")
    work = preset_work("bigram", batch=2)
    before = [p.array.copy() for p in work.model.parameters()]
    compiled_times(work, 0.001)
    assert any((p.array != b).any() for p, b in zip(work.model.parameters(), before))
    assert all(p.grad is None for p in work.model.parameters())


def test_what_can_not_be_compiled_says_why():
    with pytest.raises(CostError, match="inference"):
        compiled_times(preset_work("bigram", batch=2, training=False), 0.01)
    work = preset_work("bigram", batch=2)

    def looks_at_numbers(batches):
        return work.step(batches) if float(work.model.table.weight.sum()) > -1 else None

    with pytest.raises(CostError, match="bigram can't be compiled: "):
        compiled_times(dataclasses.replace(work, step=looks_at_numbers), 0.01)

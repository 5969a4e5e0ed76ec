"""The memory kept count of, against arrays made by hand and against Python's own tracing."""

import gc
import tracemalloc

import numpy as np
import pytest

from descent.costs import profile
from descent.costs.memory import Ledger
from tests.costs.test_counting import MACHINE, gpt_work

NUMPY_DOMAIN = np.lib.tracemalloc_domain


def test_views_count_once_and_the_dead_not_at_all():
    ledger = Ledger()
    a = np.zeros(1000, np.float32)
    ledger.see([a, a[10:], a.reshape(10, 100).T])
    assert ledger.live == 4000
    view = a[::2]
    b = np.zeros(500, np.float32)
    ledger.see([b])
    assert (ledger.live, ledger.peak) == (6000, 6000)
    del a, b
    assert ledger.live == 4000  # the view keeps its owner
    del view
    assert (ledger.live, ledger.peak) == (0, 6000)


@pytest.fixture(scope="module")
def work():
    return gpt_work(batch=8)


def test_memory_returns_to_the_start_after_a_step(work):
    report = profile(work, seconds=0.01, machine=MACHINE)
    batch = 2 * 8 * 32 * 8  # x and y, which the test holds
    assert report.start_bytes <= report.end_bytes <= report.start_bytes + batch + 4096
    assert report.peak_bytes > 1.5 * report.start_bytes
    assert report.entries[-1].live_bytes == report.end_bytes


def test_weights_and_moments_are_there_at_the_start(work):
    n = sum(p.numel() for p in work.model.parameters())
    report = profile(work, seconds=0.01, machine=MACHINE)
    assert report.start_bytes == pytest.approx(3 * 4 * n, rel=0.01)  # θ, m, v


def test_the_forward_pass_agrees_with_what_python_traces(work):
    """What a forward pass leaves alive, counted by the ledger and by NumPy's own allocations."""
    profile(work, seconds=0.01, machine=MACHINE)  # warm
    report = profile(work, seconds=0.01, machine=MACHINE)
    last = [e for e in report.entries if e.phase == "forward"][-1]
    gc.collect()
    tracemalloc.start()
    try:
        loss = work.forward()
        snapshot = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    only = snapshot.filter_traces([tracemalloc.DomainFilter(True, NUMPY_DOMAIN)])
    traced = sum(s.size for s in only.statistics("filename"))
    assert loss.requires_grad
    assert last.live_bytes - report.start_bytes == pytest.approx(traced, rel=0.05)

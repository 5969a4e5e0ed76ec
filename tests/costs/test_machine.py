"""The machine is measured once and kept; a damaged file is measured again."""

import json

import pytest

from descent.costs import machine as m


@pytest.fixture
def measured(monkeypatch, tmp_path):
    monkeypatch.setenv("DESCENT_CACHE", str(tmp_path))
    monkeypatch.setattr(m, "BUDGET_S", 0.02)
    monkeypatch.setattr(m.os, "getloadavg", lambda: (0.0, 0.0, 0.0), raising=False)
    monkeypatch.setattr(m, "SIZES", (1 << 18, 1 << 20))
    return m.measure_machine()


def test_it_is_measured(measured):
    assert measured.gflops > 0.1
    assert measured.threads == m.n_threads()
    assert [b.bytes for b in measured.bandwidths] == [1 << 18, 1 << 20]
    assert all(b.best > 0.01 for b in measured.bandwidths)
    assert "GFLOP/s" in measured.line()


def test_it_is_kept(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(m, "_measure", lambda: pytest.fail("measured a second time"))
    assert m.measure_machine() == measured


def test_other_threads_are_another_machine(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(m, "n_threads", lambda: 7)
    assert m.measure_machine().threads == 7
    assert len(list(tmp_path.rglob("*.json"))) == 2


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"cpu": 1})])
def test_a_damaged_file_is_measured_again(measured, tmp_path, text):
    (file,) = tmp_path.rglob("*.json")
    file.write_text(text)
    assert m.measure_machine().gflops > 0
    assert json.loads(file.read_text())["gflops"] > 0


def test_asked_again_it_measures(measured, monkeypatch):
    other = m.Machine("other", 1, 1.0, "", measured.bandwidths, {})
    monkeypatch.setattr(m, "_measure", lambda: other)
    assert m.measure_machine(again=True) == other
    assert m.measure_machine() == other


def test_measured_beside_other_work_it_is_measured_again_and_the_best_kept(measured, monkeypatch):
    (first,) = {b.bytes: b for b in measured.bandwidths[:1]}.values()
    slow = m.Bandwidth(first.bytes, first.one / 2, first.all * 2)
    busy = m.Machine("x", 2, 10.0, "a", (slow,), {}, busy=True)
    idle = m.Machine("x", 2, 7.0, "b", (first,), {})
    found = iter([busy, idle])
    monkeypatch.setattr(m, "_measure", lambda: next(found))
    assert m.measure_machine(again=True).busy
    second = m.measure_machine()
    assert (second.gflops, second.gemm, second.busy) == (10.0, "a", False)
    assert second.bandwidths == (m.Bandwidth(first.bytes, first.one, first.all * 2),)
    assert m.measure_machine() == second  # kept

"""The machine is measured once and kept; a damaged file is measured again."""

import json

import pytest

from descent.costs import machine as m


@pytest.fixture
def measured(monkeypatch, tmp_path):
    monkeypatch.setenv("DESCENT_CACHE", str(tmp_path))
    monkeypatch.setattr(m, "BUDGET_S", 0.02)
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

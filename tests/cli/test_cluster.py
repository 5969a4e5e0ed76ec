"""`descent cluster` where no cluster runs, and the manifests it writes."""

from __future__ import annotations

import importlib.util
import json

import pytest
from typer.testing import CliRunner

from descent.cli.main import assemble

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="ray is not installed: pip install 'descent-ml[ray]'",
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("DESCENT_HOME", str(tmp_path / "home"))
    return lambda *words: CliRunner().invoke(assemble("cluster"), ["cluster", *words])


@pytest.mark.parametrize(
    ("command", "code", "plain", "data"),
    [
        ("info", 0, "no cluster runs", {"running": False}),
        ("down", 0, "no cluster ran", {"ended": False}),
        ("health", 1, "`descent cluster up` starts one", None),
    ],
)
def test_without_a_cluster(run, command, code, plain, data):
    said = run(command)
    assert (said.exit_code, plain in said.stdout) == (code, True)
    said = json.loads(run(command, "-o", "json").stdout)
    assert said == data if data else said["healthy"] is False


@needs_ray
def test_writes_manifests(run, tmp_path):
    (tmp_path / "spec").mkdir()
    (tmp_path / "spec" / "sorter.py").write_text("class Sorter: ...\n")
    spec = tmp_path / "spec" / "spec.yaml"
    spec.write_text("{name: sorter, kind: RealtimeAPI, service: 'sorter.py:Sorter'}")
    said = run("manifests", str(spec), "--out", str(tmp_path / "out"))
    assert said.exit_code == 0, said.output
    written = said.stdout.split()
    assert str(tmp_path / "out" / "k8s" / "rayservice.yaml") in written
    assert str(tmp_path / "out" / "Dockerfile") in written

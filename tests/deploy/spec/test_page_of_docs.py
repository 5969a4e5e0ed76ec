"""docs/deploy/spec.md is true: its specs are read, its Python runs, its table names every field."""

import re
from pathlib import Path

import pytest

from descent.deploy.spec import Container, SpecError, read_specs
from descent.deploy.spec.containers import Compute
from descent.deploy.spec.kinds import Spec
from descent.deploy.spec.sections import Autoscaling, Networking, Pod, Split, UpdateStrategy

PAGE = (Path(__file__).parents[3] / "docs/deploy/spec.md").read_text(encoding="utf-8")


def blocks(language):
    parts = re.split(r"^```(\w*)$\n", PAGE, flags=re.M)  # text, opening, code, closing, text …
    return [code for kind, code in zip(parts[1::4], parts[2::4]) if kind == language]


def test_the_specs_are_read_and_their_errors_are_these(tmp_path):
    (text,) = blocks("yaml")
    assert [spec.name for spec in read_specs(text)] == ["sorter", "legacy-router"]
    path = tmp_path / "apis.yaml"
    path.write_text(text.replace("max_concurrency: 8", "max_concurrency: 40000"))
    with pytest.raises(SpecError) as caught:
        read_specs(path)
    shown = next(block for block in blocks("") if "40000" in block).splitlines()
    assert str(caught.value) == f"{tmp_path}/{shown[0]}"
    path.write_text(text.replace("timeout_s", "timout_s"))
    with pytest.raises(SpecError) as caught:
        read_specs(path)
    assert str(caught.value) == f"{tmp_path}/{shown[1]}"


def test_the_python_runs(tmp_path, monkeypatch):
    (tmp_path / "sorter.py").write_text("class Sorter: ...")
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    exec(code, {})


def test_every_field_is_in_the_tables():
    tables = "\n".join(line for line in PAGE.splitlines() if line.startswith("|"))
    patterns = {
        "downscale_stabilization_period": "…_period",
        "upscale_stabilization_period": "…_period",
    }
    for name in ("max_downscale_factor", "max_upscale_factor"):
        patterns[name] = "…_factor"
    for name in ("downscale_tolerance", "upscale_tolerance"):
        patterns[name] = "…_tolerance"
    models = [Spec, Pod, Container, Compute, Autoscaling, UpdateStrategy, Networking, Split]
    for name in {name for model in models for name in model.model_fields}:
        assert patterns.get(name, name) in tables, name

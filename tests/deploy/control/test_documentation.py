"""The page is true: its Python runs against a node, its commands and addresses exist."""

import re
import subprocess
import sys
from pathlib import Path

from descent.cli.main import COMMANDS
from descent.deploy.control.openapi import OPERATIONS

PAGE = (Path(__file__).parents[3] / "docs/deploy/control.md").read_text(encoding="utf-8")


def test_the_python_runs(node, tmp_path, monkeypatch):
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    (tmp_path / "sorter.py").write_text(
        "class Sorter:\n    def predict(self, values: list[int]) -> list[int]:\n"
        "        return sorted(values)\n"
    )
    monkeypatch.setenv("DESCENT_HOME", str(node.home.path))
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_the_commands_exist():
    known = {name for names in COMMANDS.values() for name in names}
    said = set(re.findall(r"`?descent ([a-z]+)", PAGE)) - {"deploy"}
    assert said
    assert said <= known


def test_the_addresses_exist():
    known = {path for _, path, *_ in OPERATIONS}
    said = set(re.findall(r"(/-/[a-z{}/]+)", PAGE)) - {"/-/openapi"}
    assert said
    assert said <= known


def test_the_variables_exist():
    from dataclasses import fields

    from descent.deploy.control.settings import NodeSettings

    known = {
        f"DESCENT_{field.name.upper().removesuffix('_BYTES')}" for field in fields(NodeSettings)
    }
    assert set(re.findall(r"DESCENT_[A-Z_]+", PAGE)) <= known

"""docs/deploy/faces.md is true: its service is deployed, its lines are run, its client works."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.faces.site import site

PAGE = (Path(__file__).parents[3] / "docs/deploy/faces.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8080"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def houses(tmp_path_factory: Any) -> Any:
    folder = Path(tmp_path_factory.mktemp("docs"))
    (folder / "houses.py").write_text(blocks("python")[0], encoding="utf-8")
    with site(folder, houses=f"{folder}/houses.py:Houses") as url:
        yield url


def test_the_lines(houses: str) -> None:
    [block] = blocks("sh")
    lines = block.strip().split("\n")
    assert len(lines) == 4
    for command, shown in zip(lines[::2], lines[1::2], strict=True):
        said = subprocess.run(
            ["sh", "-c", command.replace(ADDRESS, houses) + " -s"], capture_output=True, check=True
        )
        found = json.loads(said.stdout)
        if "error" in found:
            found["error"]["request_id"] = "…"
        assert found == json.loads(shown[2:].replace(": …", ': "…"'))


def test_the_client(houses: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    module = types.ModuleType("client")
    source = httpx.get(f"{houses}/houses/-/client.py").text
    exec(compile(source, "client.py", "exec", dont_inherit=True), module.__dict__)
    monkeypatch.setitem(sys.modules, "client", module)
    code = blocks("python")[1]
    exec(compile(code, "faces.md", "exec", dont_inherit=True), {})
    assert capsys.readouterr().out.strip() == re.findall(r"# ([\d.]+)\n", code)[0]


def test_the_addresses(houses: str) -> None:
    for path in re.findall(r"^\| `GET (/\S+)`", PAGE, re.MULTILINE):
        assert httpx.get(houses + path).status_code == 200, path
    assert httpx.get(f"{houses}/openapi.json").status_code == 200

"""`descent pull` and `descent models` on the command line."""

import json

import pytest
from typer.testing import CliRunner

from descent.cli.main import app
from tests.hub.local_hub import COMMIT, Repo, local_hub

FILES = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": bytes(12_345)}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("DESCENT_CACHE", str(tmp_path / "descent"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    repos = {"me__tiny": Repo(dict(FILES), frozenset({"model.safetensors"})), "openai-community__gpt2": Repo(dict(FILES))}  # fmt: skip
    with local_hub(**repos) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def run(*arguments):
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_pull_says_the_size_first_and_where_it_is(hub):
    result = run("pull", "me/tiny", "--dry-run")
    assert result.exit_code == 0
    assert "12.3 kB" in result.output
    assert f"me/tiny at {COMMIT[:12]}" in result.output
    assert "licence mit" in result.output
    assert not [path for _, path, _ in hub.seen if "/resolve/" in path]
    result = run("pull", "me/tiny")
    assert "It is in" in result.output
    again = run("pull", "me/tiny")
    assert again.output.count("(here already)") == 3
    offline = run("pull", "me/tiny", "--offline")
    assert offline.output.strip().endswith(COMMIT)


def test_models_as_json_and_as_a_table(hub):
    run("pull", "gpt2")
    result = run("models", "-o", "json", "--no-measure")
    rows = {row["name"]: row for row in json.loads(result.output)["models"]}
    assert rows["gpt2"]["here"].endswith(COMMIT)
    assert rows["gpt2-xl"]["here"] is None
    assert rows["llama-3.2-1b"]["gated"] is True
    table = run("models", "--no-measure").output
    assert "124 M" in table
    assert "Apache-2.0" in table
    assert run("models", "-o", "yaml").exit_code == 2

"""`descent generate`: prompts from everywhere, texts to everywhere."""

import json
import re

import pytest
from typer.testing import CliRunner

from descent.cli.main import app, main
from descent.data.tokenizers import ByteBPE
from descent.hub import save
from descent.hub.bundle import Bundle
from descent.models.building import build

CONFIG = {"vocab_size": 300, "block_size": 48, "n_layer": 1, "n_head": 2, "n_embd": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tokenizer = ByteBPE.train("the cat sat on the mat " * 50, 270)
    path = tmp_path_factory.mktemp("models") / "tiny"
    save(Bundle.of("gpt", CONFIG, build("gpt", CONFIG), tokenizer), path, format="hf")
    return path


def run(folder, *arguments, text=None):
    result = CliRunner().invoke(
        app, ["generate", str(folder), *map(str, arguments)], input=text, catch_exceptions=False
    )
    assert result.exit_code == 0
    return result.stdout


def test_a_seed_gives_the_same_texts_and_the_prefix_is_optional(folder):
    settings = ("--prompt", "the cat", "--seed", 4, "--max-tokens", 12)
    with_prefix = run(folder, *settings)
    assert with_prefix.startswith("the cat")
    assert run(folder, *settings) == with_prefix
    assert "the cat" + run(folder, *settings, "--no-include-prefix") == with_prefix
    assert run(folder, *settings, "--stream") == with_prefix
    assert run(folder, "--prompt", "-", *settings[2:], text="the cat") == with_prefix


def test_many_texts_and_prompts(folder, tmp_path):
    lines = tmp_path / "prompts.txt"
    lines.write_text("the\n\ncat\n")
    out = run(
        folder,
        "--prompts",
        lines,
        "--prompt",
        "mat",
        "-n",
        2,
        "--delimiter",
        "@@",
        "--max-tokens",
        5,
    )
    texts = out.split("\n@@\n")
    assert len(texts) == 6
    assert [re.match("mat|the|cat", t)[0] for t in texts] == [
        "mat",
        "mat",
        "the",
        "the",
        "cat",
        "cat",
    ]


def test_jsonl_in_and_out_to_a_file(folder, tmp_path):
    asked = tmp_path / "prompts.jsonl"
    asked.write_text('{"prompt": "the"}\n"cat"\n')
    out = tmp_path / "texts.jsonl"
    run(folder, "--prompts", asked, "--out", out, "-o", "jsonl", "--max-tokens", 4, "--seed", 1)
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [record["prompt"] for record in records] == ["the", "cat"]
    assert all(record["tokens"] == 4 for record in records)
    assert all(record["finish_reason"] == "length" for record in records)


def test_truncate_is_independent_of_the_prefix(folder):
    """gpt-2-simple's pains: the prompt may hold the stop, and the prefix is as asked."""
    settings = ("--prompt", "a e b", "--truncate", "e", "--seed", 2, "--max-tokens", 30)
    kept = run(folder, *settings)
    assert kept.startswith("a e b")
    assert "e" not in kept.removeprefix("a e b")
    assert run(folder, *settings, "--no-include-prefix") == kept.removeprefix("a e b")


def test_constraints_and_beams(folder, tmp_path):
    assert re.fullmatch(r"\d+;\n", run(folder, "--regex", r"\d+;", "--no-include-prefix"))
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "array", "items": {"type": "boolean"}, "maxItems": 2}')
    made = json.loads(run(folder, "--json-schema", schema, "--max-tokens", 20))
    assert isinstance(made, list)
    assert run(folder, "--choice", "yes", "--choice", "no").strip() in ("yes", "no")
    assert run(folder, "--beams", 2, "--max-tokens", 6)


def test_a_prompt_longer_than_the_context_keeps_its_end(folder):
    assert len(run(folder, "--prompt", "word " * 200, "--max-tokens", 8, "--no-include-prefix"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--temperature", "-1"], "temperature is -1"),
        (["--regex", "a("], "not closed at character 1"),
        (["--regex", "a", "--json"], "keep to only one of them"),
        (["-o", "xml"], "use text or jsonl"),
        (["--prompts", "none.txt"], "can't read the prompts"),
    ],
)
def test_wrong_settings_are_one_sentence(folder, monkeypatch, capsys, arguments, words):
    monkeypatch.setattr("sys.argv", ["descent", "generate", str(folder), *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    assert words in " ".join(capsys.readouterr().err.split())

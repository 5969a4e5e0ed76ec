"""`descent serve` on the command line: what it opens, what it refuses, what it says."""

import pytest
from typer.testing import CliRunner

import descent.serve
from descent.cli.main import app, main
from descent.data.tokenizers import ByteBPE
from descent.hub import save
from descent.hub.bundle import Bundle
from descent.models.building import build

CONFIG = {"vocab_size": 300, "block_size": 32, "n_layer": 1, "n_head": 2, "n_embd": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tokenizer = ByteBPE.train("the cat sat on the mat " * 50, 270)
    path = tmp_path_factory.mktemp("models") / "tiny"
    save(Bundle.of("gpt", CONFIG, build("gpt", CONFIG), tokenizer), path, format="hf")
    return path


@pytest.fixture
def served(monkeypatch):
    """What would have been served; nothing listens."""
    calls = []

    def serve(completers, host, port, *, started, **options):
        calls.append((completers, host, port, options))
        started("http://127.0.0.1:8000")

    monkeypatch.setattr(descent.serve, "serve", serve)
    return calls


def run(*arguments):
    return CliRunner().invoke(app, ["serve", *map(str, arguments)], catch_exceptions=False)


def test_models_are_opened_under_their_names(folder, served):
    result = run(folder, folder, "--alias", "a", "--alias", "b", "--width", "int8", "--port", 0,
                 "--parallel", 4, "--api-key", "secret")  # fmt: skip
    (completers, host, _, options) = served[0]
    assert [completer.name for completer in completers] == ["a", "b"]
    assert [completer.info["width"] for completer in completers] == ["int8"] * 2
    assert host == "127.0.0.1"
    assert options["limits"].max_running == 4
    assert "curl http://127.0.0.1:8000/v1/completions" in result.output
    assert "Authorization: Bearer …" in result.output
    assert "secret" not in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none/such"], "`descent pull none/such` fetches it"),
        (["./none"], "there is no file or folder ./none"),
        (["FOLDER", "FOLDER"], "two models are called tiny: name them with --alias"),
        (["FOLDER", "--alias", "a", "--alias", "b"], "--alias is given 2 times for 1 models"),
        (["FOLDER", "--width", "int7"], "there is no width 'int7'"),
    ],
)
def test_what_is_refused_is_one_sentence(
    arguments, words, folder, served, monkeypatch, capsys, tmp_path
):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    given = [str(folder) if argument == "FOLDER" else argument for argument in arguments]
    monkeypatch.setattr("sys.argv", ["descent", "serve", "--port", "0", *given])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert not served

"""A user's wrong input gets one clear sentence and a non-zero exit, never a traceback."""

import json
import os
import shutil
import socket
import subprocess
import sys

import pytest

TINY = ["--steps", "6", "--n-layer", "1", "--n-head", "2", "--n-embd", "16", "--block-size", "16",
        "--vocab-size", "280", "--no-serve"]  # fmt: skip


def descent(*args: str, cwd=None) -> subprocess.CompletedProcess:
    env = {**os.environ, "COLUMNS": "400", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "descent", *map(str, args)],
        capture_output=True, text=True, cwd=cwd, env=env,
    )  # fmt: skip


def refused(result: subprocess.CompletedProcess, *parts: str) -> None:
    assert result.returncode not in (0, None), result.stdout
    assert "Traceback" not in result.stderr + result.stdout
    message = result.stderr.strip()
    assert len(message.splitlines()) == 1, message
    for part in parts:
        assert part in message, message


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny finished run on real text: this test suite's own sources."""
    folder = tmp_path_factory.mktemp("cli")
    data = os.path.dirname(os.path.dirname(__file__))
    made = descent(
        "up", "complete", "--data", f"{data}/*.py", *TINY, "--runs", folder, "--name", "ok"
    )
    assert made.returncode == 0, made.stderr
    return folder / "ok"


def test_missing_folder(tmp_path) -> None:
    refused(
        descent("up", "complete", "--data", tmp_path / "nowhere", *TINY, "--runs", tmp_path),
        "nowhere",
    )


def test_binary_files(tmp_path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(bytes(range(256)) * 50)
    refused(descent("up", "complete", "--data", folder, *TINY, "--runs", tmp_path), "pictures")


def test_empty_corpus(tmp_path) -> None:
    (tmp_path / "empty.txt").write_text("")
    refused(
        descent("up", "complete", "--data", tmp_path / "empty.txt", *TINY, "--runs", tmp_path),
        "empty",
    )


def test_corpus_shorter_than_the_context(tmp_path) -> None:
    (tmp_path / "short.txt").write_text("a few words")
    refused(
        descent("up", "complete", "--data", tmp_path / "short.txt", *TINY, "--runs", tmp_path),
        "tokens",
    )


def test_half_written_run_folder(run, tmp_path) -> None:
    half = tmp_path / "half"
    shutil.copytree(run, half)
    (half / "model.safetensors").unlink()
    refused(descent("serve", half), "half-written", "model.safetensors is missing")
    (half / "config.json").write_text('{"format": "desc')
    refused(descent("explain", half, "--prompt", "x"), "config.json is damaged")
    (half / "config.json").unlink()
    refused(descent("serve", half), "it has no config.json")
    refused(descent("serve", tmp_path / "none"), "there is no file or folder")


def test_checkpoint_of_another_model(run, tmp_path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    config = json.loads((other / "config.json").read_text())
    config["model"]["config"]["n_layer"] = 2
    (other / "config.json").write_text(json.dumps(config))
    refused(descent("explain", other, "--prompt", "x"), "weights of another model")
    refused(
        descent(
            "up", "complete", "--steps", "3", "--no-serve", "--runs", tmp_path, "--name", "other"
        ),
        "weights of another model",
    )


def test_damaged_weights(run, tmp_path) -> None:
    other = tmp_path / "cut"
    shutil.copytree(run, other)
    weights = other / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    refused(descent("serve", other), "model.safetensors can't be read")


def test_port_in_use_is_found_before_training(tmp_path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        args = [a for a in TINY if a != "--no-serve"]
        refused(
            descent("up", "complete", *args, "--runs", tmp_path, "--port", port),
            str(port),
            "another port",
        )
    assert not (tmp_path / "complete").exists()


def test_other_data_under_the_same_name(run) -> None:
    refused(
        descent("up", "complete", "--data", run, *TINY, "--runs", run.parent, "--name", "ok"),
        "use another --name, or --fresh",
    )


def test_a_mistyped_path_can_be_corrected_under_the_same_name(tmp_path) -> None:
    data = os.path.dirname(os.path.dirname(__file__))
    wrong = descent("up", "complete", "--data", f"{data}/*.pyy", *TINY, "--runs", tmp_path)
    refused(wrong, "*.pyy")
    right = descent("up", "complete", "--data", f"{data}/*.py", *TINY, "--runs", tmp_path)
    assert right.returncode == 0, right.stderr


def test_unknown_names(run) -> None:
    refused(descent("show", "softmux"), "there is no op 'softmux'", "softmax")
    refused(
        descent("up", "complete", *TINY, "--type", "lstmm", "--runs", run.parent, "--name", "x"),
        "lstmm",
    )
    refused(
        descent("up", "complete", *TINY, "--runs", run.parent, "--name", "a b"), "run name 'a b'"
    )
    refused(descent("explain", run, "--prompt", "x", "--op", "99999"), "op 99999")
    refused(descent("explain", run, "--prompt", "x", "--element", "1,x"), "--element")
    refused(descent("run", "no_such_script.py"), "no_such_script.py")


def test_explain_and_going_on(run) -> None:
    shown = descent("explain", run, "--prompt", "import os\n")
    assert shown.returncode == 0, shown.stderr
    for floor in ("1  Prediction", "2  Layers", "3  Op", "4  Element", "5  Scalars"):
        assert floor in shown.stdout
    again = descent(
        "up", "complete", "--steps", "4", "--no-serve", "--runs", run.parent, "--name", "ok"
    )
    assert again.returncode == 0, again.stderr
    assert "Going on" in again.stdout
    assert json.loads((run / "config.json").read_text())["results"]["steps"] == 10


def test_a_full_disk_is_one_sentence_and_a_defect_keeps_its_traceback() -> None:
    import errno

    from descent.cli.main import _sentence

    full = OSError(errno.ENOSPC, "No space left on device", "runs/a/data.safetensors")
    assert _sentence(full) == (
        "the disk is full (runs/a/data.safetensors): what was written before is whole; make room "
        "and run the same command again"
    )
    assert "no permission" in (_sentence(PermissionError(errno.EACCES, "denied", "/runs")) or "")
    assert _sentence(ImportError("cannot import name 'x'")) is None
    assert _sentence(KeyError("x")) is None

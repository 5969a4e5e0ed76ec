"""`descent run`: scripts print what they print under PyTorch; what is missing says so."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import descent
from descent.compat.torch_script import install, installed, run_script, uninstall

SCRIPTS = Path(__file__).parent / "scripts"
DESCENT = [sys.executable, "-c", "from descent.cli import main; main()", "run"]
NUMBER = re.compile(r"-?\d+\.?\d*(?:e[-+]?\d+)?|-?inf|nan")


def output(command, *args, cwd=None):
    done = subprocess.run(
        [*command, *map(str, args)], capture_output=True, text=True, cwd=cwd, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def compare(ours, theirs, tolerance):
    """Equal text; whole numbers equal; other numbers within the tolerance or the last digit."""
    assert NUMBER.sub("#", ours) == NUMBER.sub("#", theirs)
    for a, b in zip(NUMBER.findall(ours), NUMBER.findall(theirs), strict=True):
        if "." not in b and "e" not in b:
            assert a == b
            continue
        digits = len(b.partition(".")[2].partition("e")[0])
        last = 1.5 * 10.0**-digits if "e" not in b else 0
        np.testing.assert_allclose(float(a), float(b), rtol=tolerance, atol=min(last, 2e-4))


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("bigram_counts", 1e-5),
        ("character_mlp", 1e-5),
        ("manual_backprop", 1e-5),
        ("small_transformer", 1e-5),
        ("text_gpt", 1e-12),  # float64
        ("recurrent", 1e-5),
        ("saving", 1e-5),
        ("loaders", 0),
    ],
)
def test_a_script_prints_what_it_prints_under_pytorch(name, tolerance, tmp_path):
    script = SCRIPTS / f"{name}.py"
    folders = [tmp_path / "ours", tmp_path / "theirs"]
    for folder in folders:
        folder.mkdir()
    args = [[f] if name == "saving" else [] for f in folders]
    ours = output(DESCENT, script, *args[0])
    theirs = output([sys.executable], script, *args[1])
    assert ours.count("\n") > 10
    compare(ours, theirs, tolerance)


def run(tmp_path, source, *args):
    script = tmp_path / "script.py"
    script.write_text(source, encoding="utf-8")
    return subprocess.run(
        [*DESCENT, str(script), *args], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )


def test_the_script_is_main_with_its_own_arguments_and_folder(tmp_path):
    (tmp_path / "beside.py").write_text("word = 'found'", encoding="utf-8")
    source = (
        "import sys, beside, torch, __main__\n"
        "print(__name__, sys.argv[1:], beside.word, __main__.__file__ == sys.argv[0])\n"
        "print(torch.__version__.partition('+')[2].partition('.')[0])\n"
        "sys.exit(7)\n"
    )
    done = run(tmp_path, source, "--type", "mlp", "-n", "3")
    assert done.stdout.splitlines() == [
        "__main__ ['--type', 'mlp', '-n', '3'] found True",
        "descent",
    ]
    assert (done.returncode, done.stderr) == (7, "")


def test_help_is_the_scripts_own(tmp_path):
    source = "import argparse\nargparse.ArgumentParser(description='of the script').parse_args()\n"
    done = run(tmp_path, source, "--help")
    assert done.returncode == 0
    assert "of the script" in done.stdout


def test_an_error_of_the_script_shows_the_scripts_own_traceback(tmp_path):
    done = run(tmp_path, "import torch\nx = torch.zeros(2, 3)\nx @ x\n")
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert lines[0].startswith("Traceback")
    assert "script.py" in lines[1]
    assert "line 3" in lines[1]
    assert "torch_script" not in done.stderr
    assert lines[-1].startswith("RuntimeError")


def test_a_syntax_error_names_the_line(tmp_path):
    done = run(tmp_path, "import torch\nprint(\n")
    assert done.returncode == 1
    assert "script.py" in done.stderr
    assert "SyntaxError" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import torch; torch.fft", "torch.fft is not in Descent"),
        ("import torch.nn.quantized", "torch.nn.quantized is not in Descent"),
        ("from torch.nn import Quantizer", "Descent stands for torch here"),
        ("import torch.nn as nn; nn.Quantizer", "torch.nn.Quantizer is not in Descent"),
    ],
)
def test_what_descent_lacks_is_an_error_that_says_so(tmp_path, line, message):
    done = run(tmp_path, line)
    assert done.returncode == 1
    assert message in done.stderr
    assert "docs/COVERAGE.md" in done.stderr


@pytest.mark.parametrize(("name", "reason"), [("nothing.py", "no such file"), (".", "is a folder")])
def test_a_script_that_cannot_be_read_is_one_sentence(tmp_path, name, reason, capsys):
    with pytest.raises(SystemExit) as stop:
        run_script(tmp_path / name)
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1


def test_installed_gives_descent_and_takes_it_away_again():
    before = sys.modules.get("torch")
    with installed() as torch:
        import torch as imported
        import torch.nn.functional as F
        from torch.utils.data import DataLoader

        assert imported is torch
        assert isinstance(F.relu(torch.ones(2)), descent.Tensor)
        assert DataLoader.__module__.startswith("descent")
        assert install() is torch
        assert "Linear" in dir(torch.nn)
    assert sys.modules.get("torch") is before
    uninstall()  # a second time changes nothing
    assert sys.modules.get("torch") is before


def test_every_name_that_is_offered_is_there():
    with installed():
        modules = {n: m for n, m in sys.modules.items() if n.partition(".")[0] == "torch"}
        for module in modules.values():
            for name in module.__all__:
                assert hasattr(module, name), f"{module.__name__}.{name}"


@pytest.mark.oracle
def test_install_refuses_when_pytorch_is_there():
    import torch  # noqa: F401

    with pytest.raises(ImportError, match="already imported"):
        install()

"""The README is true: its Python runs, its commands exist, its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "docs/logs/README.md"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def test_the_python_of_the_readme_runs() -> None:
    (code,) = blocks(ROOT / "README.md", "python")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert 0 < float(run.stdout) < 0.7  # better than guessing: ln 2


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} → {target}"


def test_the_commands_of_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    words = {tuple(m.split()) for m in re.findall(r"^descent ((?:up )?[a-z]+)", text, re.M)}
    assert ("up", "complete") in words
    assert len(words) >= 5
    for command in sorted(words):
        run = subprocess.run(
            [sys.executable, "-m", "descent", *command, "--help"], capture_output=True, text=True
        )
        assert run.returncode == 0, (command, run.stderr)
        assert "Usage" in run.stdout
    targets = re.findall(r"^make ([a-z]+)", text, re.M)
    makefile = (ROOT / "Makefile").read_text()
    assert {"start", "test"} <= set(targets)
    assert all(re.search(rf"^{t}:", makefile, re.M) for t in targets)

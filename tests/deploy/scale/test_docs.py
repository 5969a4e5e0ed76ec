"""docs/deploy/scale.md is true: its code prints what stands behind it."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs/deploy/scale.md"


def test_code_prints_what_it_says(capsys):
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        exec(compile(code, str(PAGE), "exec"), {})
        said = re.findall(r"^print\(.*?\)  # (.*)$", code, re.MULTILINE)
        assert capsys.readouterr().out.splitlines() == said
        assert said

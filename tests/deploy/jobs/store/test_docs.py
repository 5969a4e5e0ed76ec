"""docs/deploy/store.md is true: its code runs, and answers what it says."""

import asyncio
import re
from pathlib import Path

PAGE = Path(__file__).parents[4] / "docs" / "deploy" / "store.md"


def test_the_code_answers_what_the_page_says(url):
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    names: dict = {}
    exec(block, names)
    said = asyncio.run(names["main"](url))
    assert said == ["completed_with_failures"] * 2 + ["abc", "def", "not a word"]
    assert all(f"`{word}`" in text for word in said)

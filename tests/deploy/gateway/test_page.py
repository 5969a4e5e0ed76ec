"""The code on the gateway's page runs."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs/deploy/gateway.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("block", BLOCKS)
def test_code(block):
    exec(compile(block, str(PAGE), "exec"), {})


def test_there_is_code():
    assert BLOCKS

"""docs/deploy/kinds.md is true: its code runs."""

import re
from pathlib import Path

from descent.deploy.jobs.progress import reporter
from descent.deploy.jobs.webhooks import sign

PAGE = Path(__file__).parents[3] / "docs" / "deploy" / "kinds.md"


def test_the_code_runs():
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    names: dict = {}
    for block in blocks:
        exec(block, names)
    told = []
    token = reporter.set(told.append)
    try:
        said = names["Pages"]().predict(["a b", "c"])
    finally:
        reporter.reset(token)
    assert (said, told[-1]) == ({"words": [2, 1]}, {"page": 2, "of": 2})
    headers = {
        "webhook-id": "e",
        "webhook-timestamp": "7",
        "webhook-signature": sign(b"k", "e", 7, b"{}"),
    }
    assert names["genuine"](headers, b"{}", b"k")
    assert not names["genuine"](headers, b"{ }", b"k")


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", PAGE.read_text(encoding="utf-8")):
        assert target.startswith("http") or (PAGE.parent / target).exists() or target == "store.md"

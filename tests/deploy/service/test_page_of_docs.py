"""docs/deploy/service.md is true: its services are loaded and give the answers it shows."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from descent.deploy.asking import ask
from descent.deploy.pool import Context, Start
from descent.deploy.pools.local import LocalBackend
from descent.deploy.spec import spec_of
from tests.deploy.service.asking_apps import Log

PAGE = Path(__file__).parents[3] / "docs/deploy/service.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.split(":")[0].split()[-1])
def test_the_services_of_the_page_answer_as_it_says(tmp_path, code):
    (tmp_path / "page.py").write_text(code)
    asked = re.findall(r"^# (batching )?POST (\S+|\".*?\") → (.*)$", code, re.M)
    assert asked
    name = re.search(r"^class (\w+)", code, re.M).group(1)
    fields = {"batching": {"max_batch_size": 4, "max_wait_ms": 1}} if asked[0][0] else {}
    spec = spec_of("pkg:Thing", name="thing", **fields)
    spec = spec.model_copy(update={"service": f"page.py:{name}"})

    async def scenario():
        backend = LocalBackend()
        pool = await backend.start(Start(spec, 1, tmp_path, Log()))
        for _, given, shown in asked:
            answer = await ask(pool.app, "", given.encode(), context=Context("r"))
            text = answer.body.decode()
            if shown.startswith("data: "):
                assert text.split("\n\n")[:-1] == shown.split("  ")
            elif shown.startswith("400 "):
                assert (answer.status, shown[5:-1] in text) == (400, True)
            else:
                assert json.loads(text) == json.loads(shown)
        await backend.close()

    asyncio.run(scenario())


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+?)\)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / target).exists(), target

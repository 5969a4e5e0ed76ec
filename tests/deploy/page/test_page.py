"""The operator's page in a real browser, on a real node: what is shown, what its buttons do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from descent.deploy.errors import DeployError
from tests.browser import watched
from tests.deploy.control.nodes import TestNode

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SERVICES = """
import time
class Sorter:
    def __init__(self, config): self.config = config
    def predict(self, numbers: list[float]) -> list[float]:
        if len(numbers) > 2: raise ValueError("<img src=x onerror=alert(1)>")
        return sorted(numbers)
class Bad:
    def load(self): raise RuntimeError("no weights here")
    def predict(self, x): return x
class Double:
    def predict(self, batch):
        if 7 in batch: raise ValueError("seven")
        return [2 * x for x in batch]
class Slow:
    def predict(self, value):
        for _ in range(600): time.sleep(0.1)
"""
SPLIT = {
    "name": "split", "kind": "TrafficSplitter",
    "apis": [{"name": "sorter", "weight": 90}, {"name": "other", "weight": 10}],
}  # fmt: skip


@pytest.fixture(scope="module")
def node(tmp_path_factory: Any) -> Iterator[Any]:
    made = TestNode(Path(tmp_path_factory.mktemp("node")))
    (made.code / "services.py").write_text(SERVICES, encoding="utf-8")
    try:
        made.start()
        with made.client() as client:
            for name, n in (("sorter", 1), ("other", 1), ("sorter", 2), ("sorter", 3)):
                made.deploy(client, name, service="services.py:Sorter", n=n)
            with pytest.raises(DeployError, match="no weights here"):
                made.deploy(client, "sorter", service="services.py:Bad")
            client.deploy(SPLIT)
            double = {"name": "double", "kind": "BatchAPI", "service": "services.py:Double",
                      "attempts": 1}  # fmt: skip
            client.deploy(double, folder=made.code)
            made.deploy(client, "slow", service="services.py:Slow", kind="AsyncAPI")
        yield made
    finally:
        made.end()


@pytest.fixture
def page(chromium: Any, node: Any) -> Iterator[Any]:
    """The page with its token; fails on console errors and on requests elsewhere."""
    with watched(chromium, node.url, width=1500, height=900, allowed=("status of 400",)) as page:
        page.goto(f"{node.url}/-/#token={node.home.token}")
        page.wait_for_selector("#services table")
        yield page


def choose(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_selector(f"#part-about[aria-label={name}] pre")


def test_services_and_versions_are_shown(page: Any) -> None:
    rows = page.locator("#services tbody tr")
    assert rows.count() == 5
    choose(page, "sorter")
    sorter = rows.filter(has_text="sorter").first.inner_text()
    assert "3 of 4" in sorter
    assert "live" in sorter
    versions = page.locator("#part-versions tbody tr")
    assert versions.first.locator(".state").inner_text() == "failed"
    assert "no weights here" in versions.first.inner_text()
    assert page.locator("#part-about .failure").inner_text().startswith("version 4 could not")
    page.locator("#part-load svg").nth(2).wait_for()
    assert "#token" not in page.url


def test_a_click_goes_back_to_an_earlier_version(page: Any, node: Any) -> None:
    choose(page, "sorter")
    page.locator("#part-versions tr", has_text="retired").first.get_by_role("button").click()
    page.get_by_role("button", name="No").click()
    with node.client() as client:
        assert client.get_api("sorter")["version"] == 3
        page.locator("#part-versions tr", has_text="retired").first.get_by_role("button").click()
        page.get_by_role("button", name="Yes").click()
        page.get_by_text("version 2 answers").wait_for()
        assert client.get_api("sorter")["version"] == 2


def test_failures_lead_to_their_log_and_are_text(page: Any, node: Any) -> None:
    with httpx.Client(base_url=node.url) as http:
        failed = http.post("/sorter", json=[1, 2, 3], headers={"x-request-id": "mine"})
    assert failed.status_code == 500
    choose(page, "sorter")
    row = page.locator("#part-errors tr", has_text="mine").first
    assert "POST /sorter" in row.inner_text()
    row.get_by_role("button", name="Its log").click()
    page.get_by_text("lines of request mine").wait_for()
    page.locator("#part-log pre", has_text="<img src=x onerror=alert(1)>").wait_for()
    assert page.locator("#part-log img").count() == 0


def test_weights_are_changed_while_it_runs(page: Any, node: Any) -> None:
    choose(page, "split")
    first, second = page.get_by_label("Percent to sorter"), page.get_by_label("Percent to other")
    first.fill("50")
    page.wait_for_timeout(1500)  # the page asks again meanwhile; what was typed stays
    assert first.input_value() == "50"
    page.get_by_role("button", name="Set the weights").click()
    page.locator("#said.bad", has_text="100").wait_for()
    second.fill("50")
    page.get_by_role("button", name="Set the weights").click()
    page.get_by_text("the weights are changed").wait_for()
    with node.client() as client:
        weights = {a["name"]: a["weight"] for a in client.get_api("split")["spec"]["apis"]}
        assert weights == {"sorter": 50, "other": 50}
        page.get_by_role("button", name="All to it").nth(1).click()
        page.get_by_role("button", name="Yes").click()
        page.get_by_text("other answers all requests").wait_for()
        weights = {a["name"]: a["weight"] for a in client.get_api("split")["spec"]["apis"]}
        assert weights == {"sorter": 0, "other": 100}


def test_jobs_and_dead_letters(page: Any, node: Any) -> None:
    items = {"items": [1, 7, 3], "batch_size": 1}
    with node.client() as client:
        job = client.submit("double", {"workers": 1, "item_list": items})
    choose(page, "double")
    row = page.locator("#part-jobs tr", has_text=job["job_id"])
    row.locator(".state", has_text="completed_with_failures").wait_for()
    assert "3 of 3" in row.inner_text()
    assert "1 failed" in row.inner_text()
    page.get_by_text("1 used up their attempts").wait_for()
    page.get_by_role("button", name="Try all again").click()
    page.get_by_role("button", name="Yes").click()
    page.get_by_text("they are tried again").wait_for()


def test_a_running_job_is_stopped(page: Any, node: Any) -> None:
    with node.client() as client:
        job = client.submit("slow", {"a": 1})
        choose(page, "slow")
        row = page.locator("#part-jobs tr", has_text=job["id"])
        row.get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Yes").click()
        row.locator(".state", has_text="cancelled").wait_for()
        assert client.get_job("slow", job["id"])["status"] == "cancelled"


def test_without_a_token_nothing_is_shown(chromium: Any, node: Any) -> None:
    page = chromium.new_page()
    page.set_default_timeout(15_000)
    page.goto(f"{node.url}/-")
    page.get_by_label("Token").wait_for()
    assert page.locator("#main").is_hidden()
    page.get_by_label("Token").fill("guessed")
    page.get_by_role("button", name="Open").click()
    page.locator("#door-problem:not([hidden])").wait_for()
    page.get_by_label("Token").fill(node.home.token)
    page.get_by_role("button", name="Open").click()
    page.wait_for_selector("#services table")
    page.close()


def test_it_fits_a_phone(chromium: Any, node: Any) -> None:
    page = chromium.new_page(viewport={"width": 380, "height": 800})
    page.set_default_timeout(15_000)
    page.goto(f"{node.url}/-/#token={node.home.token}")
    page.wait_for_selector("#part-load svg")
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
    page.close()

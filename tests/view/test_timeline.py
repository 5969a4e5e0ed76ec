"""The timeline page: whole, self-contained, and showing the report's numbers."""

import json
import re
import shutil

import pytest

from descent.costs import Entry, Machine, Report
from descent.costs.machine import Bandwidth
from descent.costs.report import Compiled, Loop
from descent.view.timeline import timeline_page

MACHINE = Machine("a <test>", 2, 100.0, "none", (Bandwidth(1 << 20, 50.0, 50.0),), {})


def entry(phase, op, begin, seconds, live, floor=0.0, path="h.0.mlp"):
    return Entry(phase, op, path, (2, 3), 1e6 * floor, 400, floor, seconds, begin, live)


def report(**more):
    entries = (
        entry("forward", "affine", 0.0, 0.004, 3000, 0.003),
        entry("forward", "view", 0.004, 0.001, 3000),
        entry("backward", "affine", 0.005, 0.004, 5000, 0.002),
        entry("update", "AdamW", 0.009, 0.001, 1000, 0.0005, "(optimizer)"),
    )
    facts = {"name": "{{data}} </script><b>", "batch": "batch 2×3", "parameters": 1234}
    return Report(
        **facts, machine=MACHINE, tokens=6, step_s=0.01, entries=entries,
        start_bytes=1000, peak_bytes=5000, end_bytes=1000, repeats=3, **more,
    )  # fmt: skip


def data_of(page):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(found.group(1))


def test_lanes_and_memory():
    data = data_of(timeline_page(report()))
    assert [(x["name"], len(x["entries"])) for x in data["lanes"]] == [
        ("forward", 2), ("backward", 1), ("update", 1),
    ]  # fmt: skip
    assert data["end_s"] == pytest.approx(0.01)
    assert data["memory"][0] == [0, 1000]
    assert max(b for _, b in data["memory"]) == 5000
    kinds = [e["kind"] for lane in data["lanes"] for e in lane["entries"]]
    assert kinds == ["products", "movement", "products", "update"]
    assert {kind for kind, _ in data["legend"]} == set(kinds)


def test_it_needs_nothing_from_elsewhere_and_escapes():
    page = timeline_page(report())
    assert not re.search(r"(src|href)\s*=|url\(|import\s", page)
    assert "<b>" not in page.split("<title>")[1].split("</title>")[0]
    assert "a &lt;test&gt;" in page
    assert page.count("</script>") == 2
    assert "{{title}}" not in page
    assert "{{data}} &lt;/script&gt;" in page  # a name is text, whatever is in it


def test_the_tables_show_the_rows():
    page = timeline_page(report())
    assert "<td>affine<td>backward<td>1" in page
    assert "h.*.mlp" in page
    assert "75%" in page  # 3 of 4 ms


def test_loops_of_a_compiled_step_are_a_lane():
    """Their times are measured on one thread: in the step they have their shares."""
    loops = (Loop("k0_dot", "gpt.py:83", 4, 1e6, 0.03), Loop("k1", "gpt.py:90", 1, 1e3, 0.01))
    page = timeline_page(report(compiled=Compiled(0.004, 2.0, loops)))
    data = data_of(page)
    lane = data["lanes"][-1]
    assert (lane["name"], lane["seconds"]) == ("compiled", 0.004)
    assert [e["seconds"] for e in lane["entries"]] == pytest.approx([0.003, 0.001])
    assert [e["begin"] for e in lane["entries"]] == pytest.approx([0, 0.003])
    assert data["end_s"] == pytest.approx(0.01)
    assert "compiled" in dict(data["legend"])


@pytest.mark.browser
def test_it_draws_itself(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    found = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    file = tmp_path / "page.html"
    file.write_text(timeline_page(report()), encoding="utf-8")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        errors = []
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.goto(file.as_uri())
        bars = page.locator(".bar")
        assert bars.count() == 4
        width = bars.nth(0).bounding_box()["width"]
        plot = page.locator("#plot").bounding_box()["width"]
        assert width == pytest.approx(0.4 * plot, rel=0.02)
        solid = bars.nth(0).locator("i").bounding_box()["width"]
        assert solid == pytest.approx(0.75 * width, rel=0.02)
        bars.nth(0).hover()
        tip = page.locator("#tip").inner_text()
        assert "affine" in tip
        assert "75 % reached" in tip
        page.locator("#in").click()
        assert page.locator("#plot").bounding_box()["width"] == pytest.approx(2 * plot, rel=0.01)
        assert "peak 5 kB" in page.locator(".peak").inner_text()
        browser.close()
    assert errors == []

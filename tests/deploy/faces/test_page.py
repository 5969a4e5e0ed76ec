"""The page of each API in a real browser: forms, answers, errors at the field, streams, jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser import watched
from tests.deploy.faces.site import site

pytestmark = pytest.mark.browser


@pytest.fixture
def opened(chromium: Any, url: str) -> Iterator[Any]:
    """Opens an API's page; fails on any console error (but of refusals) and request elsewhere."""
    refused = ("status of 400", "status of 500")
    with watched(chromium, url, width=1240, allowed=refused) as page:

        def go(name: str) -> Any:
            page.goto(f"{url}/{name}")
            page.locator("#fields > *").wait_for()
            return page

        yield go


def run(page: Any) -> str:
    before = page.locator("#runs li").count()
    page.locator("#run").click()
    page.locator("#runs li").nth(before).wait_for()
    page.locator("#run:enabled").wait_for()
    return page.locator("#result").inner_text()


def test_a_form_of_the_schema_is_filled_sent_and_answered(opened: Any, url: str) -> None:
    page = opened("pricer")
    assert page.url == f"{url}/pricer/"
    assert page.title() == "pricer"
    page.locator("#fields").get_by_label("rooms").fill("2")
    page.locator("select", has=page.locator("option", has_text="flat")).last.select_option("flat")
    page.locator("#fields").get_by_label("area_m2").fill("100")
    assert json.loads(run(page)) == {"euros": 110000, "low": 99000, "high": 121000.00000000001}
    assert page.locator("#state").inner_text().startswith("200 in ")
    line = page.locator("#curl").inner_text()
    assert f"{url}/pricer -H" in line
    assert json.loads(line.split("-d '")[1][:-1])["rooms"] == 2
    page.locator("#examples").select_option("1")
    assert page.locator("#fields").get_by_label("rooms").input_value() == "1"


def test_an_error_stands_at_its_field(opened: Any) -> None:
    page = opened("pricer")
    page.locator("#fields").get_by_label("rooms").fill("0")
    assert "400 invalid_input" in run(page)
    assert page.locator("#fields").get_by_label("rooms").get_attribute("aria-invalid") == "true"
    said = page.locator(".wrong:visible").inner_text()
    assert said == "should be greater than or equal to 1, not 0."
    page.locator("#fields").get_by_label("rooms").fill("")
    page.locator("#run").click()
    assert page.locator("#problem").inner_text() == "rooms: a number is needed"
    page.locator("#fields").get_by_label("rooms").fill("1")
    run(page)
    assert page.locator(".wrong:visible").count() == 0


def test_json_in_place_of_the_form(opened: Any) -> None:
    page = opened("pricer")
    page.locator("#mode-json").click()
    assert json.loads(page.locator("#raw").input_value())["rooms"] == 3
    page.locator("#raw").fill('{"rooms": 7}')
    page.locator("#mode-form").click()
    assert page.locator("#fields").get_by_label("rooms").input_value() == "7"
    page.locator("#mode-json").click()
    page.locator("#raw").fill("{")
    page.locator("#run").click()
    assert page.locator("#problem").inner_text().startswith("The input isn't JSON")


def test_endpoints_have_forms_of_their_own(opened: Any) -> None:
    page = opened("pricer")
    page.locator("#path").select_option("1")
    page.locator("#fields > fieldset > button").click()
    page.locator("#fields").get_by_label("rooms").last.fill("1")
    first = page.locator("#fields").get_by_label("rooms").first
    first.fill("9")
    assert run(page) == "1"
    assert "/pricer/cheapest" in page.locator("#curl").inner_text()
    page.locator("#path").select_option("2")
    assert json.loads(run(page)) == ["flat", "house"]


def test_shares_are_bars_and_streams_run_on(opened: Any) -> None:
    page = opened("mood")
    run(page)
    assert page.locator(".bars li").count() == 2
    page = opened("speaker")
    page.get_by_label("text").fill("one two three")
    assert run(page) == "one two three "
    assert page.locator("#state").inner_text().startswith("3 items, the first after")


def test_a_picture_and_a_file(opened: Any, tmp_path: Path) -> None:
    Image.new("RGB", (4, 3), (255, 0, 0)).save(tmp_path / "red.png")
    page = opened("negative")
    page.locator("#run").click()
    assert page.locator("#problem").inner_text() == "Choose a file."
    page.locator("input[type=file]").set_input_files(tmp_path / "red.png")
    run(page)
    picture = page.locator("#result img")
    page.wait_for_function("document.querySelector('#result img').complete")
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [4, 3]


def test_a_failure_of_the_service_names_the_request(opened: Any) -> None:
    page = opened("failing")
    text = run(page)
    assert "500 internal_error" in text
    assert "request " in text


def test_jobs_are_followed_to_their_end(opened: Any) -> None:
    page = opened("later/")
    page.get_by_label("value").fill('{"n": 5}')
    assert '"status": "completed"' in run(page)
    assert '"given"' in page.locator("#result").inner_text()
    page = opened("many/")
    page.get_by_label("items").fill("[1, 2, 3]")
    text = run(page)
    assert "succeeded" in page.locator("#state").inner_text()
    assert text.count('"batch":') == 3


def test_hostile_results_are_text(opened: Any) -> None:
    page = opened("anything")
    page.get_by_label("value").fill('{"<img src=x onerror=alert(1)>": "</pre><script>1</script>"}')
    assert "<script>1</script>" in run(page)
    assert page.locator("#result img, #result script").count() == 0


def test_a_text_models_own_page_works_below_its_name(
    chromium: Any, tmp_path_factory: Any, names_run: Path
) -> None:
    folder = Path(tmp_path_factory.mktemp("text"))
    with site(folder, babies=str(names_run)) as url, watched(chromium, url, width=1240) as page:
        page.set_default_timeout(30_000)
        page.goto(f"{url}/babies")
        page.locator(".dot.ready").wait_for()
        assert page.url == f"{url}/babies/"
        page.locator("#text").fill("ma")
        page.locator("#generate").click()
        page.locator(".chip").first.wait_for()
        link = page.locator("#why").evaluate("a => a.href")
        assert link.startswith(f"{url}/babies/explain?model=babies")
        page.goto(link)
        assert page.locator("h2").count() >= 3

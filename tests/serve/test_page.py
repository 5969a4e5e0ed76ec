"""The page in a real browser against a real server: typed text, streamed tokens, alternatives."""

import math
import re
from contextlib import contextmanager

import numpy as np
import pytest

from descent.serve import background_server
from tests.browser import watched
from tests.count_models import Paced, code_completer, code_model, name_completer, name_model
from tests.serve.scripted import Script, scripted

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site():
    slow = code_completer(Paced(code_model(), 0.002), info={"kind": "code", "explain": True})
    with background_server([slow, name_completer()]) as url:
        yield url


@pytest.fixture
def page(chromium, site):
    """A fresh page that fails the test on any console error and any request elsewhere."""
    with opened(chromium, site) as page:
        yield page


@contextmanager
def opened(chromium, site):
    with watched(chromium, site) as page:
        page.goto(site)
        page.locator(".dot.ready").wait_for()
        yield page


def finished(page, at_least=1):
    page.locator(".chip").nth(at_least - 1).wait_for()
    page.locator(".dot.ready").wait_for()


def bars(page):
    """What the inspector shows: {label: probability}."""
    found = {}
    for row in page.locator(".alternative").all():
        name = row.locator(".token").inner_text()
        found[name] = float(re.sub(r"[^\d.]", "", row.locator(".percent").inner_text())) / 100
    return found


def set_slider(page, name, value):
    # As a user does with the keyboard, so that the events are the browser's own.
    slider = page.locator(f"#{name}")
    slider.focus()
    slider.press("Home")
    step, low = float(slider.get_attribute("step")), float(slider.get_attribute("min"))
    for _ in range(round((value - low) / step)):
        slider.press("ArrowRight")


def greedy(prompt, n):
    return code_completer().complete_text(prompt, temperature=0, max_tokens=n)


def test_typing_brings_a_streamed_completion_that_tab_accepts(page):
    set_slider(page, "temperature", 0)
    requests = []
    page.on("request", lambda r: requests.append(r.post_data_json) if r.method == "POST" else 0)
    page.locator("#text").press_sequentially("def parse(self", delay=2)
    page.locator(".chip").first.wait_for()
    assert 0 < page.locator(".chip").count() <= 32
    finished(page, 32)
    expected = greedy("def parse(self", 32)
    assert page.locator(".ghost").inner_text() == expected
    assert requests[-1]["stream"] is True
    assert len(requests) < 14  # not one for every key
    assert "tokens/s" in page.locator("#numbers").inner_text()
    page.locator("#text").press("Tab")
    assert page.locator("#text").input_value() == "def parse(self" + expected
    page.locator("#text").press("Control+z")
    assert page.locator("#text").input_value() == "def parse(self"


def test_typing_into_the_suggestion_keeps_the_rest(page):
    set_slider(page, "temperature", 0)
    page.locator("#text").press_sequentially("self.", delay=2)
    finished(page, 32)
    ahead = page.locator(".ghost").inner_text()
    page.locator("#text").press_sequentially(ahead[:2])
    assert page.locator(".ghost").inner_text() == ahead[2:]
    page.locator("#text").press("Control+ArrowRight")
    assert page.locator("#text").input_value() == "self." + ahead[:3]
    page.locator("#text").press("Escape")
    assert page.locator(".ghost").inner_text() == ""
    assert page.locator(".chip").count() == 0


def test_alternatives_show_the_model_s_probabilities(page):
    set_slider(page, "temperature", 0)
    page.locator("#text").press_sequentially("import", delay=2)
    finished(page, 32)
    page.locator(".chip").nth(4).hover()
    text = "import" + page.locator(".ghost").inner_text()[:4]
    p = code_model().probabilities(ord(text[-2]), ord(text[-1]))
    shown = bars(page)
    assert len(shown) == 11  # ten, and everything else
    assert sum(shown.values()) == pytest.approx(1, abs=0.003)
    rest = shown.pop("everything else")
    assert sorted(shown.values()) == pytest.approx(sorted(np.sort(p)[-10:]), abs=0.001)
    assert rest == pytest.approx(1 - np.sort(p)[-10:].sum(), abs=0.002)
    assert page.locator(".alternative.chosen").count() == 1
    assert page.locator(".ghost span.selected").get_attribute("data-index") == "4"
    link = page.locator("#why").get_attribute("href")
    assert link.startswith("explain?model=code&prompt=import")


def test_an_alternative_replaces_the_rest(page):
    set_slider(page, "temperature", 0)
    page.locator("#text").press_sequentially("return ", delay=2)
    finished(page, 32)
    before = page.locator(".ghost").inner_text()
    page.locator(".chip").nth(3).hover()
    other = page.locator(".alternative:enabled:not(.chosen)").filter(has_text=re.compile("[a-z]"))
    letter = other.first.locator(".token").inner_text()
    other.first.click()
    finished(page, 36)
    kept = before[:3] + letter
    assert page.locator(".ghost").inner_text() == kept + greedy("return " + kept, 32)
    assert page.locator(".chip.forced").count() == 1
    assert page.evaluate("document.activeElement.id") == "text"  # Tab still accepts


def test_keyboard_alone_reaches_every_token(page):
    page.locator("#text").press_sequentially("class ", delay=2)
    finished(page, 32)
    page.keyboard.press("Alt+ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator(".chip.selected").get_attribute("data-index") == "2"
    page.keyboard.press("ArrowDown")
    assert "alternative" in page.evaluate("document.activeElement.className")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "text"


def test_temperature_changes_the_text_not_the_probabilities(page):
    set_slider(page, "temperature", 0)
    page.locator("#text").press_sequentially("for ", delay=2)
    finished(page, 32)
    cold, cold_bars = page.locator(".ghost").inner_text(), bars(page)
    set_slider(page, "temperature", 2)
    assert page.locator("#temperature-value").inner_text() == "2.00"
    page.locator(".dot.busy").wait_for()
    finished(page, 32)
    # 32 tokens at temperature 2: the chance of the greedy text is nil.
    assert page.locator(".ghost").inner_text() != cold
    page.locator(".chip").first.hover()
    hot_bars = bars(page)
    cold_bars.pop("everything else")  # one smaller where the chosen token is not among the ten
    assert cold_bars == {name: hot_bars[name] for name in cold_bars}
    set_slider(page, "length", 5)
    page.locator(".chip").nth(5).wait_for(state="detached")
    finished(page, 5)
    assert page.locator(".chip").count() == 5


def test_names_are_generated_from_nothing(page):
    page.select_option("#model", "names")
    page.locator("#generate").click()
    finished(page)
    page.locator(".samples button").nth(11).wait_for()
    assert page.locator(".chip").last.inner_text() == "end"
    assert page.locator("#state").inner_text() == "Ended by the model"
    page.locator(".chip").first.hover()
    model, tokenizer = name_model()
    first = dict(zip(tokenizer.characters, model.probabilities(None, 0)))
    for letter, shown in bars(page).items():
        if letter in first:
            assert math.isclose(shown, first[letter], abs_tol=0.001)
    page.locator("#text").press_sequentially("em", delay=2)
    page.locator(".dot.ready").wait_for()
    page.locator("#generate").click()
    page.get_by_text("Names that begin with “em”").wait_for()
    assert all(t.startswith("em") for t in page.locator(".samples button").all_inner_texts())


def test_what_the_server_refuses_is_said(chromium, site):
    page = chromium.new_page()
    page.goto(site)
    page.select_option("#model", "names")
    page.locator("#text").fill("Ünal")
    page.locator(".dot.bad").wait_for()
    assert "cannot read the prompt" in page.locator("#state").inner_text()
    page.locator("#text").fill("em")
    page.locator(".dot.ready").wait_for()
    page.close()


def test_both_themes_and_a_small_screen(chromium, site):
    colours = []
    for scheme in ("light", "dark"):
        page = chromium.new_page(viewport={"width": 400, "height": 800}, color_scheme=scheme)
        page.goto(site)
        page.locator(".dot.ready").wait_for()
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert not wide
        page.locator("#theme").click()
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()
    assert colours[0] == colours[3] != colours[1] == colours[2]


SAYS = "Fünf.\nWas sonst?"


def test_a_conversation(chromium):
    model = Script(SAYS)
    with (
        background_server(
            [scripted(model, info={"kind": "chat", "page": {"temperature": 0}})]
        ) as site,
        opened(chromium, site) as page,
    ):
        assert page.locator("#editor").is_hidden()
        page.locator("#question").fill("2 + 3?")
        page.locator("#question").press("Enter")
        finished(page, 10)
        assert page.locator("#log li").all_inner_texts() == ["2 + 3?", SAYS]
        assert page.locator(".chip").last.inner_text() == "end"
        page.locator(".chip").first.hover()  # every token of an answer is open to inspection
        assert page.locator(".alternative.chosen .token").inner_text() == "F"
        assert page.locator(".alternative:enabled").count() == 1  # … but what was said stands
        page.locator("#question").fill("Sure?")
        page.get_by_text("Send").click()
        page.locator("#log li").nth(3).wait_for()
        page.locator(".dot.ready").wait_for()
        assert f"assistant\n{SAYS}<|im_end|>\n<|im_start|>user\nSure?" in model.heard[-1]
        page.get_by_text("New").click()
        assert page.locator("#log li").count() == 0
        page.get_by_text("Text", exact=True).click()
        assert page.locator("#editor").is_visible()


def test_filling_in_between(chromium):
    model = Script("a + b<|file_sep|>")
    with background_server([scripted(model)]) as site, opened(chromium, site) as page:
        page.get_by_text("Text", exact=True).click()
        set_slider(page, "length", 5)
        page.locator("#text").fill("return \n# the end")
        page.locator("#text").press("Control+Home")
        for _ in "return ":
            page.locator("#text").press("ArrowRight")
        page.locator("#generate").click()
        finished(page, 5)
        assert model.heard[-1] == "<|fim_prefix|>return <|fim_suffix|>\n# the end<|fim_middle|>"
        page.locator("#text").focus()
        page.locator("#accept").click()
        assert page.locator("#text").input_value() == "return a + b\n# the end"
        page.locator("#infill").uncheck()
        page.locator("#generate").click()
        finished(page, 5)
        assert model.heard[-1] == "return a + b"

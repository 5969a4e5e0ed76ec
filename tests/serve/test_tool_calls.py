"""Reading tool calls from text that comes in pieces of any size."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.serve.tool_calls import ToolReader, forced_calls, forced_schema, tool_form

NAMES = frozenset({"f", "g"})
CALL = '{"name": "f", "arguments": {"x": [1, "a<b"]}}'
TEXTS = {
    "hermes": f"before\n<tool_call>{CALL}</tool_call>\n<tool_call>\n{CALL}\n</tool_call>after",
    "mistral": f"[TOOL_CALLS][{CALL}, {CALL}]",
    "llama3": '{"name": "g", "parameters": {"q": 1}}',
}


def read(form, pieces):
    reader = ToolReader(form, NAMES)
    text = "".join(reader.feed(piece) for piece in pieces) + reader.finish()
    return text, [
        (c["function"]["name"], json.loads(c["function"]["arguments"])) for c in reader.calls
    ]


@given(form=st.sampled_from(sorted(TEXTS)), data=st.data())
def test_pieces_do_not_matter(form, data):
    text = TEXTS[form]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)])]
    assert read(form, pieces) == read(form, [text])


@pytest.mark.parametrize("form", sorted(TEXTS))
def test_no_single_cut_matters(form):
    text = TEXTS[form]
    whole = read(form, [text])
    assert [cut for cut in range(len(text)) if read(form, [text[:cut], text[cut:]]) != whole] == []


def test_what_is_found():
    assert read("hermes", [TEXTS["hermes"]]) == ("before\nafter", [("f", {"x": [1, "a<b"]})] * 2)
    assert read("mistral", [TEXTS["mistral"]]) == ("", [("f", {"x": [1, "a<b"]})] * 2)
    assert read("llama3", ["<|python_tag|>" + TEXTS["llama3"]]) == ("", [("g", {"q": 1})])
    assert read("hermes", [f"<tool_call>{CALL}"]) == ("", [("f", {"x": [1, "a<b"]})])


@given(st.text(alphabet='<tool_call>/[TOOL_CALLS]{"name": "h"}x\n ', max_size=60), st.data())
def test_no_text_is_lost(text, data):
    for form in (None, "hermes", "mistral", "llama3"):
        cut = data.draw(st.integers(0, len(text)))
        got, calls = read(form, [text[:cut], text[cut:]])
        assert calls or got == text


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "h", "arguments": {}}</tool_call>',  # a tool that is not given
        "<tool_call>[]</tool_call>",
        "<tool_call>" + "[" * 100_000 + "</tool_call>",
        "<tool_call>",
        "<tool_",
    ],
    ids=lambda text: text[:30],
)
def test_a_call_of_nothing_known_is_text(text):
    assert read("hermes", [text]) == (text, [])


def test_forms_are_seen_in_the_template():
    assert tool_form("… <tool_call> …") == "hermes"
    assert tool_form("[TOOL_CALLS]") == "mistral"
    assert tool_form('Environment: ipython {"name": f, "parameters": d}') == "llama3"
    assert tool_form("{{ messages }}") is None
    assert ToolReader.of("<tool_call>", None).form is None


def test_forced_calls():
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    assert forced_schema([tool], tool) == {"type": "object"}
    schema = forced_schema([tool], None)
    assert schema["items"]["anyOf"][0]["properties"]["name"] == {"const": "f"}
    (call,) = forced_calls('[{"name": "f", "arguments": {"a": 1}}]')
    assert json.loads(call["function"]["arguments"]) == {"a": 1}
    assert forced_calls('[{"name": "f", "argum') is None

"""Drawings: everything on the page, nothing on top of anything else, safe text, whole files."""

import random
import xml.etree.ElementTree as ET

import pytest

from descent.scalar import MLP, Drawing, Value, draw
from descent.scalar.layout import layered

SVG = "{http://www.w3.org/2000/svg}"


def example():
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    y = (a * b + a).tanh()
    y.label = "y"
    y.backward()
    return y


@pytest.mark.parametrize("rankdir", ["LR", "TB"])
def test_svg_shows_every_number(rankdir):
    drawing = draw(example(), rankdir=rankdir)
    page = ET.fromstring(str(drawing))
    assert page.tag == f"{SVG}svg"
    texts = [t.text for t in page.iter(f"{SVG}text")]
    for expected in (
        "a",
        "b",
        "y",
        "*",
        "+",
        "tanh",
        "data 2.0000",
        "data -3.0000",
        "grad 1.0000",
        "×−3",
        "×2",
    ):
        assert expected in texts
    assert texts.count("×1") == 2
    assert len(page.findall(f".//{SVG}path[@class='head']")) == 5


@pytest.mark.parametrize("rankdir", ["LR", "TB"])
def test_boxes_do_not_overlap_and_stay_on_the_page(rankdir):
    random.seed(3)
    y = MLP(3, [4, 3, 1])([1.0, -2.0, 0.5])
    page = ET.fromstring(str(draw(y, rankdir=rankdir)))
    width, height = float(page.get("width")), float(page.get("height"))
    rects = [
        tuple(float(r.get(k)) for k in ("x", "y", "width", "height"))
        for r in page.iter(f"{SVG}rect")
        if r.get("class") != "paper"
    ]
    assert len(rects) > 100
    for i, (x, y, w, h) in enumerate(rects):
        assert x >= 0
        assert y >= 0
        assert x + w + 18 <= width
        assert y + h + 18 <= height
        for u, v, p, q in rects[:i]:
            assert x + w <= u or u + p <= x or y + h <= v or v + q <= y


def test_the_flow_goes_from_leaves_to_root():
    sizes = [(10.0, 10.0)] * 6
    edges = [(0, 2), (1, 2), (2, 4), (0, 4), (3, 4), (4, 5), (0, 5)]
    layout = layered(sizes, edges)
    for (a, b), route in zip(edges, layout.routes):
        stops = [layout.centres[a][0], *(p[0] for p in route), layout.centres[b][0]]
        assert stops == sorted(stops)
    assert [len(route) for route in layout.routes] == [0, 0, 0, 1, 0, 0, 2]
    assert layout.routes[3][0] == layout.routes[6][0]  # one line for all uses of node 0


def test_a_tree_has_no_crossings_and_a_chain_is_straight():
    # 4 leaves, listed so that naive order crosses: (0, 2) feed 4 and (1, 3) feed 5
    layout = layered([(10.0, 10.0)] * 7, [(0, 4), (2, 4), (1, 5), (3, 5), (4, 6), (5, 6)])
    first = sorted(layout.centres[v][1] for v in (0, 2))
    second = sorted(layout.centres[v][1] for v in (1, 3))
    assert first[1] < second[0] or second[1] < first[0]
    chain = layered([(10.0, 10.0)] * 5, [(i, i + 1) for i in range(4)])
    assert len({y for _, y in chain.centres}) == 1
    assert (chain.height, chain.routes) == (10.0, [[], [], [], []])


def test_dot():
    text = str(draw(example(), format="dot", rankdir="TB"))
    assert text.startswith("digraph {\n  rankdir=TB\n")
    assert '[shape=record, label="{ a | data 2.0000 | grad' in text
    assert text.count(" -> op") == 5
    assert '[label="-3.0000"]' in text


def test_labels_cannot_break_out():
    nasty = Value(1.0, label='<script>&"{x|y}\\')
    y = nasty + 1
    page = ET.fromstring(str(draw(y)))
    assert nasty.label in [t.text for t in page.iter(f"{SVG}text")]
    assert "<script>" not in draw(y)._repr_html_()
    assert r"{ \<script\>&\"\{x\|y\}\\ | data" in str(draw(y, format="dot"))


def test_small_and_endless_numbers_stay_readable():
    y = Value(1e-9) * Value(float("inf"))
    y.backward()
    text = str(draw(y))
    assert "data 1.000e-09" in text
    assert "data inf" in text


def test_the_same_value_twice_gives_two_lines():
    a = Value(3.0)
    page = ET.fromstring(str(draw(a + a)))
    lines = [
        p.get("d")
        for p in page.iter(f"{SVG}path")
        if (p.get("d") or "").startswith("M") and "C" in p.get("d")
    ]
    assert len(lines) == len(set(lines)) == 2


def test_a_leaf_alone():
    assert "data 5.0000" in str(draw(Value(5.0)))
    assert "op0" not in str(draw(Value(5.0), format="dot"))


def test_large_graphs_say_how_to_see_a_part():
    y = Value(1.0)
    for _ in range(400):
        y = y + 1.0
    with pytest.raises(ValueError, match=r"801 nodes, more than max_nodes=300.*depth=3"):
        draw(y)
    part = ET.fromstring(str(draw(y, depth=3)))
    assert len(part.findall(f".//{SVG}g[@class='more']")) == 1
    assert sum(t.text == "+" for t in part.iter(f"{SVG}text")) == 4
    assert len(str(draw(y, max_nodes=1000))) > 100_000
    assert "style=dashed" in str(draw(y, "dot", depth=0))


def test_a_closure_has_no_number_to_show():
    x = Value(2.0)
    y = Value(8.0, (x,), "cube")
    y._backward = lambda: None
    assert "×" not in str(draw(y))


def test_save_and_notebooks(tmp_path):
    drawing = draw(example())
    assert isinstance(drawing, Drawing)
    path = drawing.save(tmp_path / "g.svg")
    assert path.read_text(encoding="utf-8") == str(drawing) == drawing._repr_svg_()
    assert str(drawing) in drawing._repr_html_()
    dot = draw(example(), "dot")
    assert dot._repr_svg_() is None
    assert "&gt; op" in dot._repr_html_()
    assert "characters" in repr(dot)
    assert [p.name for p in tmp_path.iterdir()] == ["g.svg"]
    with pytest.raises(FileNotFoundError):
        drawing.save(tmp_path / "missing" / "g.svg")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3.0,), TypeError, "draw takes one Value, got float: 3.0"),
        ((Value(1.0), "png"), ValueError, "format must be 'svg' or 'dot', got 'png'"),
        ((Value(1.0), "svg", "RL"), ValueError, "rankdir must be 'LR' or 'TB', got 'RL'"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        draw(*arguments)


def test_a_negative_depth_is_refused():
    with pytest.raises(ValueError, match="0 or more, got -1"):
        draw(Value(1.0), depth=-1)

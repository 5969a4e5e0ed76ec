"""Every op can show itself, and says what it is."""

import inspect
from pathlib import Path

import pytest

from descent import ops
from descent.op import Elementwise, Movement, Op
from descent.view.errors import QuestionError
from descent.view.ops import all_ops, show_op

SHARED = {
    "__init__", "amx", "amx_trial", "bf16", "blocks", "columnwise", "decoding", "half_bytes", "headwise", "int8",
    "lanewise", "masses", "packed", "paged", "quantised", "rowsums", "rowwise", "sliding", "streamed", "tiled", "tiles",
    "updates", "vectorangles", "vectorlogs", "vectormath",
}  # fmt: skip


def test_the_list_of_families_is_complete() -> None:
    files = {p.stem for p in Path(ops.__file__).parent.glob("*.py")}
    assert set(ops.FAMILIES) == files - SHARED
    assert len(all_ops()) > 150


@pytest.mark.parametrize("name", sorted(all_ops()))
def test_every_op_has_a_sentence_a_source_and_a_page(name) -> None:
    op = all_ops()[name]
    assert op.doc.strip(), f"{name} has no docstring"
    assert len(op.source()) > 20
    if isinstance(op, Op):
        assert op.axes.text
        assert all(g.loops.py.__name__ for g in op.grads)
    module = inspect.getmodule(
        op.scalar
        if isinstance(op, Elementwise)
        else op.fn
        if isinstance(op, Movement)
        else op.ladder.loops.py
    )
    assert module is not None
    assert module.__doc__, f"the family of {name} has no docstring"


@pytest.mark.parametrize(
    "name", ["softmax", "tanh", "gelu_tanh", "permute", "layer_norm", "mul", "eq"]
)
def test_a_page_shows_source_and_example(name) -> None:
    page = show_op(name)
    assert page.startswith(name)
    assert "Source" in page
    assert "def " in page
    if name in ("tanh", "gelu_tanh", "mul"):
        assert "Gradient check" in page
        assert "compiled" in page
    if name == "softmax":
        assert "Ladder" in page
        assert "max difference" in page


def test_a_wrong_name_suggests_the_right_one() -> None:
    with pytest.raises(QuestionError, match="did you mean softmax"):
        show_op("softmx")

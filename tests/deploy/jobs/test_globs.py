import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.deploy.jobs.globs import Glob, GlobError, Patterns

FOLDER = [f"s3://bucket/images/img_{name}" for name in ("1.png", "2.jpg", "3.jpg", "4.gif")]


@pytest.mark.parametrize(
    ("includes", "excludes", "chosen"),
    [  # Cortex' examples (docs/workloads/batch/jobs.md)
        ([], [], [0, 1, 2, 3]),
        (["**.jpg"], [], [1, 2]),
        (["**.jpg"], ["**_3.jpg"], [1]),
        ([], ["**.gif"], [0, 1, 2]),
    ],
)
def test_cortex_examples(includes, excludes, chosen):
    patterns = Patterns(includes, excludes)
    assert [i for i, path in enumerate(FOLDER) if patterns.choose(path)] == chosen


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.jpg", "a.jpg", True),
        ("*.jpg", "b/a.jpg", False),
        ("**/a.jpg", "x/y/a.jpg", True),
        ("/data/*/x.png", "/data/1/x.png", True),
        ("/data/*/x.png", "/data/1/2/x.png", False),
        ("img_?.png", "img_1.png", True),
        ("img_?.png", "img_12.png", False),
        ("a?b", "a/b", False),
        ("[a-c].txt", "b.txt", True),
        ("[!a-c].txt", "b.txt", False),
        ("[!a-c].txt", "d.txt", True),
        ("[!a].txt", "/.txt", False),
        ("x.{png,jp{e,}g}", "x.jpeg", True),
        ("x.{png,jp{e,}g}", "x.jpg", True),
        ("x.{png,jp{e,}g}", "x.gif", False),
        ("a,b}", "a,b}", True),
        (r"\*", "*", True),
        (r"\*", "a", False),
        ("a+b(c)", "a+b(c)", True),
        ("[]]", "]", True),
        ("[^&]", "x", True),
    ],
)
def test_matching(pattern, path, matches):
    assert Glob(pattern).matches(path) is matches


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{a,b", "never closed"),
        ("[abc", "never closed"),
        ("[z-a]", "z-a is empty"),
        ("{a,b}" * 9, "more than 256"),
        ("x" * 1001, "1001 characters"),
    ],
)
def test_what_is_wrong_is_said(pattern, said):
    with pytest.raises(GlobError, match=said):
        Glob(pattern)


@given(
    st.text("ab/", max_size=12), st.lists(st.sampled_from(["*", "**", "?", "a", "/"]), max_size=7)
)
def test_as_a_regular_expression_would(path, pieces):
    regular = "".join({"*": "[^/]*", "**": ".*", "?": "[^/]"}.get(p, p) for p in pieces)
    joined = "".join("{" + p + "}" for p in pieces)  # two stars in a row would be another sign
    assert Glob(joined).matches(path) is bool(re.fullmatch(regular, path))


def test_names_of_files_cannot_make_it_slow():
    """A regular expression would need some 10¹⁵ steps here: the test would not end."""
    assert not Glob("**a" * 12 + "b").matches("a" * 1000)
    assert Glob("**a" * 12 + "b").matches("a" * 1000 + "b")

"""Scopes: which key may do what."""

import pytest

from descent.deploy.errors import DeployError
from descent.deploy.keys import allows, check_scopes, wanted_of


@pytest.mark.parametrize(
    ("scopes", "wanted", "may"),
    [
        (["predict"], "predict:sorter", True),
        (["predict:sorter"], "predict:sorter", True),
        (["predict:sort"], "predict:sorter", False),
        (["predict"], "submit:later", False),
        (["submit:later", "predict:a"], "submit:later", True),
        (["control:read"], "control:read", True),
        (["control:read"], "control:write", False),
        (["control:write"], "control:read", True),
        (["control:write"], "predict:sorter", False),
        (["predict"], "control:read", False),
        ([], "predict:sorter", False),
    ],
)
def test_a_scope_allows_what_it_names(scopes, wanted, may):
    assert allows(scopes, wanted) is may


def test_each_kind_has_its_verb():
    assert wanted_of("RealtimeAPI", "a") == wanted_of("TrafficSplitter", "a") == "predict:a"
    assert {wanted_of(k, "a") for k in ("AsyncAPI", "BatchAPI", "TaskAPI")} == {"submit:a"}


@pytest.mark.parametrize(
    "wrong", ["", "all", "predict:", "predict:A", "control", "submit:a b", "*"]
)
def test_words_that_are_no_scope_are_refused(wrong):
    with pytest.raises(DeployError, match="there are predict"):
        check_scopes(["predict", wrong])


def test_a_key_for_nothing_is_refused():
    with pytest.raises(DeployError, match="at least one scope"):
        check_scopes([])

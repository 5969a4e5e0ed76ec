"""Fixtures: real nodes that end with their test."""

import pytest

from tests.deploy.control.nodes import TestNode


@pytest.fixture
def make_node(tmp_path):
    made = []

    def make(**settings):
        node = TestNode(tmp_path, **settings)
        made.append(node)
        return node.start()

    yield make
    for node in made:
        node.end()


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """One for the tests of a module that do not harm it."""
    made = TestNode(tmp_path_factory.mktemp("node"))
    try:
        yield made.start()
    finally:
        made.end()

import pytest

from descent.deploy.gateway import Route
from descent.deploy.gateway.routes import Routes


def routes(*endpoints):
    found = Routes()
    for endpoint in endpoints:
        found.set(Route(endpoint, "RealtimeAPI", endpoint))
    return found


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/a", "/a"),
        ("/a/", "/a"),
        ("/a/x/y", "/a"),
        ("/a/b", "/a/b"),
        ("/a/b/c", "/a/b/c"),
        ("/a/b/c/d", "/a/b/c"),
        ("/a/bc", "/a"),
        ("/d/e/f", "/d/e"),
        ("/d", None),
        ("/d/ee", None),
        ("/ab", None),
        ("/", None),
        ("", None),
    ],
)
def test_the_longest_endpoint_wins(path, endpoint):
    found = routes("/a", "/a/b", "/a/b/c", "/d/e").find(path)
    assert (found and found.endpoint) == endpoint


def test_removed():
    found = routes("/a", "/a/b")
    assert found.remove("/a/b").endpoint == "/a/b"
    assert found.find("/a/b").endpoint == "/a"
    assert found.remove("/a/b") is None


def test_replaced_under_another_endpoint():
    found = Routes()
    found.set(Route("n", "RealtimeAPI", "/old"))
    found.set(Route("n", "RealtimeAPI", "/new"))
    assert found.find("/old") is None
    assert found.find("/new/x").name == "n"


@pytest.mark.parametrize("endpoint", ["", "/", "a", "/a/", "/v1", "/v1/x", "/-/x", "/metrics"])
def test_endpoints_that_cannot_be(endpoint):
    with pytest.raises(ValueError, match="endpoint"):
        routes(endpoint)


def test_taken_by_another():
    found = routes("/a")
    with pytest.raises(ValueError, match="taken by '/a'"):
        found.set(Route("other", "RealtimeAPI", "/a"))

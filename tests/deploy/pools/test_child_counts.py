"""What children count arrives once, whatever dies in between; families of several are summed."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from descent.deploy.pools.child_counts import Families, Tally, snapshot
from descent.deploy.service.counting import ServiceCounts

events = st.one_of(
    st.integers(1, 100).map(lambda size: ("batch", size)),
    st.tuples(st.integers(1, 5), st.floats(0, 40)).map(lambda one: ("group", *one)),
    st.just(("told",)),
    st.just(("died",)),
)


@given(st.lists(events, max_size=40))
def test_the_nodes_counts_are_what_was_told(sequence):
    node, told = (
        ServiceCounts(),
        ServiceCounts(),
    )  # told: all that children counted before a telling
    tally, child, since = Tally(node), ServiceCounts(), []
    for kind, *values in sequence:
        if kind == "died":
            child, since = ServiceCounts(), []
            tally.restart()
        elif kind == "told":
            tally.take(snapshot(child))
            for one, *what in since:
                count(told, one, what)
            since = []
        else:
            count(child, kind, values)
            since.append((kind, *values))
    for name in ("batch_size", "first_item_s", "inter_item_s"):
        assert getattr(node, name).counts == getattr(told, name).counts
        assert abs(getattr(node, name).total - getattr(told, name).total) < 1e-6
    assert node.items == told.items


def count(counts, kind, values):
    if kind == "batch":
        counts.batch(*values)
    else:
        counts.group(*values, first=True)


def test_what_is_no_snapshot_is_left_out():
    counts = ServiceCounts()
    tally = Tally(counts)
    good = snapshot(counts)
    for bad in (
        {},
        {"items": 3},
        None,
        {**good, "items": "3"},
        {**good, "batch_size": [1]},
        {**good, "first_item_s": [None] * len(good["first_item_s"])},
    ):
        tally.take(bad)
    assert snapshot(counts) == good


def test_families_are_summed_over_replicas():
    def exposed(n):
        registry = CollectorRegistry()
        Counter("asked", "How often", ["kind"], registry=registry).labels(kind=f'"{n}"').inc(n)
        Counter("all", "All", registry=registry).inc(n)
        Histogram("took", "Seconds", buckets=[1, 10], registry=registry).observe(n)
        return generate_latest(registry).decode()

    class Both:
        def collect(self):
            return Families(lambda: [exposed(2), "", exposed(5)]).collect()

        def describe(self):
            return []

    registry = CollectorRegistry()
    registry.register(Both())
    assert registry.get_sample_value("all_total") == 7
    assert registry.get_sample_value("asked_total", {"kind": '"5"'}) == 5
    assert registry.get_sample_value("took_bucket", {"le": "10.0"}) == 2
    assert registry.get_sample_value("took_sum") == 7
    assert "# TYPE took histogram" in generate_latest(registry).decode()

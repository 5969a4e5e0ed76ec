"""Cortex' specs are read as they are; defaults and limits are Cortex'; dumps are read back."""

import json

import pytest

from descent.deploy.spec import KINDS, SpecError, changed, make_spec, read_specs
from tests.deploy.spec.cortex_examples import EXAMPLES

SERVED = {"service": "sorter.py:Sorter"}


def spec(kind="RealtimeAPI", **fields):
    return make_spec({"name": "sorter", "kind": kind, **SERVED, **fields})


def refused(kind="RealtimeAPI", **fields):
    with pytest.raises(SpecError) as caught:
        spec(kind, **fields)
    return str(caught.value)


@pytest.mark.parametrize("name", EXAMPLES)
def test_specs_of_cortex_are_accepted_unchanged(name):
    specs = read_specs(EXAMPLES[name])
    assert specs
    for one in specs:
        assert make_spec(json.loads(json.dumps(one.model_dump(mode="json")))) == one
        assert make_spec(one.model_dump(mode="json", exclude_unset=True)) == one


def test_the_fields_of_a_full_example():
    (one,) = read_specs(EXAMPLES["realtime"])
    assert one.networking.endpoint == "/support/tickets"
    assert one.autoscaling.window == 120
    assert one.autoscaling.init_replicas == 1
    web, features = one.pod.containers
    assert (web.compute.cpu, web.compute.mem, web.compute.shm) == (0.5, 1.5 * 2**30, 64 * 2**20)
    assert (features.compute.cpu, features.compute.mem) == (1, 2 * 10**9)
    assert web.readiness_probe.period_seconds == 10
    assert web.liveness_probe.failure_threshold == 5
    assert web.pre_stop.exec.command == ["sleep", "5"]
    assert one.update_strategy.max_surge == 1


def test_defaults_are_those_of_cortex():
    one = spec()
    assert (one.pod.port, one.pod.max_concurrency, one.pod.max_queue_length) == (8080, 1, 100)
    scaling = one.autoscaling
    assert (scaling.min_replicas, scaling.max_replicas, scaling.init_replicas) == (1, 100, 1)
    assert scaling.target_in_flight == 1
    assert scaling.window == 60
    assert scaling.downscale_stabilization_period == 300
    assert scaling.upscale_stabilization_period == 60
    assert (scaling.max_downscale_factor, scaling.max_upscale_factor) == (0.75, 1.5)
    assert (scaling.downscale_tolerance, scaling.upscale_tolerance) == (0.05, 0.05)
    assert (one.update_strategy.max_surge, one.update_strategy.max_unavailable) == ("25%", "25%")
    assert one.networking.endpoint == "/sorter"
    assert spec(pod={"max_concurrency": 8}).autoscaling.target_in_flight == 8
    assert spec(autoscaling={"min_replicas": 3}).autoscaling.init_replicas == 3
    assert spec("TaskAPI").attempts == 1
    assert spec("BatchAPI").attempts == 3


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kind_does_not_have_is_refused_and_not_dumped(kind):
    given = {"apis": [{"name": "a", "weight": 100}]} if kind == "TrafficSplitter" else SERVED
    one = make_spec({"name": "sorter", "kind": kind, **given})
    assert set(one.model_dump()) == set(KINDS[kind].takes)
    assert ("autoscaling" in KINDS[kind].takes) == (kind in ("RealtimeAPI", "AsyncAPI"))
    assert one.autoscaling.max_replicas == 100  # whoever reads any spec finds every attribute


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("RealtimeAPI", {"pod": {"max_concurrency": 40000}},
         "pod.max_concurrency of 'sorter' is 40000; RealtimeAPI allows 1 to 30000"),
        ("RealtimeAPI", {"pod": {"max_concurrency": 0}},
         "pod.max_concurrency of 'sorter' is 0; 1 or more is allowed"),
        ("AsyncAPI", {"pod": {"max_concurrency": 101}},
         "pod.max_concurrency of 'sorter' is 101; AsyncAPI allows 1 to 100"),
        ("RealtimeAPI", {"pod": {"max_queue_length": 30001}}, "allows 1 to 30000"),
        ("AsyncAPI", {"pod": {"max_queue_length": 7}}, "an AsyncAPI keeps its queue in the store"),
        ("BatchAPI", {"pod": {"max_concurrency": 2}}, "`workers`"),
        ("TaskAPI", {"pod": {"port": 9000}}, "it has no port"),
        ("RealtimeAPI", {"pod": {"port": 8888}}, "8888 and 15000 are reserved"),
        ("RealtimeAPI", {"pod": {"port": 70000}}, "is 70000; 1 to 65535 is allowed"),
        ("RealtimeAPI", {"pod": {"port": "8080"}}, "is '8080'; a whole number is needed"),
        ("RealtimeAPI", {"pod": {"port": True}}, "is True; a whole number is needed"),
        ("RealtimeAPI", {"pod": {"prot": 1}}, "pod.prot of 'sorter': there is no such field; did you mean port?"),
        ("RealtimeAPI", {"max_concurrency": 3}, "it belongs to pod"),
        ("RealtimeAPI", {"predictor": {"path": "a.py"}}, "write `service: file.py:Class`"),
        ("RealtimeAPI", {"ttl_s": 3}, "RealtimeAPI has no such field; AsyncAPI and BatchAPI and TaskAPI have it"),
        ("BatchAPI", {"autoscaling": {"min_replicas": 2}}, "BatchAPI has no such field"),
        ("RealtimeAPI", {"autoscaling": {"target_in_flight": 102}},
         "autoscaling.target_in_flight of 'sorter' is 102; at most pod.max_concurrency + pod.max_queue_length = 101"),
        ("RealtimeAPI", {"autoscaling": {"target_in_flight": 0}}, "more than 0 is allowed"),
        ("RealtimeAPI", {"autoscaling": {"window": "15s"}}, "is '15s'; a multiple of 10 s"),
        ("RealtimeAPI", {"autoscaling": {"window": "0s"}}, "a multiple of 10 s, at least 10 s"),
        ("RealtimeAPI", {"autoscaling": {"window": "ten"}}, "a duration is needed, like \"30s\""),
        ("RealtimeAPI", {"autoscaling": {"max_downscale_factor": 1}}, "0 to less than 1 is allowed"),
        ("RealtimeAPI", {"autoscaling": {"max_upscale_factor": 1}}, "more than 1 is allowed"),
        ("RealtimeAPI", {"autoscaling": {"min_replicas": 5, "max_replicas": 4}}, "at most max_replicas (4)"),
        ("RealtimeAPI", {"autoscaling": {"init_replicas": 0}}, "min_replicas (1) to max_replicas (100)"),
        ("RealtimeAPI", {"update_strategy": {"max_surge": "0%", "max_unavailable": 0}}, "cannot both be 0"),
        ("RealtimeAPI", {"update_strategy": {"max_surge": "some"}}, "a number of replicas (5) or a percentage"),
        ("RealtimeAPI", {"networking": {"endpoint": "/metrics/x"}}, "are the node's own"),
        ("RealtimeAPI", {"networking": {"endpoint": "/a//b"}}, "single '/'"),
        ("RealtimeAPI", {"networking": {"endpoint": "/a/../b"}}, "are not parts of an endpoint"),
        ("RealtimeAPI", {"networking": {"endpoint": "/"}}, "at least one part"),
        ("RealtimeAPI", {"node_groups": ["a b"]}, "node_groups[0] of 'sorter' is 'a b'"),
        ("RealtimeAPI", {"node_groups": []}, "1 to 100 groups"),
        ("RealtimeAPI", {"service": None}, "nothing to run"),
        ("RealtimeAPI", {"timeout_s": -1}, "cannot be negative"),
        ("RealtimeAPI", {"timeout_s": 0}, "more than 0 is allowed"),
        ("RealtimeAPI", {"config": {"x": float("nan")}}, "no NaN"),
        ("RealtimeAPI", {"backend": "ry"}, "'local', 'command', 'ray' are allowed"),
        ("AsyncAPI", {"webhook": {"url": "ftp://x"}}, "webhook.url of 'sorter' is 'ftp://x'"),
        ("AsyncAPI", {"webhook": {}}, "webhook.url of 'sorter': it is missing"),
        ("Realtime", {}, "kind of 'sorter' is 'Realtime'; did you mean RealtimeAPI?"),
        (7, {}, "RealtimeAPI, AsyncAPI, BatchAPI, TaskAPI, TrafficSplitter are the kinds"),
        ("RealtimeAPI", {"name": "Sorter"}, "name is 'Sorter'; a name is lower-case letters"),
        ("RealtimeAPI", {"name": "a" * 43}, "at most 42 characters"),
        ("RealtimeAPI", {"name": "a\n"}, "a name is lower-case letters"),
    ],
)  # fmt: skip
def test_errors_name_field_value_and_limit(kind, fields, said):
    assert said in refused(kind, **fields)


def test_a_name_that_is_a_reserved_endpoint_needs_another():
    assert "name is 'metrics'; /metrics is the node's own" in refused(name="metrics")
    assert (
        spec(name="metrics", networking={"endpoint": "/numbers"}).networking.endpoint == "/numbers"
    )


CONTAINER = {"name": "api", "image": "x/y:1"}


@pytest.mark.parametrize(
    ("kind", "container", "said"),
    [
        ("RealtimeAPI", {"image": None}, "an image, or a command"),
        ("RealtimeAPI", {"image": "a b"}, "a Docker image is needed"),
        ("RealtimeAPI", {"name": "proxy"}, "reserved"),
        ("RealtimeAPI", {"env": {"CORTEX_PORT": "1"}}, "env.CORTEX_PORT: names beginning with CORTEX_"),
        ("RealtimeAPI", {"env": {"A": "x\0"}}, "a text without NUL is needed"),
        ("RealtimeAPI", {"env": {"A=B": "x"}}, "cannot be the name of a variable"),
        ("RealtimeAPI", {"command": ["a", "\0"]}, "a text without NUL is needed"),
        ("RealtimeAPI", {"env": {"A": 1}}, "pod.containers[0].env.A of 'sorter' is 1; text is needed: write \"1\" in quotes"),
        ("RealtimeAPI", {"compute": {"cpu": "10m"}}, "0.02 or more processors"),
        ("RealtimeAPI", {"compute": {"mem": "2Mi"}}, "20971520 or more bytes"),
        ("RealtimeAPI", {"compute": {"mem": "2x"}}, "a size is needed"),
        ("RealtimeAPI", {"compute": {"mem": "64Mi", "shm": "65Mi"}}, "cannot be more than mem"),
        ("RealtimeAPI", {"compute": {"gpu": 1, "inf": 1}}, "cannot both be asked for"),
        ("RealtimeAPI", {"readiness_probe": {}}, "exactly one of http_get, tcp_socket and exec"),
        ("RealtimeAPI", {"readiness_probe": {"tcp_socket": {"port": 15000}}}, "reserved"),
        ("RealtimeAPI", {"liveness_probe": {"exec": {"command": []}}}, "at least one word"),
        ("RealtimeAPI", {"pre_stop": {}}, "exactly one of http_get and exec"),
        ("BatchAPI", {}, "BatchAPI needs the command"),
        ("TaskAPI", {"command": ["x"], "pre_stop": {"exec": {"command": ["x"]}}}, "has no pre_stop"),
        ("TaskAPI", {"command": ["x"], "readiness_probe": {"tcp_socket": {"port": 1}}}, "never asked"),
    ],
)  # fmt: skip
def test_containers(kind, container, said):
    pod = {"containers": [{**CONTAINER, **container}]}
    assert said in refused(kind, service=None, pod=pod)


def test_several_containers():
    twice = {"containers": [CONTAINER, CONTAINER]}
    assert "pod.containers[1].name" in refused(service=None, pod=twice)
    assert "either `service` or pod.containers" in refused(pod={"containers": [CONTAINER]})
    assert 'backend "command"' in refused(
        service=None, backend="local", pod={"containers": [CONTAINER]}
    )


@pytest.mark.parametrize(
    ("apis", "said"),
    [
        ([], "at least one API"),
        ([("a", 100, True)], "at least one API that isn't a shadow"),
        ([("a", 40), ("b", 50)], "must sum to 100, not 90"),
        ([("a", 50), ("a", 50)], "apis[1].name"),
        ([("a", 100), ("b", 1, True), ("c", 1, True)], "apis[2].shadow of 'sorter' is True; one shadow"),
        ([("sorter", 100)], "cannot send to itself"),
        ([("a", 101)], "0 to 100 is allowed"),
    ],
)  # fmt: skip
def test_splitters(apis, said):
    rows = [dict(zip(("name", "weight", "shadow"), row)) for row in apis]
    with pytest.raises(SpecError) as caught:
        make_spec({"name": "sorter", "kind": "TrafficSplitter", "apis": rows})
    assert said in str(caught.value)


def test_a_guard_needs_something_to_guard_and_a_known_fallback():
    base = {"name": "s", "kind": "TrafficSplitter", "apis": [{"name": "a", "weight": 100}]}
    with pytest.raises(SpecError, match="nothing is guarded"):
        make_spec({**base, "guard": {"min_requests": 5}})
    with pytest.raises(SpecError, match=r"guard\.fallback of 's' is 'b'"):
        make_spec({**base, "guard": {"max_error_rate": 0.1, "fallback": "b"}})
    assert (
        make_spec({**base, "guard": {"max_error_rate": 0.1, "fallback": "a"}}).guard.window_s == 60
    )


def test_every_problem_is_reported_at_once():
    said = refused(pod={"port": 0, "max_concurrency": "many"}, timeout_s="soon").splitlines()
    assert len(said) == 3


def test_rules_behind_wrong_fields_are_reported_too():
    said = refused(pod={"max_concurrency": 40000, "prot": 1}, autoscaling={"window": "x"})
    assert "allows 1 to 30000" in said
    assert "did you mean port" in said
    assert len(said.splitlines()) == 3
    pod = {"containers": [{"name": "api", "image": "a b"}]}  # no second complaint of the image
    assert len(refused(service=None, pod=pod).splitlines()) == 1
    assert len(refused(service=3).splitlines()) == 1  # nor that nothing is left to run


def test_changed_keeps_what_follows_from_other_fields():
    one = changed(spec(pod={"max_concurrency": 8}), max_concurrency=4, min_replicas=2)
    assert one.autoscaling.target_in_flight == 4
    assert one.autoscaling.init_replicas == 2
    with pytest.raises(SpecError, match="did you mean max_concurrency"):
        changed(one, max_concurency=3)


def test_a_spec_does_not_change_afterwards():
    with pytest.raises(ValueError, match="frozen"):
        spec().name = "other"


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_json_schema_allows_what_is_read_and_dumped(name):
    jsonschema = pytest.importorskip("jsonschema")
    for one in read_specs(EXAMPLES[name]):
        schema = type(one).model_json_schema()
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = jsonschema.Draft202012Validator(schema)
        validator.validate(one.model_dump(mode="json"))
        assert not validator.is_valid({**one.model_dump(mode="json"), "nmae": "x"})
        assert set(schema["properties"]) == set(type(one).takes)
        if one.kind == "RealtimeAPI":
            assert not validator.is_valid({**one.model_dump(mode="json"), "pod": {"port": 70000}})

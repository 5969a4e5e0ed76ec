"""Reading: files, text and data; what is refused before it can do harm; lines of what is wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descent.deploy.control.starting import backend_of, limits_of
from descent.deploy.spec import SpecError, make_spec, read_specs

ONE = "- name: sorter\n  kind: RealtimeAPI\n  service: s.py:S\n"


def refused(text):
    with pytest.raises(SpecError) as caught:
        read_specs(text)
    return str(caught.value)


def test_a_file_a_text_a_list_one_api_and_json_are_the_same(tmp_path):
    path = tmp_path / "apis.yaml"
    path.write_text(ONE)
    data = {"name": "sorter", "kind": "RealtimeAPI", "service": "s.py:S"}
    expected = read_specs(path)
    for source in (
        str(path),
        ONE,
        data,
        [data],
        json.dumps(data),
        json.dumps([data]),
        "--- \n" + ONE,
    ):
        assert read_specs(source) == expected


def test_several_documents_and_an_empty_one():
    second = ONE.replace("sorter", "other").replace("- name", "---\n- name")
    assert [spec.name for spec in read_specs(ONE + "---\n" + second)] == ["sorter", "other"]


def test_aliases_and_merges_are_written_out():
    text = """
- &base
  name: a
  kind: RealtimeAPI
  service: s.py:S
  pod: &pod {max_concurrency: 3}
- <<: *base
  name: b
- <<: [{name: c}, *base]
  pod:
    <<: *pod
    max_queue_length: 7
"""
    a, b, c = read_specs(text)
    assert (a.name, b.name, c.name) == ("a", "b", "c")
    assert b.pod == a.pod
    assert (c.pod.max_concurrency, c.pod.max_queue_length) == (3, 7)


def bomb(levels):
    lines = ['a0: &a0 ["x","x","x","x","x","x","x","x","x"]']
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def merge_bomb(levels):
    lines = ["- &a0 {k: 1}"]
    lines += [f"- &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (bomb(12), "more than 20000 values"),
        (merge_bomb(12), "more than 20000 values"),
        ("- a\n" * 70000, "line 59999: more than 20000 values are refused"),
        ("- &a [*a]", "contains itself"),
        ("- &a {x: *a}", "contains itself"),
        ("[" * 500, "line 1: more than 64 levels"),
        ("[" * 5000, "more than 64 levels"),
        ("[" * 5000 + "]" * 5000, "more than 64 levels"),
        ('{"name": "a", "name": "b"}', "'name' stands here twice"),
        ("- " * 5000, "more than 64 levels"),
        ("x: " + "y" * (1 << 20), "more than 1 MiB"),
        (ONE + "  kind: TaskAPI\n", "line 4: 'kind' stands here twice"),
        ("- name: !!python/object/apply:os.system ['true']", "is refused: a spec is plain data"),
        ("- name: !!python/name:os.system x", "is refused: a spec is plain data"),
        ("- !!set {a, b}", "is refused"),
        ("- 1: x", "a name is text"),
        ("- yes: x", "a name is text"),
        ("- [a, b]: x", "a name is text"),
        ("- <<: 3", "`<<` takes a mapping"),
        ("- name: " + "9" * 5000, "more than 100 digits"),
        ("- name: [", "this is not YAML"),
        ("- name: *nothing", "this is not YAML"),
        ("- name: '\x00'", "this is not YAML"),
        ("- name: @x", "line 1: this is not YAML"),
        ("", "there is no spec here"),
        ("- \n", "an API is a mapping"),
        ("- sorter\n- 3\n", "an API is a mapping (name: …, kind: …); this is 'sorter'"),
        ("nowhere.yaml", "'nowhere.yaml' cannot be read: No such file"),
    ],
)  # fmt: skip
def test_refused(text, said):
    assert said in refused(text)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ('"timeout_s": N', "timeout_s of 'sorter' is"),
        ('"max_body_bytes": N', "max_body_bytes of 'sorter' is"),
        ('"max_body_bytes": "N"', "a size is needed"),
        ('"max_body_bytes": "1e9"', "a size is needed"),
        ('"pod": {"port": N}', "pod.port of 'sorter' is"),
        ('"autoscaling": {"min_replicas": N}', "a finite number is needed"),
        ('"config": {"x": D}', "more than 64 levels are refused"),
        ('"config": {"x": D}, "pod": {"port": 0}', "more than 64 levels are refused"),
    ],
)
def test_numbers_and_levels_without_end_are_refused(field, said):
    field = field.replace("N", "9" * 400).replace("D", "[" * 900 + "]" * 900)
    assert said in refused('{"name": "sorter", "kind": "RealtimeAPI", ' + field + "}")


def test_too_many_are_refused_and_not_all_is_said():
    assert "1001 APIs in one file; at most 1000" in refused(json.dumps([1] * 1001))
    said = refused(json.dumps([1] * 1000)).splitlines()
    assert len(said) == 21
    assert said[-1] == "… and 980 more"


def test_dates_stay_text():
    (spec,) = read_specs(ONE + "  config: {since: 2024-01-31, when: 2024-01-31T10:00:00Z}\n")
    assert spec.config == {"since": "2024-01-31", "when": "2024-01-31T10:00:00Z"}


def test_exponents_are_numbers():
    (spec,) = read_specs(ONE + "  autoscaling: {target_in_flight: 1e1}\n")
    assert spec.autoscaling.target_in_flight == 10


def test_lines_and_the_file_are_named(tmp_path):
    path = tmp_path / "apis.yaml"
    path.write_text(ONE + "  pod:\n    port: 0\n- name: b\n  kind: RealtimeAPI\n")
    said = refused(path).splitlines()
    assert said[0] == f"{path}, line 5: pod.port of 'sorter' is 0; 1 to 65535 is allowed"
    assert said[1].startswith(f"{path}, line 6: pod.containers of 'b': nothing to run")
    path.write_bytes(b"- name: \xff")
    assert "not UTF-8 text (byte 8)" in refused(path)
    assert "Is a directory" in refused(tmp_path)


def test_names_and_endpoints_stand_once_in_a_file():
    assert "line 4: name is 'sorter'; it stands here twice" in refused(ONE + ONE)
    other = ONE.replace("sorter", "other") + "  networking: {endpoint: sorter}\n"
    assert "is '/sorter'; it is that of 'sorter' too" in refused(ONE + other)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)
FIELDS = [
    "name",
    "kind",
    "pod",
    "service",
    "config",
    "autoscaling",
    "warm_up",
    "apis",
    "networking",
]


@given(st.dictionaries(st.sampled_from(FIELDS), values, max_size=4))
def test_any_data_becomes_specs_or_a_spec_error(data):
    try:
        specs = read_specs({"name": "a", "kind": "RealtimeAPI", "service": "s.py:S", **data})
    except SpecError as error:
        said = [problem.message for problem in error.problems]
    else:
        said = [spec.name for spec in specs]
    assert all(said)


@given(st.text(alphabet="ab:-[]{}&*!<>|'\"#%@?, \n01.~", max_size=40))
def test_any_text_becomes_specs_or_a_spec_error(text):
    with pytest.raises(SpecError):
        read_specs(text + "\n")


@given(values)
def test_json_is_read_as_json_reads_it(value):
    data = [{"name": "a", "kind": "RealtimeAPI", "service": "s.py:S", "warm_up": [value]}]
    (spec,) = read_specs(json.dumps(data))
    assert spec.warm_up == [value]


def test_what_a_full_queue_is_answered_with():
    spec = make_spec(
        {"name": "a", "kind": "RealtimeAPI", "service": "s.py:S", "overflow_status": 429}
    )
    assert limits_of(spec).overflow_status == 429
    for wrong in (
        {"kind": "RealtimeAPI", "overflow_status": 200},
        {"kind": "AsyncAPI", "overflow_status": 429},
    ):
        with pytest.raises(SpecError, match="overflow_status"):
            make_spec({"name": "a", "service": "s.py:S", **wrong})


COMPUTE = {"name": "api", "compute": {"cpu": "2", "mem": "4Gi", "gpu": 1}}


def test_what_a_replica_of_a_service_asks_for():
    spec = make_spec(
        {"name": "a", "kind": "RealtimeAPI", "service": "s.py:S", "pod": {"containers": [COMPUTE]}}
    )
    assert (spec.pod.containers[0].compute.cpu, spec.pod.containers[0].compute.gpu) == (2.0, 1)
    assert backend_of(spec, "ray") == "ray"
    assert make_spec(spec.model_dump(mode="json", exclude_unset=True)) == spec


@pytest.mark.parametrize(
    "containers",
    [
        [COMPUTE, {**COMPUTE, "name": "b"}],
        [{**COMPUTE, "command": ["x"]}],
        [{**COMPUTE, "env": {"A": "b"}}],
    ],
)
def test_a_service_has_no_containers_that_run(containers):
    with pytest.raises(SpecError, match="not both"):
        make_spec(
            {
                "name": "a",
                "kind": "RealtimeAPI",
                "service": "s.py:S",
                "pod": {"containers": containers},
            }
        )

"""Specs without YAML: from names of things."""

import pytest

from descent.deploy.spec import SpecError, spec_of
from descent.deploy.spec.targets import name_from


class TextSorter:
    def predict(self, value):
        return sorted(value)


def test_a_class_a_file_a_folder_and_a_model_name(tmp_path):
    assert spec_of(TextSorter).service == "tests.deploy.spec.test_targets:TextSorter"
    assert spec_of(TextSorter).name == "text-sorter"
    (tmp_path / "sorter.py").write_text("class S: ...")
    assert spec_of(f"{tmp_path}/sorter.py:S").name == "s"
    assert spec_of(f"{tmp_path}/sorter.py").name == "sorter"
    run = tmp_path / "My_Run 2"
    run.mkdir()
    assert spec_of(run).name == "my-run-2"
    assert spec_of(run).service == str(run)
    assert spec_of("descent-code").service == "descent-code"


@pytest.mark.parametrize(
    ("service", "name"),
    [
        ("a/b.py:HTTPThing", "httpthing"),
        ("pkg.mod:Outer.Inner", "inner"),
        ("runs/2024-names", "api-2024-names"),
        ("x.py:été", "t"),
        ("runs/" + "a" * 60, "a" * 42),
        ("_", "api"),
    ],
)
def test_names(service, name):
    assert name_from(service) == name


def test_overrides():
    spec = spec_of(
        TextSorter, name="s", kind="AsyncAPI", max_concurrency=8, ttl_s="1h", pod={"port": 9000},
        **{"autoscaling.min_replicas": 0},
    )  # fmt: skip
    assert (spec.name, spec.kind, spec.ttl_s) == ("s", "AsyncAPI", 3600)
    assert (spec.pod.max_concurrency, spec.pod.port) == (8, 9000)
    assert spec.autoscaling.min_replicas == 0


def test_a_list_is_overridden_as_a_whole():
    with pytest.raises(SpecError, match="containers has no fields that can be named"):
        spec_of(
            TextSorter,
            containers=[{"name": "a", "image": "b"}],
            **{"pod.containers.0.image": "c"},
        )


def test_what_cannot_be_deployed(tmp_path):
    class Local: ...

    for target, said in [
        (Local, "inside a function"),
        (3, "a class, a function or text is needed"),
        (str(tmp_path / "no.py:S"), "there is no"),
        ("runs/nothing", "there is no 'runs/nothing'"),
    ]:
        with pytest.raises(SpecError, match=said):
            spec_of(target)
    with pytest.raises(SpecError, match="kind of 's' is 'Realtime'; did you mean"):
        spec_of(TextSorter, name="s", kind="Realtime")

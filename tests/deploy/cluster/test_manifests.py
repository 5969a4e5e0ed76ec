"""Manifests: what is written, what is refused, and that the checks see what is wrong."""

from __future__ import annotations

import copy
import importlib.util
import json

import pytest
import yaml

from descent.deploy.cluster.checking import check
from descent.deploy.cluster.image import dockerfile, problems
from descent.deploy.cluster.kubernetes import documents, serve_config
from descent.deploy.cluster.manifests import write_manifests
from descent.deploy.errors import DeployError
from descent.deploy.spec import make_spec, read_specs

SPECS = """
- name: sorter
  kind: RealtimeAPI
  service: code/sorter.py:Sorter
  pod: {max_concurrency: 4}
  autoscaling: {min_replicas: 2, max_replicas: 12}
- name: echo
  kind: RealtimeAPI
  service: code/sorter.py:Echo
  networking: {endpoint: /e/cho}
  policy: ray
"""
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="ray is not installed: pip install 'descent-ml[ray]'",
)


@pytest.fixture
def base(tmp_path):
    base = tmp_path / "base"
    (base / "code").mkdir(parents=True)
    (base / "code" / "sorter.py").write_text("class Sorter: ...\nclass Echo: ...\n")
    (base / "spec.yaml").write_text(SPECS)
    return base


def made(image="registry.example.com/descent:1.2"):
    specs = read_specs(SPECS)
    return documents(specs, name="descent", namespace="ml", image=image, ray_version="2.60.0")


@needs_ray
def test_writes_what_it_says(base):
    out = base.parent / "out"
    files = write_manifests(read_specs(base / "spec.yaml"), base, out)
    assert all(file.exists() for file in files)
    assert not list(out.glob(".making-*"))
    service = yaml.safe_load((out / "k8s" / "rayservice.yaml").read_text())
    applications = json.loads(service["spec"]["serveConfigV2"])["applications"]
    assert [one["route_prefix"] for one in applications] == ["/sorter", "/e/cho"]
    for one in applications:
        folder = out / "services" / one["args"]["folder"].removeprefix("/app/services/")
        file = one["args"]["spec"]["service"].partition(":")[0]
        assert (folder / file).read_text().startswith("class Sorter")
    group = service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]
    # A pod of 1 CPU holds 5 replicas of 0.2: ⌈2/5⌉ + ⌈1/5⌉ at least, ⌈12/5⌉ + ⌈100/5⌉ at most.
    assert (group["minReplicas"], group["maxReplicas"]) == (2, 23)
    image = group["template"]["spec"]["containers"][0]["image"]
    assert image.startswith("descent-serve:")
    assert f"docker build -t {image} ." in (out / "Dockerfile").read_text()
    assert "ray[default,serve]==" in (out / "requirements.txt").read_text()


@needs_ray
def test_the_image_is_named_by_its_contents(base):
    out, names = base.parent / "out", []
    for text in (
        "class Sorter: ...\nclass Echo: ...\n",
        "class Sorter: 1\nclass Echo: ...\n",
        None,
    ):
        if text is not None:
            (base / "code" / "sorter.py").write_text(text)
        write_manifests(read_specs(base / "spec.yaml"), base, out)
        names.append((out / "Dockerfile").read_text().split("build -t ")[1].split()[0])
    assert names[0] != names[1] == names[2]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"name": "later", "kind": "AsyncAPI", "service": "a.py:A"}, "'later' is a AsyncAPI"),
        (
            {"name": "box", "kind": "RealtimeAPI", "pod": {"containers": [
                {"name": "c", "image": "x:1"}]}},
            "RealtimeAPI of containers",
        ),
    ],
)  # fmt: skip
def test_refuses_what_cannot_run_there(base, spec, said):
    with pytest.raises(DeployError, match=said):
        write_manifests(read_specs(spec), base, base.parent / "out")


@needs_ray
def test_refuses_a_missing_file_and_an_unpinned_image(base):
    specs = read_specs(base / "spec.yaml")
    with pytest.raises(DeployError, match="is not pinned"):
        write_manifests(specs, base, base.parent / "out", image="descent:latest")
    (base / "code" / "sorter.py").unlink()
    with pytest.raises(DeployError, match=r"sorter\.py"):
        write_manifests(specs, base, base.parent / "out")
    assert not (base.parent / "out" / "k8s").exists(), "nothing was written"


def test_refuses_to_write_into_what_it_copies(base):
    with pytest.raises(DeployError, match="name a folder outside of it"):
        write_manifests(read_specs(base / "spec.yaml"), base, base / "out")
    assert not (base / "out").exists()


def test_good_documents_pass():
    assert check(made()) == []


def _wrong(path, value):
    def change(found):
        *way, last = path
        place = found
        for step in way:
            place = place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return change


POD = ("rayservice.yaml", "spec", "rayClusterConfig", "headGroupSpec", "template", "spec")
BOX = (*POD, "containers", 0)
GROUP = ("rayservice.yaml", "spec", "rayClusterConfig", "workerGroupSpecs", 0)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("configmap.yaml", "kind"), "ConfigMop", "ConfigMop of v1 is not known"),
        (("configmap.yaml", "data", "N"), 3, ".data.N is 3, not a str"),
        (("rayservice.yaml", "metadata", "name"), "Des_cent", "no DNS label"),
        (("rayservice.yaml", "spec", "serveConfigV2"), "{", "serveConfigV2 cannot be read"),
        (("rayservice.yaml", "spec", "serveConfigV2"), '{"applications": [{"route_prefix": "/a"}, '
         '{"route_prefix": "/a"}]}', "each must be its own"),
        (("rayservice.yaml", "spec", "rayClusterConfig"), None, "rayClusterConfig is missing"),
        ((*GROUP, "replicas"), 99, "replicas outside"),
        ((*GROUP, "minReplicas"), "2", "minReplicas is '2', not a int"),
        ((*BOX, "image"), "descent", "not pinned"),
        ((*BOX, "image"), "localhost:5000/descent", "not pinned"),
        ((*BOX, "resources", "limits", "memory"), "2 GB", "no quantity"),
        ((*BOX, "resources", "limits"), {"cpu": "1"}, "no memory limit"),
        ((*BOX, "securityContext", "runAsNonRoot"), False, "may become root"),
        ((*BOX, "securityContext"), None, "securityContext is missing"),
        ((*BOX, "envFrom", 0, "configMapRef", "name"), "other", "which is not here"),
        ((*BOX, "comand"), ["x"], "containers[0].comand is no field"),
        (("poddisruptionbudget.yaml", "spec", "selector", "matchLabels", "tier"), "x",
         "selects no pod"),
        (("networkpolicy.yaml", "spec", "podSelector", "matchLabels"), {"a": "b"},
         "selects no pod"),
    ],
)  # fmt: skip
def test_wrong_documents_are_seen(path, value, said):
    found = copy.deepcopy(made())
    _wrong(path, value)(found)
    assert any(said in problem for _, problem in check(found)), check(found)


def test_serve_config_names_each_api():
    config = serve_config(read_specs(SPECS))
    assert [one["name"] for one in config["applications"]] == ["sorter", "echo"]
    assert config["applications"][0]["args"]["spec"]["autoscaling"] == {
        "min_replicas": 2, "max_replicas": 12,
    }  # fmt: skip


def test_our_dockerfile_keeps_the_rules():
    text = dockerfile("descent:1")
    assert problems(text) == []
    assert "USER 1000" in text


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("python:3.11.13-slim-bookworm", "python", "DL3006"),
        ("python:3.11.13-slim-bookworm", "python:latest", "DL3006"),
        ("USER 1000\n", "USER root\n", "DL3002"),
        ("USER 1000\n", "", "DL3002"),
        ("COPY requirements.txt ./", "ADD requirements.txt ./", "DL3020"),
        ('CMD ["serve", "run", "services/serve.yaml"]', "CMD serve run x", "DL3025"),
        ("WORKDIR /app", "WORKDIR app", "DL3000"),
        (" --no-cache-dir", "", "DL3042"),
        (" --no-install-recommends", "", "DL3015"),
        ("rm -rf /var/lib/apt/lists/*", "true", "DL3009"),
        ("ENV PYTHONUNBUFFERED=1", "ENV API_TOKEN=abc", "holds a secret"),
        ("RUN apt-get update", "RUN curl x | sh && apt-get update", "DL3004"),
        ("HEALTHCHECK", "LABEL a=b\n# HEALTHCHECK", "DL3055"),
    ],
)
def test_wrong_dockerfiles_are_seen(old, new, rule):
    text = dockerfile("descent:1")
    assert old in text
    assert any(rule in problem for problem in problems(text.replace(old, new)))


def test_pods_hold_as_many_replicas_as_memory_and_gpus_allow():
    asks = {"cpu": "500m", "mem": "4Gi", "gpu": 1}
    spec = make_spec({
        "name": "a", "kind": "RealtimeAPI", "service": "s.py:S",
        "pod": {"containers": [{"name": "api", "compute": asks}]},
        "autoscaling": {"min_replicas": 2, "max_replicas": 6},
    })  # fmt: skip
    found = documents([spec], name="d", namespace="n", image="i:1", ray_version="2.60.0")
    group = found["rayservice.yaml"]["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]
    assert (group["minReplicas"], group["maxReplicas"]) == (2, 6)  # one each, for all its CPUs
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == "1"
    assert int(limits["memory"]) * 0.7 >= 4 * 2**30

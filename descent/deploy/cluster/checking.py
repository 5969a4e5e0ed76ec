"""Kubernetes documents read with a stranger's eyes: shapes first, then what only people check.

`check` knows the parts of each kind that ours use: which fields there are, which are needed, of
which type (a compact schema, from KubeRay's CRD and Kubernetes' API), and the rules no schema
holds: names, labels that select what they should, pinned images, sizes, no root.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["SCHEMAS", "check"]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|[kMGTPE]i?)?")

# A type; {field: schema} of a mapping ("!" behind a needed one); [schema] of a list; None is any.
Schema = Any
_META: Schema = {"name!": str, "namespace": str, "labels": {"*": str}, "annotations": {"*": str}}
_CONTAINER: Schema = {
    "name!": str,
    "image!": str,
    "imagePullPolicy": str,
    "ports": [{"name": str, "containerPort!": int, "protocol": str}],
    "env": [{"name!": str, "value": str, "valueFrom": None}],
    "envFrom": [
        {
            "configMapRef": {"name!": str, "optional": bool},
            "secretRef": {"name!": str, "optional": bool},
        }
    ],
    "resources!": {"requests!": {"*": str}, "limits!": {"*": str}},
    "securityContext!": None,
}
_POD: Schema = {
    "metadata": {"labels": {"*": str}},
    "spec!": {
        "containers!": [_CONTAINER],
        "terminationGracePeriodSeconds": int,
        "automountServiceAccountToken": bool,
        "securityContext": None,
    },
}
_SELECTOR: Schema = {"matchLabels": {"*": str}}
_PEERS: Schema = [{"podSelector": _SELECTOR, "namespaceSelector": _SELECTOR}]
_PORTS: Schema = [{"protocol": str, "port!": int}]
SCHEMAS: dict[tuple[str, str], Schema] = {
    ("v1", "Namespace"): {"metadata!": _META},
    ("v1", "ConfigMap"): {"metadata!": _META, "data!": {"*": str}},
    ("policy/v1", "PodDisruptionBudget"): {
        "metadata!": _META,
        "spec!": {"maxUnavailable": int, "minAvailable": int, "selector!": _SELECTOR},
    },
    ("networking.k8s.io/v1", "NetworkPolicy"): {
        "metadata!": _META,
        "spec!": {
            "podSelector!": _SELECTOR,
            "policyTypes": [str],
            "ingress": [{"from": _PEERS, "ports": _PORTS}],
        },
    },
    ("ray.io/v1", "RayService"): {
        "metadata!": _META,
        "spec!": {
            "serveConfigV2!": str,
            "upgradeStrategy": {"type!": str},
            "serveService": {
                "metadata": _META,
                "spec!": {
                    "type": str,
                    "selector": {"*": str},
                    "ports!": [{"name": str, "port!": int, "targetPort": int}],
                },
            },
            "rayClusterConfig!": {
                "rayVersion!": str,
                "authOptions": {"mode!": str},
                "enableInTreeAutoscaling": bool,
                "autoscalerOptions": {
                    "upscalingMode": str,
                    "idleTimeoutSeconds": int,
                    "securityContext": None,
                },
                "headGroupSpec!": {"rayStartParams!": {"*": str}, "template!": _POD},
                "workerGroupSpecs!": [
                    {
                        "groupName!": str,
                        "replicas!": int,
                        "minReplicas!": int,
                        "maxReplicas!": int,
                        "rayStartParams!": {"*": str},
                        "template!": _POD,
                    }
                ],
            },
        },
    },
}


def check(documents: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """(file, what is wrong) for documents that belong together."""
    found = []
    for file, document in documents.items():
        kind = str(document.get("apiVersion")), str(document.get("kind"))
        if kind not in SCHEMAS:
            found.append((file, f"{kind[1]} of {kind[0]} is not known here"))
            continue
        body = {k: v for k, v in document.items() if k not in ("apiVersion", "kind")}
        found += [(file, said) for said in _shape(body, SCHEMAS[kind], "")]
    if not found:  # the rules rely on the shapes
        for file, document in documents.items():
            found += [(file, said) for said in _rules(document, documents)]
    return found


def _shape(value: Any, schema: Schema, where: str) -> Iterator[str]:
    if schema is None:
        return
    if isinstance(schema, type):
        if not isinstance(value, schema) or (schema is int and isinstance(value, bool)):
            yield f"{where} is {value!r}, not a {schema.__name__}"
    elif isinstance(schema, list):
        if not isinstance(value, list):
            yield f"{where} is no list"
            return
        for number, item in enumerate(value):
            yield from _shape(item, schema[0], f"{where}[{number}]")
    elif not isinstance(value, dict):
        yield f"{where} is no mapping"
    else:
        needed = {name[:-1] for name in schema if name.endswith("!")}
        known = {name.rstrip("!"): inner for name, inner in schema.items()}
        for name in sorted(needed - set(value)):
            yield f"{where}.{name} is missing"
        for name, item in value.items():
            if name not in known and "*" not in known:
                yield f"{where}.{name} is no field"
            else:
                yield from _shape(item, known.get(name, known.get("*")), f"{where}.{name}")


def _rules(document: dict[str, Any], documents: dict[str, dict[str, Any]]) -> Iterator[str]:
    name = document["metadata"]["name"]
    if not _NAME.fullmatch(name):
        yield f"metadata.name {name!r} is no DNS label"
    if document["kind"] == "RayService":
        yield from _ray_service_rules(document, documents)
    elif document["kind"] == "PodDisruptionBudget":
        yield from _selects(document["spec"]["selector"], documents)
    elif document["kind"] == "NetworkPolicy":
        yield from _selects(document["spec"]["podSelector"], documents)


def _pods(documents: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(Ray's node type, template) of every pod that will be."""
    for document in documents.values():
        if document["kind"] == "RayService":
            cluster = document["spec"]["rayClusterConfig"]
            yield "head", cluster["headGroupSpec"]["template"]
            for group in cluster["workerGroupSpecs"]:
                yield "worker", group["template"]


def _selects(selector: dict[str, Any], documents: dict[str, dict[str, Any]]) -> Iterator[str]:
    wanted = selector.get("matchLabels", {}).items()
    for kind, pod in _pods(documents):
        labels = {**pod.get("metadata", {}).get("labels", {}), "ray.io/node-type": kind}
        if wanted <= labels.items():
            return
    yield f"its selector {dict(wanted)} selects no pod"


def _ray_service_rules(
    document: dict[str, Any], documents: dict[str, dict[str, Any]]
) -> Iterator[str]:
    spec = document["spec"]
    settings = {d["metadata"]["name"] for d in documents.values() if d["kind"] == "ConfigMap"}
    for group in spec["rayClusterConfig"]["workerGroupSpecs"]:
        if not group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]:
            yield f"group '{group['groupName']}' has replicas outside minReplicas … maxReplicas"
    for _, pod in _pods({"": document}):
        for container in pod["spec"]["containers"]:
            yield from _container_rules(container, settings)
    try:
        applications = json.loads(spec["serveConfigV2"])["applications"]
        prefixes = [one["route_prefix"] for one in applications]
    except (ValueError, KeyError, TypeError) as error:
        yield f"serveConfigV2 cannot be read: {error!r}"
        return
    if len(set(prefixes)) != len(prefixes) or not all(one.startswith("/") for one in prefixes):
        yield f"serveConfigV2 has route prefixes {prefixes}: each must be its own and begin with /"


def _container_rules(container: dict[str, Any], settings: set[str]) -> Iterator[str]:
    name, image = container["name"], container["image"]
    tag = image.rpartition("/")[2].partition(":")[2]
    if "@sha256:" not in image and tag in ("", "latest"):
        yield f"image {image!r} of '{name}' is not pinned"
    resources = container["resources"]
    for side in ("requests", "limits"):
        for what, amount in resources[side].items():
            if not _QUANTITY.fullmatch(amount):
                yield f"{side}.{what} of '{name}' is {amount!r}, no quantity"
    if "memory" not in resources["limits"]:
        yield f"'{name}' has no memory limit"
    context = container["securityContext"]
    if not context.get("runAsNonRoot") or context.get("allowPrivilegeEscalation", True):
        yield f"'{name}' may become root"
    for source in container.get("envFrom", ()):
        known = source.get("configMapRef", {}).get("name")
        if known is not None and known not in settings:
            yield f"'{name}' refers to ConfigMap '{known}', which is not here"

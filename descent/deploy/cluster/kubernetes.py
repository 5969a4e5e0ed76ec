"""The Kubernetes documents that serve specs under KubeRay, as plain dictionaries.

    RayService     one Serve application a spec; a changed spec is a new cluster beside the old one,
                   switched to when it is ready (KubeRay's NewCluster upgrade)
    ConfigMap      what is not secret; Secret is referred to, never written
    PodDisruptionBudget, NetworkPolicy      not all workers at once; who may speak with whom

Reference: KubeRay 1.5 `ray.io/v1`, Kubernetes' API conventions, Pod Security "restricted". Left
out: a HorizontalPodAutoscaler (Serve counts replicas, KubeRay's autoscaler counts pods for them; an
HPA would fight both), Redis for the head's fault tolerance (a line in docs/deploy/ray.md).
"""

from __future__ import annotations

import json
from typing import Any

from descent.deploy.spec import Spec
from descent.deploy.spec.containers import Compute

__all__ = ["documents", "serve_config"]

PORTS = {"gcs": 6379, "dashboard": 8265, "serve": 8000}
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
HEAD = {"cpu": "1", "memory": "2Gi"}
Document = dict[str, Any]


def documents(
    specs: list[Spec], *, name: str, namespace: str, image: str, ray_version: str
) -> dict[str, Document]:
    """File name → document. `name` is that of the RayService and of all that belongs to it."""
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "descent"}

    def meta(kind_name: str) -> Document:
        return {"name": kind_name, "namespace": namespace, "labels": labels}

    return {
        "namespace.yaml": {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": namespace,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        },
        "configmap.yaml": {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta(f"{name}-settings"),
            "data": {"OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"},
        },
        "rayservice.yaml": _ray_service(specs, meta(name), name, image, ray_version),
        "poddisruptionbudget.yaml": {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": meta(f"{name}-workers"),
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _pods(name, "worker")}},
        },
        "networkpolicy.yaml": _network_policy(meta(name), name),
    }


def serve_config(specs: list[Spec]) -> Document:
    """Serve's configuration: an application for each spec, by `application.build`."""
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": PORTS["serve"]},
        "applications": [
            {
                "name": spec.name,
                "import_path": "descent.deploy.pools.ray.application:build",
                "route_prefix": spec.networking.endpoint,
                "args": {
                    "spec": spec.model_dump(mode="json", exclude_unset=True),
                    "folder": f"/app/services/{spec.name}",
                },
            }
            for spec in specs
        ],
    }


def _ray_service(
    specs: list[Spec], metadata: Document, name: str, image: str, ray_version: str
) -> Document:
    config = serve_config(specs)
    del config["proxy_location"], config["http_options"]  # KubeRay's own business
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": metadata,
        "spec": {
            "serveConfigV2": json.dumps(config, indent=2),  # JSON is YAML
            "upgradeStrategy": {"type": "NewCluster"},
            "serveService": {
                "metadata": {"name": f"{name}-http", "labels": metadata["labels"]},
                "spec": {
                    "type": "ClusterIP",
                    "selector": {"ray.io/serve": "true"},
                    "ports": [{"name": "http", "port": 80, "targetPort": PORTS["serve"]}],
                },
            },
            "rayClusterConfig": {
                "rayVersion": ray_version,
                "authOptions": {"mode": "token"},
                "enableInTreeAutoscaling": True,
                "autoscalerOptions": {
                    "upscalingMode": "Default",
                    "idleTimeoutSeconds": 120,
                    "securityContext": RESTRICTED,
                },
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0"},  # nothing of ours runs on the head
                    "template": _pod("ray-head", image, name, HEAD, _ports(*PORTS)),
                },
                "workerGroupSpecs": [_workers(specs, image, name)],
            },
        },
    }


def _workers(specs: list[Spec], image: str, name: str) -> Document:
    """Pods of one size that hold the largest replica, and as many as all replicas may need."""
    computes = [
        spec.pod.containers[0].compute if spec.pod.containers else Compute() for spec in specs
    ]
    cpus = max(1.0, *(compute.cpu or 0 for compute in computes))
    memory = max(2 * 2**30, *(2 * (compute.mem or 0) for compute in computes))
    gpus = max(compute.gpu for compute in computes)
    room = [_room(compute, cpus, memory, gpus) for compute in computes]
    bounds = [spec.autoscaling for spec in specs]
    fewest = sum(-(-b.min_replicas // r) for b, r in zip(bounds, room))
    most = sum(-(-b.max_replicas // r) for b, r in zip(bounds, room))
    size: Document = {"cpu": f"{int(1000 * cpus)}m", "memory": str(memory)}
    if gpus:
        size["nvidia.com/gpu"] = str(gpus)
    return {
        "groupName": "workers",
        "replicas": fewest,
        "minReplicas": fewest,
        "maxReplicas": max(1, most),
        "rayStartParams": {},
        "template": _pod(
            "ray-worker", image, name, size, [{"name": "serve", "containerPort": 8000}]
        ),
    }


def _room(compute: Compute, cpus: float, memory: int, gpus: int) -> int:
    """How many replicas a pod of this size holds; Ray gives 70 % of its memory to actors."""
    rooms = [cpus / (compute.cpu or 0.2)]
    if compute.mem:
        rooms.append(0.7 * memory / compute.mem)
    if compute.gpu:
        rooms.append(gpus / compute.gpu)
    return max(1, int(min(rooms) + 1e-9))


def _ports(*names: str) -> list[Document]:
    return [{"name": name, "containerPort": PORTS[name]} for name in names]


def _pod(container: str, image: str, name: str, size: Document, ports: list[Document]) -> Document:
    grace_s = 90  # the replicas' 60 s, and Ray's own end
    return {
        "metadata": {"labels": {"app.kubernetes.io/name": name}},
        "spec": {
            "terminationGracePeriodSeconds": grace_s,
            "automountServiceAccountToken": container == "ray-head",  # the autoscaler beside it
            "securityContext": {"fsGroup": 1000, "runAsNonRoot": True},
            "containers": [
                {
                    "name": container,
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "ports": ports,
                    "envFrom": [
                        {"configMapRef": {"name": f"{name}-settings"}},
                        {"secretRef": {"name": f"{name}-secrets", "optional": True}},
                    ],
                    "resources": {"requests": size, "limits": size},
                    "securityContext": RESTRICTED,
                }
            ],
        },
    }


def _pods(name: str, kind: str | None = None) -> dict[str, str]:
    labels = {"app.kubernetes.io/name": name}
    return labels if kind is None else {**labels, "ray.io/node-type": kind}


def _network_policy(metadata: Document, name: str) -> Document:
    """HTTP from the namespace, everything among the cluster's own pods, the operator's questions;
    nothing else comes in."""
    operator = {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}}
    ports = [{"protocol": "TCP", "port": PORTS[name]} for name in ("dashboard", "serve")]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": {"matchLabels": _pods(name)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"podSelector": {"matchLabels": _pods(name)}}]},
                {
                    "from": [{"namespaceSelector": {}, "podSelector": operator}],
                    "ports": ports,
                },
                {
                    "from": [{"podSelector": {}}],
                    "ports": [{"protocol": "TCP", "port": PORTS["serve"]}],
                },
            ],
        },
    }

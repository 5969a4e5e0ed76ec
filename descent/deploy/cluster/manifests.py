"""`descent cluster manifests`: everything that serves specs on Kubernetes, as files in one folder.

    Dockerfile  .dockerignore  requirements.txt  wheels/     docker build -t IMAGE OUT
    services/NAME/…  services/serve.yaml                      what each spec's service needs
    k8s/*.yaml                                                kubectl apply -f OUT/k8s/
    README.md                                                 these lines, and what is not here

Nothing is written before everything has been checked (`checking`).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path

import yaml

from descent.data.files import write_atomically
from descent.deploy.cluster.checking import check
from descent.deploy.cluster.image import dockerfile, problems
from descent.deploy.cluster.kubernetes import documents, serve_config
from descent.deploy.control.sources import keep
from descent.deploy.errors import DeployError
from descent.deploy.spec import Spec, changed

__all__ = ["write_manifests"]

NAME = "descent"


def write_manifests(
    specs: list[Spec], base: Path, out: Path, image: str = "", namespace: str = "descent"
) -> list[Path]:
    """Write the folder; the files, in order. `base`: where the spec's file stands. `image`: ""
    names it by its contents, so that what runs is what was built.

    Raises `DeployError` for what cannot run there.
    """
    _check_kinds(specs)
    if out.resolve().is_relative_to(base.resolve()):
        raise DeployError(
            f"{out} is inside {base}, whose files go into the image: name a folder outside of it"
        )
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".making-") as made:
        services = Path(made) / "services"
        kept = [_keep(spec, base, services / spec.name) for spec in specs]
        ray = _ray_version()
        image = image or f"descent-serve:{_fingerprint(services, ray)}"
        found = documents(kept, name=NAME, namespace=namespace, image=image, ray_version=ray)
        wrong = [f"{file}: {said}" for file, said in check(found)]
        wrong += [f"Dockerfile: {said}" for said in problems(dockerfile(image))]
        if wrong:
            raise DeployError("these manifests would not work: " + "; ".join(wrong))
        shutil.rmtree(out / "services", ignore_errors=True)
        services.rename(out / "services")
    texts = {
        "Dockerfile": dockerfile(image),
        ".dockerignore": "k8s/\n**/__pycache__/\n**/.*\n",
        "requirements.txt": _requirements(ray),
        "wheels/README": "Wheels that no index has (descent-ml itself) go here.\n",
        "services/serve.yaml": _yaml(serve_config(kept)),
        "README.md": _README.format(image=image, name=NAME, namespace=namespace),
        **{f"k8s/{file}": _yaml(document) for file, document in found.items()},
    }
    return [write_atomically(out / file, text) for file, text in texts.items()]


def _check_kinds(specs: list[Spec]) -> None:
    for spec in specs:
        if spec.kind != "RealtimeAPI" or spec.service is None:
            raise DeployError(
                f"'{spec.name}' is a {spec.kind}{' of containers' if not spec.service else ''}: "
                "KubeRay serves RealtimeAPIs with a `service`; jobs and splitters need a node"
            )
    names = {spec.networking.endpoint for spec in specs}
    if not specs or len(names) != len(specs):
        raise DeployError("there must be at least one API, and no two at one endpoint")


def _keep(spec: Spec, base: Path, folder: Path) -> Spec:
    """The spec with its service as it is called in `folder`, where its files are put."""
    kept = keep(spec.service, base, folder)
    return changed(spec, service=kept.service) if kept.service != spec.service else spec


def _ray_version() -> str:
    try:
        return version_of("ray")
    except PackageNotFoundError:
        raise DeployError("manifests name Ray's version: pip install 'descent-ml[ray]'") from None


def _requirements(ray: str) -> str:
    return f"descent-ml[serve]=={version_of('descent-ml')}\nray[default,serve]=={ray}\n"


def _fingerprint(services: Path, ray: str) -> str:
    digest = hashlib.sha256(f"{ray} {version_of('descent-ml')}".encode())
    for file in sorted(path for path in services.rglob("*") if path.is_file()):
        digest.update(str(file.relative_to(services)).encode() + b"\0")
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:12]


def _yaml(value: dict) -> str:
    class Dumper(yaml.SafeDumper):
        """Texts of several lines as blocks, and no references: people read these files."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)


_README = """\
# Serving on Kubernetes

    pip wheel --no-deps --wheel-dir wheels descent-ml     # or: from a checkout, `pip wheel … .`
    docker build -t {image} .
    docker push {image}                                   # or load it into kind / minikube
    kubectl apply -f k8s/namespace.yaml && kubectl apply -f k8s/
    kubectl -n {namespace} wait rayservice/{name} --for=condition=Ready --timeout=10m
    kubectl -n {namespace} port-forward service/{name}-http 8000:80

It needs the KubeRay operator (1.5 or later). Secrets go into a Secret `{name}-secrets`; its keys
become variables of every pod. Try the image alone with `docker run -p 8000:8000 {image}`.

- Scaling: Serve chooses the number of replicas, KubeRay's autoscaler the number of pods for them.
  Put no HorizontalPodAutoscaler on these pods: it would count what Serve has just placed.
- An update: run `descent cluster manifests` again, build, push, apply. KubeRay starts a new cluster
  beside the old one and switches when it is ready; one that never gets ready changes nothing.
- `k8s/networkpolicy.yaml` lets HTTP in from this namespace only; put an Ingress with TLS and
  authentication there. Ray's own ports stay among its pods, with a token (authOptions).
- The head is one pod. To survive its loss without restarting the workers, give KubeRay a Redis
  (spec.rayClusterConfig.gcsFaultToleranceOptions).
"""

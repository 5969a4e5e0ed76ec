"""The image: a Dockerfile for what a spec serves, and the rules that a Dockerfile is held to.

Reference: Docker's "Building best practices"; hadolint's rules by number in `problems`. Left out:
pinning the base image by digest, which needs its registry: `docker buildx imagetools inspect` says
it, and it goes behind the tag.
"""

from __future__ import annotations

import re

__all__ = ["BASE", "dockerfile", "problems"]

BASE = "python:3.11.13-slim-bookworm"

_TEXT = """\
# Made by `descent cluster manifests`. Build: docker build -t {image} .
FROM {base}

# bash and wget: KubeRay's probes of Ray's processes call them.
# hadolint ignore=DL3008
RUN apt-get update \\
    && apt-get install --yes --no-install-recommends wget \\
    && rm -rf /var/lib/apt/lists/* \\
    && useradd --uid 1000 --create-home --shell /bin/bash descent

WORKDIR /app
COPY wheels/ /wheels/
COPY requirements.txt ./
RUN pip install --no-cache-dir --find-links /wheels --requirement requirements.txt

COPY --chown=1000:1000 services/ ./services/
USER 1000

ENV PYTHONUNBUFFERED=1 \\
    RAY_USAGE_STATS_ENABLED=0 \\
    RAY_ENABLE_UV_RUN_RUNTIME_ENV=0

EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \\
    CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8000/-/healthz"]

# Alone: one machine, Serve on port 8000. KubeRay puts its own command in this one's place.
CMD ["serve", "run", "services/serve.yaml"]
"""


def dockerfile(image: str) -> str:
    """The Dockerfile's text; `services/`, `wheels/` and `requirements.txt` stand beside it."""
    return _TEXT.format(image=image, base=BASE)


def problems(text: str) -> list[str]:
    """What is wrong with a Dockerfile, one sentence each."""
    steps = _instructions(text)
    names = [name for name, _ in steps]
    found = []
    bases = [rest.split()[0] for name, rest in steps if name == "FROM"]
    if not bases:
        found.append("no FROM")
    for base in bases:
        tag = base.rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in base and tag in ("", "latest"):
            found.append(f"FROM {base}: pin a version (DL3006, DL3007)")
    users = [rest for name, rest in steps if name == "USER"]
    if not users or users[-1].split(":")[0] in ("root", "0"):
        found.append("the last USER is root (DL3002)")
    if "ADD" in names:
        found.append("ADD: use COPY (DL3020)")
    if names.count("CMD") != 1 or "HEALTHCHECK" not in names:
        found.append("exactly one CMD, and a HEALTHCHECK, are needed (DL4003, DL3055)")
    for name, rest in steps:
        found += _step_problems(name, rest)
    return found


def _step_problems(name: str, rest: str) -> list[str]:
    found = []
    if name in ("CMD", "ENTRYPOINT") and not rest.lstrip().startswith("["):
        found.append(f"{name} {rest}: use the JSON form, so that signals arrive (DL3025)")
    if name == "WORKDIR" and not rest.startswith("/"):
        found.append(f"WORKDIR {rest} is not absolute (DL3000)")
    if name == "ENV" and re.search(r"(?i)(token|secret|password|api_?key)\s*=", rest):
        found.append("ENV holds a secret: it would stay in the image")
    if name == "RUN" and "pip install" in rest and "--no-cache-dir" not in rest:
        found.append("pip install without --no-cache-dir (DL3042)")
    if name == "RUN" and "apt-get install" in rest:
        for needed in ("--no-install-recommends", "rm -rf /var/lib/apt/lists", "-y"):
            if needed not in rest:
                found.append(f"apt-get install without {needed} (DL3015, DL3009, DL3014)")
    if name == "RUN" and re.search(r"\bsudo\b|curl [^|]*\|\s*(ba)?sh", rest):
        found.append("RUN with sudo, or with a script straight from the network (DL3004)")
    return found


def _instructions(text: str) -> list[tuple[str, str]]:
    """(name, rest) of each instruction, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    steps = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name.upper(), " ".join(rest.split())) for name, _, rest in steps]

"""A recipe: one container of a replica, ready to be started again and again.

`$(NAME)` in command and args is that variable, `$$(NAME)` the text `$(NAME)` (Kubernetes' rules).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from descent.deploy.pools.probes import Place
from descent.deploy.spec.containers import PreStop, Probe

__all__ = ["RECORD", "SIGNATURE_PATH", "Recipe", "expanded"]

RECORD = "\x1e"  # begins a line of our own child that is JSON: a line of the log, or counts
SIGNATURE_PATH = "/-/signature"  # where our own child says what goes in and comes out
_VARIABLE = re.compile(r"\$(\$\([^)\s]*\)|\(([^)\s]*)\))")


@dataclass(frozen=True)
class Recipe:
    """What to start, with which variables, where; how to ask it; `given` is its standard input."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    folder: str
    place: Place
    given: bytes | None = None
    readiness: Probe | None = None
    liveness: Probe | None = None
    pre_stop: PreStop | None = None
    remove: tuple[str, ...] = ()  # a command that makes sure nothing is left (docker rm -f)
    image: bool = False


def expanded(text: str, env: Mapping[str, str]) -> str:
    """`text` with each $(NAME) that `env` has put in."""

    def put(found: re.Match) -> str:
        if found[1].startswith("$"):
            return found[1]
        return env.get(found[2], found[0])

    return _VARIABLE.sub(put, text)

"""Names of models on a hub: `owner/name`, with `@revision` and `:quantisation` where wanted.

    hf://owner/name@revision:Q8_0     every part but owner/name may be left out; so may `hf://`

A short name (`gpt2`, `smollm2-135m`) is looked up in `descent.hub.known`. Left out: data sets and
spaces, which are no models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from descent.data.errors import DataError
from descent.hub.known import KNOWN

__all__ = ["HubError", "HubName"]

_PART = r"[A-Za-z0-9][\w.\-]{0,95}"
_NAME = re.compile(
    rf"(?P<repo>{_PART}(?:/{_PART})?)(?:@(?P<revision>[\w.\-/]{{1,128}}))?(?::(?P<quant>[\w\-]+))?"
)


class HubError(DataError):
    """A model that can't be named, found or fetched: one sentence that says what to do."""


@dataclass(frozen=True)
class HubName:
    """A model on the hub. `revision`: branch, tag or commit; `quant`: which of several GGUF
    files."""

    repo: str
    revision: str = "main"
    quant: str | None = None

    def __str__(self) -> str:
        revision = "" if self.revision == "main" else f"@{self.revision}"
        return self.repo + revision + (f":{self.quant}" if self.quant else "")

    @classmethod
    def parse(cls, text: str, *, revision: str | None = None, quant: str | None = None) -> HubName:
        """What a person wrote; `revision` and `quant` given apart win.

        Raises:
            HubError: not a name a hub could know.
        """
        plain = text.strip().removeprefix("hf://").removeprefix("https://huggingface.co/")
        match = _NAME.fullmatch(plain.rstrip("/"))
        if match is None or ".." in plain or "//" in plain:
            raise HubError(
                f"{text!r} is not the name of a model: write owner/name, owner/name@revision, or "
                f"one of the short names that `descent models` lists"
            )
        repo = match["repo"]
        if "/" not in repo:
            known = KNOWN.get(repo.lower())
            if known is None:
                raise HubError(
                    f"no model is known as {repo!r}; known: {', '.join(KNOWN)}. Any other is named "
                    "owner/name"
                )
            repo, quant = known.repo, quant or match["quant"] or known.quant
        return cls(repo, revision or match["revision"] or "main", quant or match["quant"] or None)

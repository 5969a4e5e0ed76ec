"""Which files of a repository a model needs: the weights once, in one format, and what reads text.

    safetensors  >  GGUF (one quantisation)  >  pytorch_model.bin (read without executing it)

Left out on purpose: copies of the weights for other frameworks, and Python files (never executed).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from descent.hub.naming import HubError

__all__ = ["HubFile", "choose", "quantisations"]

_BESIDE = {
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model",
    "chat_template.jinja", "chat_template.json", "LICENSE", "LICENSE.txt", "LICENSE.md",
}  # fmt: skip
_SAFETENSORS = re.compile(r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json")
_TORCH = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin|pytorch_model\.bin\.index\.json")
_QUANT = re.compile(r"[.\-_]((?:I?Q\d\w*)|BF16|F16|F32|FP16|FP32)(-\d+-of-\d+)?\.gguf", re.I)
# What the reader of GGUF files knows, the best of each size first; then whatever there is.
_PREFERRED = ("Q8_0", "Q4_K_M", "Q4_0", "Q6_K", "F16", "BF16", "F32")


@dataclass(frozen=True)
class HubFile:
    """A file as the hub lists it: `sha256` where it is stored apart (LFS), `blob` its git hash."""

    path: str
    size: int
    sha256: str | None = None
    blob: str | None = None

    @property
    def etag(self) -> str:
        """The name of its content in the cache: sha256 or git hash."""
        return self.sha256 or self.blob or ""


def choose(files: Sequence[HubFile], quant: str | None, repo: str) -> list[HubFile]:
    """The files to fetch, the small ones first.

    Args:
        quant: the GGUF quantisation asked for ("Q8_0"), or None.

    Raises:
        HubError: no usable weights, or not the asked quantisation; says what there is.
    """
    top = [file for file in files if "/" not in file.path]
    beside = [file for file in top if file.path in _BESIDE]
    gguf = _gguf(files, quant, repo)
    if quant is not None:
        if not gguf:
            raise HubError(
                f"{repo} has no GGUF file of quantisation {quant}; it has "
                f"{', '.join(quantisations(files)) or 'no GGUF file at all'}"
            )
        return _small_first([*beside, *gguf])
    for pattern in (_SAFETENSORS, None, _TORCH):
        found = gguf if pattern is None else _whole(top, pattern)
        if found:
            return _small_first([*beside, *found])
    endings = sorted({file.path.rsplit(".", 1)[-1] for file in files if "." in file.path})
    raise HubError(
        f"{repo} holds no weights that Descent reads (model.safetensors, *.gguf or "
        f"pytorch_model.bin); it has files of kind {', '.join(endings) or 'none'}"
    )


def quantisations(files: Sequence[HubFile]) -> list[str]:
    """The quantisations a repository's GGUF files come in."""
    found = (_QUANT.search(file.path) for file in files)
    return sorted({match[1].upper() for match in found if match})


def _whole(files: Sequence[HubFile], pattern: re.Pattern[str]) -> list[HubFile]:
    """One file, or all the parts of a divided one: not both, should a repository have both."""
    found = [file for file in files if pattern.fullmatch(file.path)]
    single = [file for file in found if re.fullmatch(r"[a-z_]+\.(safetensors|bin)", file.path)]
    return single or (found if any("-of-" in file.path for file in found) else [])


def _gguf(files: Sequence[HubFile], quant: str | None, repo: str) -> list[HubFile]:
    ours = [f for f in files if f.path.endswith(".gguf") and "mmproj" not in f.path.lower()]
    by_quant: dict[str, list[HubFile]] = {}
    for file in ours:
        match = _QUANT.search(file.path)
        by_quant.setdefault(match[1].upper() if match else "", []).append(file)
    wanted = _PREFERRED if quant is None else (quant.upper(),)
    for name in wanted:
        if name in by_quant:
            return by_quant[name]
    return ours[:1] if quant is None else []


def _small_first(files: Sequence[HubFile]) -> list[HubFile]:
    return sorted(files, key=lambda file: (file.size, file.path))

"""Any model argument — a run, a folder, a file, a hub's name — as a completer ready to be served.

    name → path (descent.hub.find) → run folder, or bundle (descent.hub.load) → `Opened`

A bundle's weights go straight into a decoder of one width; the modules, which only explanations
need, are built when somebody asks for one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descent.data.errors import DataError
from descent.generate import Completer
from descent.generate.embedding import embedder
from descent.generate.packed import PackedLanguage
from descent.generate.sessions import ModelLanguage
from descent.goals.folder import RunFolder
from descent.goals.loading import as_completer, load_model
from descent.hub.finding import find
from descent.hub.known import KNOWN
from descent.hub.listing import free_memory_bytes
from descent.hub.loading import load

__all__ = ["Explainable", "Opened", "open_model", "opened_run"]

WIDTHS = ("float32", "bf16", "int8", "int4")
_EXPLAINED = 500_000_000  # parameters: a trace keeps every intermediate
_LEAST_CACHE_TOKENS = 4096
_CACHE_SEQUENCES = 8


@dataclass
class Opened:
    """A completer, and `build` for the modules that explanations run; None where they can't."""

    completer: Completer
    build: Callable[[], Any] | None
    notes: list[str]


def open_model(
    model: str | Path,
    *,
    width: str | None = None,
    name: str | None = None,
    context: int | None = None,
    chat_template: str | None = None,
    pack: bool = True,
) -> Opened:
    """Find, load and pack a model.

    Args:
        model: a path, the name of a run, a short name, or owner/name on the hub.
        width: how the weights are kept; None: float32, or what a quantised file has.
        name: what the API calls it; None: its own.
        context: tokens a sequence may have, at most the model's.
        chat_template: Jinja source in place of the model's own.
        pack: False keeps the modules alone, which is enough to explain a prediction.

    Raises:
        DataError: not here (with the command that fetches it), damaged, of an unknown kind,
            without a tokenizer.
    """
    if width is not None and width not in WIDTHS:
        raise DataError(f"there is no width {width!r}; use {', '.join(WIDTHS)}")
    path = find(model)
    if path.is_dir() and (run := _run_at(path)) is not None:
        return _from_run(run, width, name, context, chat_template)
    bundle = load(path)
    if bundle.tokenizer is None:
        why = "; ".join(bundle.about.get("notes") or [])
        raise DataError(f"{path} has no tokenizer that can be read{': ' * bool(why)}{why}")
    explained = bundle.weights.count <= _EXPLAINED
    if not pack and not explained:
        raise DataError(
            f"{model} is too large to be explained: a trace keeps every number on the way"
        )
    width = width or _own_width(bundle)
    language = _packed(bundle, path, width, context) if pack else _modules(bundle)
    completer = _completer(bundle, language, name or _name(str(model), path), path, chat_template)
    completer.info |= {"width": width, "explain": explained}
    completer.embed = _embed(completer, bundle.build)
    build = bundle.build if pack else lambda: language.model
    return Opened(completer, build if explained else None, list(bundle.about.get("notes") or ()))


def _run_at(path: Path) -> RunFolder | None:
    file = path / "config.json"
    try:
        head = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # Damaged ones too: opening says what is wrong with them.
    return RunFolder.open(path) if '"format": "desc' in head else None


def _from_run(
    run: RunFolder, width: str | None, name: str | None, context: int | None, template: str | None
) -> Opened:
    model, tokenizer = load_model(run)
    opened = opened_run(run, model, tokenizer, width=width, name=name)
    opened.completer.chat = _chat(template, tokenizer)
    if context is not None:
        opened.notes.append("A context is for pretrained models: a run keeps its own.")
    return opened


def opened_run(
    run: RunFolder,
    model: Any,
    tokenizer: Any,
    *,
    width: str | None = None,
    name: str | None = None,
) -> Opened:
    """A run whose model is in memory already."""
    completer = as_completer(run, model, tokenizer, width=width)
    completer.name = name or completer.name
    completer.info["folder"] = str(run.path)
    names = run.config.get("goal") == "names"
    completer.info["prompt"] = "" if names else run.config.get("data", {}).get("prompt", "def ")
    try:  # packing waits for the first request, unless the width may not fit
        if width is not None:
            getattr(completer.model, "decoder", None)
    except ValueError as error:
        raise DataError(f"{run.path} can't be served at {width}: {error}") from None
    if not names and embedder(model) is not None:
        completer.embed = _embed(completer, lambda: model)
    return Opened(completer, lambda: model, [])


def _packed(bundle: Any, path: Path, width: str, context: int | None) -> Any:
    from descent.generate.decoder import Decoder

    room = _cache_tokens(bundle, context)
    try:
        decoder = Decoder.of(bundle, width=width, cache_tokens=room)  # type: ignore[arg-type]
    except ValueError as error:
        raise DataError(f"{path} can't be served: {error}") from None
    if context is not None:
        decoder.context = min(decoder.context, context)
    return PackedLanguage(decoder)


def _modules(bundle: Any) -> Any:
    return ModelLanguage(bundle.build(), bundle.config["vocab_size"])


def _completer(
    bundle: Any, language: Any, name: str, path: Path, template: str | None
) -> Completer:
    about, tokenizer = bundle.about, bundle.tokenizer
    begin = getattr(tokenizer, "begin_ids", ())
    return Completer(
        name=name,
        created=int(path.stat().st_mtime),
        model=language,
        tokenizer=tokenizer,
        eos_ids=list(about.get("eos_ids") or ()),
        bos_id=begin[0] if len(begin) == 1 else None,
        info={
            "kind": "pretrained",
            "model": bundle.kind,
            "parameters": bundle.weights.count,
            "format": about.get("format"),
            "licence": about.get("licence"),
            "page": {"max_tokens": 48, "temperature": 0.7},
        },
        chat=_chat(template or about.get("chat_template"), tokenizer),
    )


def _own_width(bundle: Any) -> str:
    """float32, or the width of most of a quantised file's numbers."""
    numbers: Counter[str] = Counter()
    for stored in bundle.weights.stored.values():
        kind = "int4" if stored.kind.startswith("Q4") else "int8"
        size = 1
        for n in stored.shape:
            size *= n
        numbers[kind if stored.kind.startswith("Q") else "float32"] += size
    return numbers.most_common(1)[0][0]


def _cache_tokens(bundle: Any, context: int | None) -> int:
    """Tokens of all sequences together: a few contexts, within a third of the free memory."""
    c = bundle.config
    heads = c.get("n_kv_head") or c["n_head"]
    head = c.get("head_dim") or c["n_embd"] // c["n_head"]
    per_token = 2 * 4 * c["n_layer"] * heads * head
    longest = min(context or c["block_size"], c["block_size"])
    free = free_memory_bytes()
    room = _CACHE_SEQUENCES * longest if free is None else free // 3 // per_token
    return max(min(_CACHE_SEQUENCES * longest, room), min(longest, _LEAST_CACHE_TOKENS))


def _embed(completer: Completer, build: Callable[[], Any]) -> Callable[[Any], Any]:
    """Through the engine, which holds the weights already; else through the modules."""

    def embed(ids: Any) -> Any:
        engine = completer.engine
        if engine is not None:
            return engine.hidden(ids)
        made = embedder(build())
        assert made is not None
        return made(ids)

    return embed


def _chat(template: str | None, tokenizer: Any) -> Any:
    if not template:
        return None
    from descent.data.tokenizers.chat import ChatTemplate

    names = {id: name for name, id in tokenizer.special_tokens.items()}
    bos, eos = getattr(tokenizer, "bos_id", None), getattr(tokenizer, "eos_id", None)
    return ChatTemplate(
        template,
        bos_token=None if bos is None else names.get(bos),
        eos_token=None if eos is None else names.get(eos),
    )


def _name(asked: str, path: Path) -> str:
    """What a user would call it: the name asked for, or the file's."""
    if asked.lower() in KNOWN:
        return asked.lower()
    if not Path(asked).exists():
        return asked.removeprefix("hf://")
    return path.stem if path.is_file() else path.resolve().name


class Explainable(Mapping[str, Any]):
    """What `explain_routes` takes, each model's modules built when they are first looked at."""

    def __init__(self, opened: list[Opened]) -> None:
        self._opened = {o.completer.name: o for o in opened if o.build is not None}
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            opened = self._opened[name]
            assert opened.build is not None
            completer = opened.completer
            self._made[name] = (opened.build(), completer.tokenizer, completer)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened)

    def __len__(self) -> int:
        return len(self._opened)

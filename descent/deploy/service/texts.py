"""Runs and models of text as services: completions, names, translations.

    {"prompt": "def add("}     → OpenAI's completion, at POST /<api>; the rest of its API at
                                 /<api>/v1/…, the page and the floors below a token at /<api>/
    {"text": "A man sleeps."}  → {"translation": "Ein Mann schläft."}

A model is opened by `load`, once; what stands under `config` are the options of `descent serve`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from descent.deploy.errors import HttpError
from descent.deploy.pool import LoadError
from descent.deploy.service.text_paths import signature_of

__all__ = ["Completions", "Text", "Translation", "Translations"]

_OPTIONS = {"width", "context", "chat_template"}
_LIMITS = {"max_running", "max_waiting", "max_tokens", "max_choices", "request_timeout_s"}


class Completions:
    """A model that continues text: OpenAI's API, a page, explanations."""

    def __init__(self, model: str | Path, config: Mapping[str, Any], name: str | None = None):
        unknown = sorted(set(config) - _OPTIONS - _LIMITS - {"name"})
        if unknown:
            known = ", ".join(sorted(_OPTIONS | _LIMITS | {"name"}))
            raise LoadError(f"config.{unknown[0]}: a text model has no such option; it has {known}")
        self.model, self.config = model, dict(config)
        self.name = name or self.config.get("name")
        self.asgi: ASGIApp = _not_loaded
        self.notes: list[str] = []
        self.metrics: Any = None  # of its worker; the node tells them with its own
        self._service: Any = None

    def load(self) -> None:
        """Open the model and start its worker."""
        from descent.goals.opening import Explainable, open_model
        from descent.serve.app import make_app
        from descent.serve.service import Limits
        from descent.view.pages import explain_routes

        given = {key: self.config.get(key) for key in _OPTIONS}
        with _said_plainly():
            made = open_model(self.model, name=self.name, **given)  # type: ignore[arg-type]
        self.notes = made.notes
        limits = {"max_running": 16, **{k: v for k, v in self.config.items() if k in _LIMITS}}
        app = make_app(
            [made.completer],
            limits=Limits(**limits),
            extra_routes=explain_routes(Explainable([made])),
        )
        self._service = app.state.service
        self._service.start()
        self.metrics = self._service.metrics
        known = signature_of(app, made.completer)
        # They are computed together: Cortex' default of one at a time would waste that.
        self.signature = replace(known, concurrency=limits["max_running"])
        self.examples = self.signature.examples  # the first of them warms the model up
        self.asgi = _short(app, chat=made.completer.chat is not None)

    def unload(self) -> None:
        """End the worker and free the weights."""
        if self._service is not None:
            self._service.stop()
        self._service, self.asgi = None, _not_loaded

    def check_health(self) -> bool:
        """Does the worker live?"""
        return self._service is not None and self._service.working


@dataclass
class Text:
    """What to translate: a sentence, or several."""

    text: str | list[str]


@dataclass
class Translation:
    """In the other language, one for each sentence."""

    translation: str | list[str]


class Translations:
    """Translates sentences."""

    def __init__(self, run: str | Path) -> None:
        self.run = run
        self.translator: Any = None
        self.examples: list[Any] = [{"text": "A man sleeps."}]

    def load(self) -> None:
        """Open the run; its first test sentence is the example."""
        from descent.goals.folder import RunFolder
        from descent.goals.translate import load_translator

        with _said_plainly():
            run = RunFolder.open(self.run)
            self.translator = load_translator(run)
        if prompt := run.config.get("data", {}).get("prompt"):
            self.examples = [{"text": prompt}]

    def predict(self, request: Text) -> Translation:
        """Translate one sentence or a list of them."""
        one = isinstance(request.text, str)
        sentences = [request.text] if one else list(request.text)
        if not sentences:
            return Translation([])
        try:
            found = self.translator(sentences)
        except (ValueError, KeyError) as error:
            reason = error.args[0] if error.args else error
            raise HttpError(400, "invalid_input", f"text: {reason}", field="text") from error
        return Translation(found[0] if one else found)

    def unload(self) -> None:
        """Free the weights."""
        self.translator = None


@contextlib.contextmanager
def _said_plainly() -> Iterator[None]:
    """What is wrong with a model is a sentence already; the line of ours that said it is not."""
    from descent.data.errors import DataError
    from descent.goals.folder import RunError

    try:
        yield
    except (DataError, RunError) as error:
        raise LoadError(str(error)) from error


async def _not_loaded(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("the model is not loaded: call load() first")


def _short(app: ASGIApp, *, chat: bool) -> ASGIApp:
    """POST to the API itself is a completion; or a conversation, where `messages` are sent."""

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # load() and unload() start and end the worker
            return await _live(receive, send)
        below = scope.get("path", "")[len(scope.get("root_path", "")) :]
        if scope["type"] != "http" or scope["method"] != "POST" or below not in ("", "/"):
            await app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        path = "/v1/chat/completions" if chat and _has_messages(body) else "/v1/completions"
        whole = scope.get("root_path", "") + path
        # Whatever the sender called it (curl -d says a form), nothing but JSON is taken here.
        headers = [pair for pair in scope["headers"] if pair[0] != b"content-type"]
        headers.append((b"content-type", b"application/json"))
        inner = {**scope, "path": whole, "raw_path": whole.encode(), "headers": headers}
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await app(inner, again, send)

    return called


async def _live(receive: Receive, send: Send) -> None:
    while True:
        phase = (await receive())["type"]
        await send({"type": f"{phase}.complete"})
        if phase == "lifespan.shutdown":
            return


def _has_messages(body: bytes) -> bool:
    try:
        read = json.loads(body)
    except ValueError:
        return False
    return isinstance(read, dict) and "messages" in read

"""The floors as an HTML page at `/explain`: plain, server-made, no script; every floor is a link.

Query: model, prompt, token or token_id, op, element (`0,3,17`). The page binds where the service
binds, and shows nothing that `descent explain` does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import urlencode

import numpy as np

from descent.view.errors import QuestionError
from descent.view.floors import ElementFloor, Explanation
from descent.view.trace import Record, input_names

__all__ = ["explain_routes", "render"]

Models = Mapping[str, tuple[Any, Any, Any]]  # name → (model, tokenizer, completer)


def explain_routes(models: Models) -> list[Any]:
    """Routes for `make_app(extra_routes=...)`."""
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import HTMLResponse, Response
    from starlette.routing import Route

    async def explain(request: Any) -> Any:
        query = dict(request.query_params)
        try:
            page = await run_in_threadpool(_answer, models, query)
            return HTMLResponse(page)
        except QuestionError as error:
            return HTMLResponse(_frame("Can't explain that", f"<p>{escape(str(error))}</p>"), 400)

    async def style(request: Any) -> Any:
        return Response(_STYLE, media_type="text/css")

    return [Route("/explain", explain), Route("/explain.css", style)]


def _answer(models: Models, query: dict[str, str]) -> str:
    name = query.get("model") or next(iter(models))
    if name not in models:
        raise QuestionError(f"there is no model {name!r}; there are: {', '.join(models)}")
    model, _, completer = models[name]
    token: str | int | None = query.get("token")
    if query.get("token_id", "").isdigit():
        token = int(query["token_id"])
    e = Explanation(completer, model, query.get("prompt", ""), token=token)
    keep = {"model": name, "prompt": e.prompt, "token_id": str(e.token_id)}
    number = int(query["op"]) if query.get("op", "").isdigit() else e.logits_record()
    index = None
    if query.get("element"):
        try:
            index = tuple(int(i) for i in query["element"].split(","))
        except ValueError:
            raise QuestionError(f"element={query['element']!r}: write indices as 0,3,17") from None
    return render(e, keep, number, index)


def render(e: Explanation, keep: dict[str, str], number: int, index: tuple[int, ...] | None) -> str:
    """The whole page for one prediction, with op `number` and one of its elements open."""
    f = e.element(number, index, top=12)
    parts = [
        f"<p class=prompt>{escape(e.prompt[-400:]) or '(empty prompt)'}"
        f"<mark>{escape(e.show(e.token_id))}</mark></p>",
        _distribution(e, keep),
        _layers(e, keep, number),
        _op(e.record(number), keep),
        _element(f, keep),
    ]
    return _frame("Why this token?", "\n".join(f"<section>{part}</section>" for part in parts))


def _link(keep: dict[str, str], text: str, anchor: str = "", **more: Any) -> str:
    query = urlencode({**keep, **{k: str(v) for k, v in more.items()}})
    return f'<a href="explain?{escape(query)}{anchor}">{text}</a>'


def _distribution(e: Explanation, keep: dict[str, str]) -> str:
    rows = []
    for c in e.candidates(10):
        width = f"{100 * c.probability:.1f}"
        mine = " class=chosen" if c.id == e.token_id else ""
        rows.append(
            f"<tr{mine}><td>{_link({**keep, 'token_id': str(c.id)}, escape(repr(c.text)))}</td>"
            f"<td>{c.probability:.4f}</td><td>{c.logit:.4f}</td>"
            f'<td class=bar><progress max=100 value="{width}"></progress></td></tr>'
        )
    return (
        "<h2><b>1</b>Prediction</h2><p>The model gives every token of its vocabulary a score, "
        "its logit; "
        "softmax turns the scores into probabilities.</p><table><tr><th>token<th>probability"
        f"<th>logit<th></tr>{''.join(rows)}</table>"
    )


def _layers(e: Explanation, keep: dict[str, str], open_op: int) -> str:
    rows = []
    for f in e.layers():
        ops = " ".join(
            _link(keep, f"{n}&nbsp;{escape(e.record(n).op.name)}", "#op", op=n)
            if n != open_op
            else f"<b>{n}&nbsp;{escape(e.record(n).op.name)}</b>"
            for n in f.ops
        )
        rows.append(
            f"<tr><td>{escape(f.path)}</td><td>{escape(f.cls)}</td>"
            f"<td>{'×'.join(map(str, f.shape))}</td><td>{f.mean:.3f}</td><td>{f.std:.3f}</td>"
            f"<td>{f.low:.2f}</td><td>{f.high:.2f}</td><td>{f.milliseconds:.2f}</td>"
            f"<td class=ops>{ops}</td></tr>"
        )
    return (
        "<h2><b>2</b>Layers</h2><p>What ran, in order, with statistics of each module's output.</p>"
        "<table><tr><th>module<th>class<th>shape<th>mean<th>std<th>min<th>max<th>ms"
        "<th class=ops>ops</tr>"
        f"{''.join(rows)}</table>"
    )


def _op(r: Record, keep: dict[str, str]) -> str:
    axes = getattr(getattr(r.op, "axes", None), "text", "element by element")
    inputs = []
    for name, a, origin in zip(input_names(r), r.arrays, r.origins):
        source = (
            _link(keep, f"op {origin.record}", "#op", op=origin.record)
            if origin.kind == "op"
            else escape(str(origin))
        )
        shape = "×".join(map(str, a.shape)) or "a number"
        inputs.append(f"<li><code>{escape(name)}</code>: {shape}, from {source}</li>")
    doc = escape((r.op.doc or "").strip())
    return (
        f"<h2 id=op><b>3</b>Op {r.number}: {escape(r.op.name)}</h2><p>{doc}</p>"
        f"<p><code>{escape(axes)}</code> in <code>{escape(r.module or 'the prediction')}</code>, "
        f"called at <code>{escape(r.place)}</code></p><ul>{''.join(inputs)}</ul>"
        f"<details><summary>The loops that compute it</summary><pre>{escape(r.op.source())}</pre>"
        "</details>"
    )


def _element(f: ElementFloor, keep: dict[str, str]) -> str:
    place = ", ".join(map(str, f.index))
    rows = []
    for t in f.terms:
        numbers = "<br>".join(
            f"{_leaf(f.record, label, keep)} = {x:.5g}" for label, x, _ in t.leaves
        )
        slopes = "<br>".join(f"{d:.5g}" for _, _, d in t.leaves)
        through = "<br>".join(
            "" if f.gradient is None else f"{f.gradient * d:.3g}" for _, _, d in t.leaves
        )
        rows.append(
            f"<tr><td><code>{escape(t.text)}</code></td><td>{t.value:.5f}</td><td>{numbers}</td>"
            f"<td>{slopes}</td><td>{through}</td></tr>"
        )
    gradient = (
        "" if f.gradient is None else f"<p>d log p(token) / d y[{place}] = {f.gradient:.6g}</p>"
    )
    difference = abs(f.computed - f.value.data)
    return (
        f"<h2><b>4</b>Element y[{place}] = {f.computed:.6f}</h2>"
        f"<p>Expanded to scalars by the same loops: {f.value.data:.6f} (difference "
        f"{difference:.1e}). Shape {list(np.shape(f.record.outputs[0]))}: choose another with "
        f"<code>&amp;element=…</code></p>{gradient}"
        f"<h2><b>5</b>Scalars</h2><p>The {len(f.terms)} largest of {f.n_terms} terms. "
        "The last column "
        "is the chain rule: d log p / d(number) = d log p / dy · dy / d(number), through this "
        "element alone.</p><table><tr><th>term<th>value<th>numbers<th>dy/d(number)"
        f"<th>d log p/d(number)</tr>{''.join(rows)}</table>"
    )


def _leaf(r: Record, label: str, keep: dict[str, str]) -> str:
    """A number's name; a link to its own expression when an earlier op made it."""
    name, _, index = label.partition("[")
    names = input_names(r)
    origin = r.origins[names.index(name)] if name in names else None
    if origin is None or origin.kind != "op":
        return escape(label)
    element = index.rstrip("]").replace(" ", "")
    more = {"element": element} if element else {}
    return _link(keep, escape(label), "#op", op=origin.record, **more)


_STYLE = """
:root{color-scheme:light dark;--back:light-dark(#f3f4f8,#15171c);--card:light-dark(#fff,#1d2027);
--line:light-dark(#e2e4ea,#343843);--text:light-dark(#14161c,#e8eaf0);
--soft:light-dark(#5c6270,#9aa1b0);--accent:light-dark(#3b5bdb,#8aa2ff);
--mark:light-dark(#dfe6ff,#2b3a70)}
body{font:15px/1.55 system-ui,sans-serif;margin:0;background:var(--back);color:var(--text)}
header{background:var(--card);border-bottom:1px solid var(--line);padding:.8rem 1.5rem}
main{max-width:78rem;margin:1.2rem auto;padding:0 1.5rem}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
header a{color:inherit;font-weight:700}header span{color:var(--soft);margin-left:.8rem}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;
padding:.9rem 1.2rem;margin:0 0 1rem;overflow-x:auto}
h2{font-size:1rem;margin:.1rem 0 .3rem}h2 b{color:var(--accent);margin-right:.4rem}
p{margin:.3rem 0;color:var(--soft)}p.prompt{color:inherit;white-space:pre-wrap;margin:0;
font-family:ui-monospace,monospace}mark,tr.chosen{background:var(--mark);color:inherit}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.85rem;margin:.5rem 0}
td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}td:first-child,th:first-child,.ops,.bar{text-align:left}
.ops{max-width:34rem}.ops a{margin-right:.5rem}code{font-family:ui-monospace,monospace}
pre{overflow:auto;padding:.7rem;border-radius:8px;background:var(--back);font-size:.8rem}
summary{cursor:pointer;color:var(--accent)}progress{width:12rem;height:.5rem;
accent-color:var(--accent)}li{margin:.15rem 0}
"""


def _frame(title: str, body: str) -> str:
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)} · Descent</title><link rel=stylesheet href=explain.css>"
        '<link rel=icon href="static/icon.svg" type="image/svg+xml">'
        f'<body><header><a href="./">Descent</a><span>{escape(title)}</span></header>'
        f"<main>{body}</main>"
    )

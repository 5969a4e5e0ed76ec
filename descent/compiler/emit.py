"""The step as one Python file: its kernels, who calls them, and the schedule.

The file is real (in the cache folder), imports only NumPy and `descent`, and runs in two forms: its
functions compiled, over a table of addresses; or as written, over a list of arrays, where a
debugger can stop anywhere in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from descent.compiler.graph import View
from descent.compiler.plan import Plan
from descent.compiler.translate import Translator
from descent.compiler.work import Work

__all__ = ["Written", "write"]


class Written(NamedTuple):
    """A step's text, and the tables by which it finds its data.

    Attributes:
        kernels: names of its functions; reorder: which of them may add up in another order.
        frames: per work, what it receives: (buffer, offset) of arrays, "numbers" with an offset,
            "flags", "scratch" (one array per thread).
        program: per work: kernel number, units, common units, where its frame begins.
        phases: per phase: first work, one past the last, slabs.
    """

    text: str
    kernels: list[str]
    reorder: list[bool]
    frames: list[list[tuple[Any, int]]]
    program: np.ndarray
    phases: np.ndarray
    scratch: int


_PLACES = {"float32": "float32", "float64": "float64", "int64": "int64", "int32": "int32",
           "uint8": "uint8", "bool": "boolean"}  # fmt: skip


def write(title: str, plan: Plan, translator: Translator) -> Written:
    """Turn phases of works into source and tables."""
    bodies: dict[tuple[str, ...], int] = {}  # a kernel's text → its number
    kernels: list[tuple[str, list[str], Work]] = []
    program, frames, phases, schedule = [], [], [], []
    imports: dict[str, tuple[str, str]] = {}
    at = 0
    for p, phase in enumerate(plan.phases):
        first = len(program)
        schedule.append(f"# phase {p}: {phase.slabs} slab{'s' * (phase.slabs > 1)}")
        for w in phase.works:
            imports.update(w.imports)
            head, extra = _head(w)
            key = (*head, *w.body)
            if key not in bodies:
                bodies[key] = len(kernels)
                kernels.append((f"k{len(kernels)}_{w.name}", head, w))
            number = bodies[key]
            common = phase.units if phase.units and w.units % phase.units == 0 else 0
            frame: list[tuple[Any, int]] = [(v.buffer, v.offset) for v in w.arguments]
            frame += [(n, (w.numbers or 0) if n == "numbers" else 0) for n in extra]
            program.append((number, w.units, common, at))
            frames.append(frame)
            at += len(frame) + (plan.threads - 1) * ("scratch" in extra)
            shown = ", ".join(_label(v) for v in w.arguments)
            schedule.append(f"#   {kernels[number][0]}({shown})  units {w.units}  {w.title}")
        phases.append((first, len(program), phase.slabs))
    return Written(
        _text(title, imports, translator, kernels, schedule),
        [k[0] for k in kernels],
        [k[2].reorder for k in kernels],
        frames,
        np.array(program, np.int64).reshape(-1, 4),
        np.array(phases, np.int64).reshape(-1, 3),
        max((w.scratch for p in plan.phases for w in p.works), default=0),
    )


def _letter(i: int) -> str:
    return "abcdefghjkmnopqrsuwxyz"[i] if i < 22 else f"a{i}"


def _label(v: View) -> str:
    b = v.buffer
    name = b.label or {"argument": "arg", "temporary": "tmp"}.get(b.kind, b.kind)
    return f"{name}{b.number}" + (f"+{v.offset}" if v.offset else "")


def _head(w: Work) -> tuple[list[str], list[str]]:
    """The lines that fetch what a kernel's body uses, and what that is beside its arrays."""
    names = list(w.parameters or ()) or [_letter(i) for i in range(len(w.arguments))]
    kinds = [_PLACES[v.dtype.name] for v in w.arguments]
    lines = [
        f"{n} = {kind}(frame, {i}){_from_unit(w.steps[i]) if w.steps else ''}"
        for i, (n, kind) in enumerate(zip(names, kinds))
    ]
    text = "\n".join(w.body)
    extra = [n for n in ("numbers", "flags", "scratch", "words") if re.search(rf"\b{n}\b", text)]
    for i, name in enumerate(extra, len(names)):
        kind = {"numbers": "float64", "flags": "int64", "scratch": "float32", "words": "int32"}[
            name
        ]
        each = " + me" if name in ("scratch", "words") else ""  # last: one for every thread
        lines.append(f"{name} = {kind}(frame, {i}{each})")
    return lines, ["scratch" if n == "words" else n for n in extra]


def _from_unit(step: int) -> str:
    """The slice that lets an array begin at unit lo."""
    return "" if not step else "[lo:]" if step == 1 else f"[lo * {step}:]"


def _text(
    title: str,
    imports: dict[str, tuple[str, str]],
    translator: Translator,
    kernels: Sequence[tuple[str, list[str], Work]],
    schedule: list[str],
) -> str:
    out = [f'"""{title}', "", *_PREFACE.splitlines(), '"""', "", "import numpy as np", "",
           f"from descent.kernel.places import {', '.join(sorted(_PLACES.values()))}"]  # fmt: skip
    for module in sorted({module for module, _ in imports.values()}):
        folder, name = module.rsplit(".", 1)
        out.append(f"from {folder} import {name}")
    if any("math." in text for text in translator.functions.values()):
        out.insert(out.index("import numpy as np"), "import math\n")
    if translator.imports:
        names = ", ".join(sorted(translator.imports))
        out.append(f"from descent.ops.vectormath import {names}")
    out.append("")
    for local, (module, path) in sorted(imports.items()):
        out.append(f"{local} = {module.rsplit('.', 1)[1]}.{path}")
    out += [f"{name} = {value}" for name, value in sorted(translator.constants.items())]
    for text in translator.functions.values():
        out += ["", "", text]
    for name, head, work in kernels:
        out += ["", "", f"def {name}(lo, hi, frame, me):", f'    """{work.title}"""']
        out += ["    " + line for line in [*head, *work.body]]
    out += ["", "", "# The schedule. A phase's slabs are shared by the threads; each does its slab "
            "of all works in turn.", *schedule, ""]  # fmt: skip
    return "\n".join(out)


_PREFACE = """Written by descent.compile. Every function does units lo … hi of a piece of the step;
`frame` holds its arrays (compiled: their addresses), `me` is the thread. They are called
by `run` in descent/kernel/crew.py in the order of the schedule at the end. Loops count from 0
over arrays that begin at unit lo: so no index can be negative, and loops become vector code."""

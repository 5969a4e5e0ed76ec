"""The step as one Python file: its kernels, who calls them, and the schedule.

The file is real (in the cache folder), imports only NumPy and `descent`, and runs in two forms: its
functions compiled, over a table of addresses; or as written, over a list of arrays, where a debugger
can stop anywhere in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from descent.compiler.graph import Buffer, View
from descent.compiler.plan import Plan
from descent.compiler.translate import Translator
from descent.compiler.works import Work

__all__ = ["Written", "write"]


class Written(NamedTuple):
    """A step's text, and the tables by which it finds its data.

    Attributes:
        slots: (buffer, offset) of every array that works receive, by number.
        program: per work: kernel number, units, common units, where its slots begin.
        arguments: slot numbers (and coefficient offsets), work after work.
        phases: per phase: first work, one past the last, slabs.
    """

    text: str
    kernels: list[str]
    reorder: list[bool]
    slots: list[tuple[Buffer, int]]
    program: np.ndarray
    arguments: np.ndarray
    phases: np.ndarray
    scratch: int


_PLACES = {"float32": "float32", "float64": "float64", "int64": "int64", "int32": "int32",
           "uint8": "uint8", "bool": "boolean"}  # fmt: skip


def write(title: str, plan: Plan, translator: Translator) -> Written:
    """Turn phases of works into source and tables."""
    bodies: dict[tuple[str, ...], int] = {}  # a kernel's text → its number
    kernels: list[tuple[str, list[str], list[str], bool, Work]] = []
    slots: dict[tuple[int, int], int] = {}
    owners: list[tuple[Buffer, int]] = []
    program, arguments, phases, schedule = [], [], [], []
    imports: dict[str, tuple[str, str]] = {}
    for p, phase in enumerate(plan.phases):
        first = len(program)
        schedule.append(f"# phase {p}: {phase.slabs} slab{'s' * (phase.slabs > 1)}")
        for w in phase.works:
            imports.update(w.imports)
            names = [_letter(i) for i in range(len(w.arguments))]
            parameters = _parameters(w, names)
            key = (*parameters, *w.body, *(v.dtype.name for v in w.arguments))
            if key not in bodies:
                bodies[key] = len(kernels)
                kernels.append((f"k{len(kernels)}_{w.name}", parameters, w.body, w.reorder, w))
            number = bodies[key]
            common = phase.units if phase.units and w.units % phase.units == 0 else 0
            program.append((number, w.units, common, len(arguments)))
            shown = []
            for v in w.arguments:
                slot = slots.setdefault((id(v.buffer), v.offset), len(owners))
                if slot == len(owners):
                    owners.append((v.buffer, v.offset))
                arguments.append(slot)
                shown.append(_label(v))
            arguments.append(w.numbers or 0)
            schedule.append(
                f"#   {kernels[number][0]}({', '.join(shown)})  units {w.units}  {w.title}"
            )
        phases.append((first, len(program), phase.slabs))
    scratch = max((w.scratch for p in plan.phases for w in p.works), default=0)
    text = _text(title, imports, translator, kernels, schedule)
    return Written(
        text,
        [k[0] for k in kernels],
        [k[3] for k in kernels],
        owners,
        np.array(program, np.int64).reshape(-1, 4),
        np.array(arguments, np.int64),
        np.array(phases, np.int64).reshape(-1, 3),
        scratch,
    )


def _letter(i: int) -> str:
    return "abcdefghjkmnopqrsuwxyz"[i] if i < 22 else f"a{i}"


def _label(v: View) -> str:
    b = v.buffer
    name = b.label or {"argument": "arg", "temporary": "tmp"}.get(b.kind, b.kind)
    return f"{name}{b.number}" + (f"+{v.offset}" if v.offset else "")


def _parameters(w: Work, names: list[str]) -> list[str]:
    """The names its body uses for its arrays, then what else it uses."""
    given = {"product": ["a", "c", "y", "bias"], "product_by_columns": ["a", "c", "y", "bias"],
             "batched_product": ["a", "c", "y", "bias"], "plain_product": ["a", "c", "y", "bias"],
             "pack": ["c", "y"], "gather": ["a", "places", "y"],
             "scatter_add": ["a", "places", "y"]}.get(w.name)  # fmt: skip
    if w.numbers is not None:
        given = [n for n in w.parameters or names]
    text = "\n".join(w.body)
    extra = [n for n in ("numbers", "scratch", "flags") if n in text]
    return [*(given or names)[: len(w.arguments)], *extra]


def _text(
    title: str,
    imports: dict[str, tuple[str, str]],
    translator: Translator,
    kernels: Sequence[Any],
    schedule: list[str],
) -> str:
    out = [f'"""{title}', "", "Written by descent.compile. Kernels first; `call` says which kernel "
           "gets which arrays, `run` is the", "step itself. The schedule stands at the end.", '"""',
           "", "import numpy as np", "", "from descent.compiler.crew import finish, take, wait",
           "from descent.kernel.places import boolean, float32, float64, int32, int64, uint8"]  # fmt: skip
    if translator.imports:
        out.append(
            "from descent.ops.vectormath import " + ", ".join(sorted(translator.imports))
        )
    for local, (module, path) in sorted(imports.items()):
        folder, name = module.rsplit(".", 1)
        line = f"from {folder} import {name}"
        if line not in out:
            out.append(line)
    out.append("")
    for local, (module, path) in sorted(imports.items()):
        out.append(f"{local} = {module.rsplit('.', 1)[1]}.{path}")
    for name, value in sorted(translator.constants.items()):
        out.append(f"{name} = {value}")
    for text in translator.functions.values():
        out += ["", "", text]
    for name, parameters, body, _, work in kernels:
        out += ["", "", f"def {name}(lo, hi, {', '.join(parameters)}):"]
        if work.title:
            out.append(f'    """{work.title}"""')
        out += ["    " + line for line in body]
    out += ["", "", *_dispatch(kernels), "", "", _RUN, "", "", *schedule, ""]
    return "\n".join(out)


def _dispatch(kernels: Sequence[Any]) -> list[str]:
    out = ["def call(k, lo, hi, at, slots, table, numbers, scratch, flags):",
           '    """Kernel k on units lo … hi, with the arrays whose slots stand from `at` on."""']
    for i, (name, parameters, _, _, work) in enumerate(kernels):
        given = [f"{_PLACES[v.dtype.name]}(table, slots[at + {j}])"
                 for j, v in enumerate(work.arguments)]
        if "numbers" in parameters:
            given.append(f"numbers[slots[at + {len(work.arguments)}]:]")
        given += [n for n in ("scratch", "flags") if n in parameters]
        out.append(f"    {'if' if i == 0 else 'elif'} k == {i}:")
        out.append(f"        {name}(lo, hi, {', '.join(given)})")
    return out


_RUN = '''def run(me, epoch, program, phases, slots, table, numbers, scratch, flags, sync):
    """All phases, as one of the threads that do so; False when a later step has begun."""
    for p in range(phases.shape[0]):
        first, last, slabs = phases[p, 0], phases[p, 1], phases[p, 2]
        s = take(sync, p, epoch, me)
        while s >= 0:
            for w in range(first, last):
                units, common = program[w, 1], program[w, 2]
                if common:
                    each = units // common
                    lo, hi = common * s // slabs * each, common * (s + 1) // slabs * each
                else:
                    lo, hi = units * s // slabs, units * (s + 1) // slabs
                if lo < hi:
                    call(program[w, 0], lo, hi, program[w, 3], slots, table, numbers, scratch, flags)
            finish(sync, p)
            s = take(sync, p, epoch, me)
        if s == -2 or not wait(sync, p, epoch, slabs):
            return False
    return True'''

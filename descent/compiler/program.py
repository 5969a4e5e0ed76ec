"""A captured step made runnable: memory bound, source written and compiled, threads at hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from descent.autograd import TensorBase, wrap
from descent.caching import source_module
from descent.compiler.again import recomputed
from descent.compiler.capture import Capture
from descent.compiler.coefficients import Coefficients
from descent.compiler.emit import Written, write
from descent.compiler.fuse import fused
from descent.compiler.graph import Buffer, View
from descent.compiler.guards import Guard, describe, tensors_in
from descent.compiler.passes import early_updates, in_place, late_products, live, silence
from descent.compiler.plan import Plan, plan
from descent.compiler.shadow import Shadow, Unsupported
from descent.compiler.surroundings import plain
from descent.compiler.undoing import constants_written, refuse_side_effects, refuse_what_changes
from descent.compiler.works import Works
from descent.kernel import Kernel, compiling, crew, kernel, places
from descent.kernel.ahead import addresses
from descent.kernel.places import table_of

__all__ = ["Program"]

Array = np.ndarray
LARGE = 1 << 29  # bytes of a step's parameters and moments from which a compiler's memory matters


class Program:
    """One compiled form of a step. Call it with arguments like those it was captured with."""

    def __init__(
        self,
        fn: Callable[..., Any],
        args: Any,
        kwargs: Any,
        guard: Guard,
        keep_grads: bool | None,
        threads: bool,
        precision: str = "float32",
    ) -> None:
        self.precision = precision
        capture = Capture()
        refuse_what_changes(guard.around)
        result = capture.run(fn, args, kwargs, guard.around)
        refuse_side_effects(guard.around, capture)
        self.capture, self.guard = capture, guard
        self.results: list[View] = []
        self.template = self._template(result)
        self._gradients(capture, keep_grads)
        self._pin(capture, guard)
        self.constants = constants_written(capture, guard.around)
        self.lock = threading.Lock()
        self.calls = 0
        works = self._works(capture)
        temporaries = [b for b in capture.buffers if b.kind == "temporary"]
        self.plan: Plan = plan(
            works.done,
            [*temporaries, *works.scratch_buffers],
            [v.buffer for v in self.results],
        )
        if not threads or not compiling():
            for phase in self.plan.phases:
                phase.slabs = 1
            self.plan.threads = 1
        name = getattr(fn, "__qualname__", type(fn).__name__)
        title = f"{name}{describe(guard.arguments)} as one step."
        self.written: Written = write(title, self.plan, works.translator)
        self._load(getattr(fn, "__name__", "step"))
        self._bind(capture)

    # -- making ----------------------------------------------------------------------------------

    def _template(self, value: Any) -> Any:
        """The result's structure, with numbers of `results` in place of tensors."""
        if isinstance(value, TensorBase):
            shadow = value.array
            if any(t is value for t in self.capture.arguments):
                raise Unsupported("it returns an argument as it came")
            if not isinstance(shadow, Shadow):
                if any(t is value for t, _ in self.capture.kept) and self._outside(value):
                    return lambda out: value
                if self.capture._owner(shadow) is None:
                    array = shadow.copy()
                    return lambda out: wrap(array.copy())
            i = len(self.results)
            self.results.append(self.capture.view(shadow))
            if self.results[-1].buffer.kind == "argument":
                raise Unsupported("it returns an argument as it came")
            return lambda out: out[i]
        if isinstance(value, (tuple, list)):
            parts = [self._template(v) for v in value]
            if hasattr(value, "_fields"):
                kind = type(value)
                return lambda out: kind(*(p(out) for p in parts))
            kind = type(value)
            return lambda out: kind(p(out) for p in parts)
        if isinstance(value, dict):
            named = {k: self._template(v) for k, v in value.items()}
            return lambda out: {k: p(out) for k, p in named.items()}
        if isinstance(value, Shadow) or not (
            isinstance(value, (*plain, np.generic, np.ndarray, type)) or callable(value)
        ):
            raise Unsupported(
                f"it returns a {type(value).__name__}: return tensors, or lists of them"
            )
        return lambda out: value

    def _outside(self, t: Any) -> bool:
        """Whether a tensor was there before the step."""
        owner = self.capture._owner(t.array)
        return owner is not None and owner.kind == "kept" and bool(self.capture._histories[id(t)])

    def _gradients(self, capture: Capture, keep: bool | None) -> None:
        """What `.grad` of each touched leaf is after the step."""
        written = {id(v.buffer) for n in capture.nodes for v in n.writes()}
        self.gradients: list[tuple[Any, Any]] = []
        self.kept_gradients: list[View] = []
        touched = dict(capture.touched)
        touched.update((id(t), t) for t, _ in capture.kept
                       if capture.after[id(t)] is not capture._grads_before[id(t)])  # fmt: skip
        for t in touched.values():
            g = capture.after[id(t)] if id(t) in capture.after else t.grad
            before = capture._grads_before[id(t)]
            if g is None:
                self.gradients.append((t, None))
                continue
            if g is before:
                continue  # added up in place
            view = capture.view(g.array)
            if view.buffer.kind != "temporary":
                raise Unsupported("a gradient that is another tensor's memory")
            updated = id(capture._owner_of(t)) in written
            doubtful = any(t is u and absent for u, absent in capture.presence)
            added = doubtful or any(t is u for u in capture.uncleared)  # the next call adds to it
            if keep or added or (keep is None and not updated):
                view.buffer.kind = "kept"
                view.buffer.label = "grad"
                self.kept_gradients.append(view)
                self.gradients.append((t, wrap(_ndarray(view))))
            else:
                self.gradients.append((t, None))

    def _pin(self, capture: Capture, guard: Guard) -> None:
        moved = {id(t) for t in capture.arguments}
        guard.pinned = [(t, array) for t, array in capture.kept if id(t) not in moved]
        guard.flags = [(t, t.requires_grad, t.hooks) for t, _ in guard.pinned]
        written = {id(v.buffer) for n in capture.nodes for v in n.writes()}
        self.changed = [t for t, _ in guard.pinned if id(capture._owner_of(t)) in written]
        guard.grads = [(t, capture._grads_before[id(t)]) for t in capture.uncleared]
        guard.written = {id(t.version) for t in self.changed}
        guard.watch_groups(capture.settings.read())
        guard.presence = capture.presence
        guard.states = [(o, p, s) for o, _, p, _, s in capture.updates]
        for b in capture.buffers:
            if b.kind == "argument" and id(b) in written:
                raise Unsupported("an argument is changed in place")

    def _works(self, capture: Capture) -> Works:
        numbers = 0
        for *_, node, _state in capture.updates:
            node.coefficients = numbers
            numbers += len(node.rule.coefficients)
        self.numbers = np.zeros(max(numbers, 1))
        wanted = [*self.results, *self.kept_gradients]
        nodes = recomputed(live(capture.nodes, wanted), wanted, capture.new_buffer)
        nodes = fused(late_products(early_updates(in_place(nodes, wanted))))
        silence(nodes, wanted)
        works = Works(self.precision)
        for node in nodes:
            works.add(node)
        self.nodes = nodes
        return works

    def _load(self, name: str) -> None:
        word = "".join(c if c.isalnum() else "_" for c in name) or "step"
        self.module = source_module("steps", word, self.written.text)
        self.path = str(self.module.__file__)
        self.kernels = [
            Kernel(getattr(self.module, name), reorder=reorder)
            for name, reorder in zip(self.written.kernels, self.written.reorder)
        ]

    def _bind(self, capture: Capture) -> None:
        """Addresses for everything the step touches."""
        arena = np.empty(self.plan.arena_bytes + 64, np.uint8)
        start = -arena.__array_interface__["data"][0] % 64
        self.arena = arena[start:]
        threads = self.plan.threads
        self.flags = np.zeros(1, np.int64)
        scratch = [np.empty(self.written.scratch + 16, np.float32) for _ in range(threads)]
        self.sync = np.zeros(2 * len(self.plan.phases) + 1 + threads, np.int64)
        self.epoch = 0
        self.frames: list[list[Array]] = []
        self.moving: list[tuple[int, int, int, list[Array], int]] = []
        at = 0
        for given in self.written.frames:
            frame: list[Array] = []
            for i, (what, offset) in enumerate(given):
                if what == "scratch":
                    frame += scratch
                    continue
                memory = {"numbers": self.numbers, "flags": self.flags}.get(what)
                if memory is None:
                    if what.kind == "argument":
                        size = what.dtype.itemsize
                        self.moving.append((2 * (at + i), what.source, offset * size, frame, i))
                    memory = self._memory(what)
                frame.append(memory[offset:])
            self.frames.append(frame)
            at += len(frame)
        if compiling():
            self.table = table_of([a for frame in self.frames for a in frame])
            self.cells: Any = memoryview(self.table.data)  # faster to write single numbers through
            kinds = ["int64"] * 4
            large = sum(b.array.nbytes for b in capture.buffers if b.kind == "kept") > LARGE
            found = addresses(self.kernels, *kinds, elsewhere=large)
            self.functions = np.array(found, np.int64)
        else:
            starts = self.written.program[:, 3]
            self.table = dict(zip(starts.tolist(), self.frames))
            self.functions = [k.py for k in self.kernels]
        self.result_arrays = [_ndarray(v, self._memory(v.buffer)) for v in self.results]
        self.draws = [(d, a, k, _ndarray(v)) for d, a, k, v in capture.draws]
        self.helpers = _helpers(threads - 1) if threads > 1 else None
        self._alone = crew.run_alone.compiled if compiling() else crew.run_alone.py
        self.coefficients = Coefficients(capture.updates, self.numbers)

    def _memory(self, buffer: Buffer) -> Array:
        at = self.plan.offsets.get(id(buffer))
        if buffer.kind == "temporary" and at is not None:
            return self.arena[at : at + buffer.array.nbytes].view(buffer.dtype)
        return buffer.array

    # -- running ---------------------------------------------------------------------------------

    def __call__(self, args: Any, kwargs: Any) -> Any:
        with self.lock:
            if self.moving:
                self._place_arguments(args, kwargs)
            for draw, a, k, target in self.draws:
                np.copyto(target, draw(*a, **k))
            for memory, numbers in self.constants:
                memory[:] = numbers
            self.coefficients.next_step()
            self._run()
            self._settle()
            return self.template([wrap(np.array(a)) for a in self.result_arrays])

    def scan(self, args: tuple[Any, ...]) -> Any:
        """The step for every row of the arguments in turn; results stacked."""
        n = args[0].array.shape[0]
        plain = all(not t.requires_grad for t in args) and len({id(t) for t in args}) == len(args)
        flat = all(a.flags.c_contiguous for a in self.result_arrays)
        each_time = self.draws or self.constants  # what Python does before a step
        if self.helpers is not None or each_time or not (plain and flat and compiling()):
            return self._scan_in_python(n, args)
        arrays = [np.ascontiguousarray(t.array) for t in args]
        moves = [
            (slot, arrays[p].ctypes.data + offset, arrays[p].strides[0])
            for slot, p, offset, _, _ in self.moving
        ]
        outs = [np.empty((n, *a.shape), a.dtype) for a in self.result_arrays]
        copies = [
            x.reshape(-1).view(np.uint8)
            for pair in zip(self.result_arrays, outs)
            for x in pair
        ]  # fmt: skip
        rows = np.empty((n, len(self.numbers)))
        for row in rows:
            self.coefficients.next_step()
            row[:] = self.numbers
        done = crew.run_many(
            n, self.written.program, self.functions, self.table,
            np.array(moves, np.int64).reshape(-1, 3), self.numbers, rows,
            table_of([*copies, self.flags]),
        )  # fmt: skip
        self.calls += done
        for _ in range(n - done - 1):  # counted, but never run
            self.coefficients.undo()
        self._settle()
        assert done == n
        return self.template([wrap(o) for o in outs])

    def _scan_in_python(self, n: int, args: tuple[Any, ...]) -> Any:
        found: list[list[Array]] = []
        for i in range(n):
            self(tuple(t[i] for t in args), {})
            found.append([np.array(a) for a in self.result_arrays])
        return self.template([wrap(np.stack(column)) for column in zip(*found)])

    def _settle(self) -> None:
        """What Python sees of a step that was run: errors, versions, gradients."""
        if self.flags[0]:
            self.flags[0] = 0
            self.coefficients.undo()
            if self.calls == 0:
                self.guard.around.restore_states()  # made for this call
            raise IndexError("an index or class number in the step was out of range")
        self.calls += 1
        for t in self.changed:
            t.version[0] += 1
        for t, g in self.gradients:
            t.grad = g

    def _place_arguments(self, args: Any, kwargs: Any) -> None:
        """Let the frames point at this call's arrays; they are held until the next."""
        if self.guard.simple:
            arrays = [t.array for t in args]
        else:  # one tensor given twice counts once
            given = [t for t in tensors_in((args, kwargs)) if not t.requires_grad]
            arrays = list({id(t): t.array for t in given}.values())
        self.held = arrays = [
            a if a.flags.c_contiguous else np.ascontiguousarray(a) for a in arrays
        ]
        if isinstance(self.table, np.ndarray):
            addresses = [a.__array_interface__["data"][0] for a in arrays]
            for slot, position, offset, _, _ in self.moving:
                self.cells[slot] = addresses[position] + offset
        else:
            for _, position, offset, frame, i in self.moving:
                array = arrays[position].reshape(-1)
                frame[i] = array[offset // array.itemsize :]

    def _run(self) -> None:
        w = self.written
        if self.helpers is None:
            with _quiet(self.table):
                self._alone(w.program, self.functions, self.table)
            return
        self.epoch += 1
        common = (self.epoch, w.program, w.phases, self.functions, self.table, self.sync)
        crew.open_phases(self.sync, w.phases, self.epoch)
        awake = 2 * len(w.phases)
        for me in range(1, self.plan.threads):
            if not self.sync[awake + me]:
                self.helpers.start(me, crew.help_out, (me, *common))
        crew.run(0, *common)

    # -- looking inside --------------------------------------------------------------------------

    def report(self, repeat: int) -> list[dict[str, Any]]:
        """Seconds of every work, alone on this thread (medians)."""
        w, rows = self.written, []
        i = 0
        for p, phase in enumerate(self.plan.phases):
            for work in phase.works:
                number, units, _, at = w.program[i]
                times = []
                for _ in range(repeat):
                    began = time.perf_counter()
                    call_one(self.functions, number, units, self.table, at)
                    times.append(time.perf_counter() - began)
                rows.append(
                    {"phase": p, "name": w.kernels[number], "seconds": sorted(times)[repeat // 2],
                     "units": units, "slabs": phase.slabs, "operations": work.operations,
                     "title": work.title}
                )  # fmt: skip
                i += 1
        return rows


@kernel
def call_one(functions, number, units, frames, at):
    """All units of one work."""
    places.invoke(functions, number, 0, units, frames, at, 0)


def _quiet(table: Any) -> Any:
    """As written, floats speak up about 1 / 0; compiled, and in eager ops, they do not."""
    return _SILENT if isinstance(table, np.ndarray) else np.errstate(all="ignore")


_SILENT = nullcontext()
_crews: dict[int, crew.Helpers] = {}


def _helpers(count: int) -> crew.Helpers:
    if count not in _crews:
        _crews[count] = crew.Helpers(count)
    return _crews[count]


def _ndarray(v: View, memory: Array | None = None) -> Array:
    """The NumPy array of a view."""
    base = v.buffer.array if memory is None else memory
    size = v.dtype.itemsize
    return np.lib.stride_tricks.as_strided(
        base[v.offset :], v.shape, tuple(s * size for s in v.strides)
    )

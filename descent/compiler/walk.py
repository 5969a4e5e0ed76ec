"""The walk back from the loss, noted: what `autograd.backward` does, on shadows."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np

from descent import autograd
from descent.autograd import Node as TapeNode
from descent.autograd import current_node
from descent.compiler import forms
from descent.compiler.arithmetic import Arithmetic
from descent.compiler.graph import ScatterAdd
from descent.op import Elementwise, Movement, Op

__all__ = ["Walk"]


class Walk(Arithmetic):
    """The part of a capture that differentiates."""

    nodes: list[Any]
    touched: dict[int, Any]
    uncleared: list[Any]
    lowerings: Any
    _absent: list[Any]
    _as_shadow: Any
    _present: Any

    def backward(self, root: Any, gradient: Any, retain_graph: bool = False) -> None:
        """What `autograd.backward` does, noted."""
        for t, mark in self._absent:
            if t.grad is mark:  # from here on None again; nobody cleared it
                t.grad = None
                self.uncleared.append(t)
        self._absent = []
        gradient = self._as_shadow(gradient)
        node = current_node(root)
        if node is None:
            self._into_leaf(root, gradient)
            return
        pending: dict[TapeNode, Any] = {node: gradient}
        heap = [(-node.number, node)]
        with autograd.no_grad():
            while heap:
                node = heapq.heappop(heap)[1]
                dy = pending.pop(node)
                if node.hooks or node.retained is not None:
                    dy = autograd._run_hooks(node, dy)
                autograd._check_usable(node)
                grads = self.step_back(node, dy)
                if not retain_graph:
                    node.ctx = None
                for edge, g in zip(node.edges, grads):
                    if edge is None or g is None:
                        continue
                    if not isinstance(edge, TapeNode):
                        self._into_leaf(edge, g)
                    elif edge not in pending:
                        pending[edge] = g
                        heapq.heappush(heap, (-edge.number, edge))
                    else:
                        pending[edge] = self.map(forms.add, g.shape, g.dtype, (pending[edge], g))

    def step_back(self, node: TapeNode, dy: Any) -> list[Any]:
        """The gradients of a node's inputs, noted."""
        op, ctx, needs = node.op, node.ctx, node.needs
        if isinstance(op, Elementwise):
            return self._elementwise_back(op, ctx, dy, needs)
        if isinstance(op, Movement):
            return self.lowerings.movement_back(op, ctx, dy, needs)
        if isinstance(op, Op):
            return self.lowerings.op_back(op, ctx, dy, needs)
        return list(op.backward(ctx, dy, needs))

    def _elementwise_back(self, op: Elementwise, ctx: Any, dy: Any, needs: Any) -> list[Any]:
        inputs, metas, y = ctx
        known = {**inputs, **metas, "y": y, "dy": dy}
        grads: list[Any] = []
        for name, need in zip(op.inputs, needs):
            if not need:
                grads.append(None)
                continue
            d = op._derivative(name)
            x = inputs[name]
            names, settings = list(d.names), []
            while names and names[-1] in metas:  # fixed in the source: an int stays one
                settings.insert(0, metas[names.pop()])
            args = [known[n] for n in names]
            if d.scalar is forms.ONE_TIMES or (len(args) == 1 and args[0] is dy and _identity(d)):
                g = dy
            else:
                g = self.map(d.scalar, dy.shape, x.dtype, args, settings)
            grads.append(self.sum_to(g, x.shape))
        return grads

    def sum_to(self, g: Any, shape: tuple[int, ...]) -> Any:
        """Sum a gradient over the axes that broadcasting stretched."""
        if g.shape == shape:
            return g
        lead = g.ndim - len(shape)
        axes = tuple(range(lead)) + tuple(
            i + lead for i, n in enumerate(shape) if n == 1 and g.shape[i + lead] != 1
        )
        if not axes:
            return g.reshape(shape)
        kept = tuple(a for a in range(g.ndim) if a not in axes)
        y = self.temporary([g.shape[a] for a in kept], g.dtype)
        self.reduce_into(y, np.ndarray.transpose(g, kept + axes), len(kept))
        return y.reshape(shape)

    def _into_leaf(self, t: Any, g: Any) -> None:
        for hook in t.hooks or ():
            changed = hook(autograd.wrap(g))
            if changed is not None:
                g = changed.array
        self.shadow(t)
        if id(t) not in self.touched:
            self.touched[id(t)] = t
            if t.grad is not None:  # nobody cleared it: the step depends on what it was
                self.uncleared.append(t)
        t.grad = self._present(t.grad)
        if t.grad is None:
            taken = {
                id(self.view(o.grad.array).buffer)
                for o in self.touched.values()
                if o.grad is not None
            }
            view = self.view(g)
            mine = view.buffer.kind == "temporary" and id(view.buffer) not in taken
            t.grad = autograd.wrap(g if mine and view.contiguous else self.copied(g))
        else:
            last = self.nodes[-1]
            into = self.shadow(t.grad)
            if isinstance(last, ScatterAdd) and last.target.buffer is self.view(g).buffer:
                last.target = self.view(into).reshaped(last.target.shape)  # added where it lands
                last.accumulate = True
            else:
                self.map_into(into, forms.add, (into, g))
            t.grad.version[0] += 1


def _identity(d: Any) -> bool:
    return d.scalar.__code__.co_code == forms.ONE_TIMES.__code__.co_code

"""`Optimizer`: what changes the parameters, given their gradients.

It holds parameters in groups (each with its own learning rate and other settings), and a state per
parameter (its moments). A subclass says which rule of `descent.ops.updates` moves the parameters of
a group, what is remembered for each of them, and the coefficients of this step; `step` runs the
rule on all of them, the work of all parameters together shared by the threads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np

from descent.autograd import TensorBase, capturing, enable_grad, no_grad
from descent.op.updates import Update, run_updates
from descent.tensor import Tensor

__all__ = ["Optimizer", "check_at_least", "moment", "next_step", "sign"]


def check_at_least(least: float, **settings: Any) -> None:
    """Raise ValueError for a setting below `least` (or NaN), worded as PyTorch does."""
    for name, value in settings.items():
        if not least <= value:
            label = {"lr": "learning rate", "eps": "epsilon value"}.get(name, f"{name} value")
            raise ValueError(f"Invalid {label}: {value} (it must be at least {least})")


def moment(state: dict[str, Any], name: str, like: np.ndarray, start: float = 0.0) -> np.ndarray:
    """The array of a running quantity in a parameter's state, made at first use."""
    if state.get(name) is None:
        state[name] = Tensor(np.full(like.shape, start, like.dtype))
    return state[name].array


class Optimizer:
    """Base of all optimisers.

    Args:
        params: parameters, (name, parameter) pairs, or dicts with "params" and own settings.
        defaults: the settings of a group that does not state its own.

    Raises:
        TypeError, ValueError: when there is nothing to optimise, or something that can't be.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, TensorBase):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                "but got one tensor; wrap it in a list"
            )
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Optimise further parameters, with settings of their own (say, newly unfrozen layers)."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        given = param_group["params"]
        if isinstance(given, set):
            raise TypeError("parameters must come in a fixed order: pass a list, not a set")
        given = [given] if isinstance(given, TensorBase) else list(given)
        named = [p for p in given if isinstance(p, tuple)]
        if named and len(named) != len(given):
            raise ValueError(
                "all optimizer params should be with/without names. Some param names are missing"
            )
        params = [p[1] for p in named] if named else given
        for p in params:
            if not isinstance(p, TensorBase):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    f"{type(p).__name__}"
                )
            if p.node is not None and not p.retains_grad:
                raise ValueError("can't optimize a non-leaf Tensor")
        if len({id(p) for p in params}) != len(params):
            raise ValueError("a parameter appears twice in one parameter group")
        known = {id(p) for g in self.param_groups for p in g["params"]}
        if any(id(p) in known for p in params):
            raise ValueError("some parameters appear in more than one parameter group")
        param_group["params"] = params
        if named:
            param_group["param_names"] = [p[0] for p in named]
        for name, value in self.defaults.items():
            param_group.setdefault(name, value)
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients (or fill them with zeros) before the next backward."""
        for p in chain.from_iterable(g["params"] for g in self.param_groups):
            if set_to_none:
                p.grad = None
            elif p.grad is not None and not (capturing() and capturing().is_absent(p.grad)):
                with no_grad():
                    p.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient. Returns what `closure` (if any) returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if capturing() is not None:
            capturing().optimizer_step(self)
        updates: list[tuple[Update, list[np.ndarray], Sequence[float]]] = []
        for group in self.param_groups:
            updates += self.updates(group)
        with np.errstate(all="ignore"):
            run_updates(updates)
        return loss

    def updates(
        self, group: dict[str, Any]
    ) -> list[tuple[Update, list[np.ndarray], Sequence[float]]]:
        """What is to be run for each parameter of a group that has a gradient.

        A capture is told instead, and asks for the coefficients when its step runs.
        """
        rule, found = self.rule(group), []
        for p in group["params"]:
            if p.grad is None:
                continue
            state = self.state[p]
            arrays = [p.array, p.grad.array, *self.slots(p.array, state, group)]
            if capturing() is not None:
                capturing().update(self, group, p, rule, arrays, state)
                continue
            found.append((rule, arrays, self.coefficients(state, group)))
            p.version[0] += 1
        return found

    def rule(self, group: dict[str, Any]) -> Update:
        """How an element of these parameters moves, by the settings of the group."""
        raise NotImplementedError

    def slots(
        self, p: np.ndarray, state: dict[str, Any], group: dict[str, Any]
    ) -> list[np.ndarray]:
        """What the rule remembers of a parameter, made at first use: arrays like p."""
        return []

    def coefficients(self, state: dict[str, Any], group: dict[str, Any]) -> Sequence[float]:
        """The rule's floats for the step that is now taken, which this counts."""
        raise NotImplementedError

    # -- saving ------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """`{"state": {number: moments}, "param_groups": [settings and parameter numbers]}`."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers[id(p)] = len(numbers)
            packed = {k: v for k, v in group.items() if k != "params"}
            groups.append({**packed, "params": [numbers[id(p)] for p in group["params"]]})
        state = {numbers[id(p)]: dict(s) for p, s in self.state.items() if s}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over settings and (copies of) moments of an optimiser of the same structure.

        Raises:
            ValueError: when the groups differ in number or size, or a moment's shape does not fit.
        """
        saved = deepcopy(state_dict["param_groups"])
        sizes = [len(g["params"]) for g in self.param_groups]
        saved_sizes = [len(g["params"]) for g in saved]
        if len(saved) != len(sizes):
            raise ValueError(
                "loaded state dict has a different number of parameter groups: "
                f"{len(saved)}, this optimizer has {len(sizes)}"
            )
        if sizes != saved_sizes:
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                f"optimizer's group: sizes {saved_sizes}, here {sizes}"
            )
        by_number = dict(
            zip(
                chain.from_iterable(g["params"] for g in saved),
                chain.from_iterable(g["params"] for g in self.param_groups),
            )
        )
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for number, slots in state_dict["state"].items():
            p = by_number.get(number)
            if p is None:
                raise ValueError(f"loaded state dict has moments for an unknown parameter {number}")
            state[p] = {k: _own(k, v, p.array, number) for k, v in slots.items()}
        for group, new in zip(self.param_groups, saved):
            kept = {k: group[k] for k in ("params", "param_names") if k in group}
            group.clear()
            group.update({**new, **kept})
        self.state = state

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {group[k]}" for k in sorted(group) if k != "params"]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"


def _own(name: str, value: Any, p: np.ndarray, number: Any) -> Any:
    """A copy of a saved moment, in the parameter's dtype."""
    array = getattr(value, "array", value)
    if not isinstance(array, np.ndarray):
        return deepcopy(value)
    if name == "step" or array.shape == ():
        return Tensor(array.copy())
    if array.shape != p.shape:
        raise ValueError(
            f"loaded state dict: {name} of parameter {number} has shape {array.shape}, "
            f"the parameter {p.shape}"
        )
    return Tensor(array.astype(p.dtype))


def sign(group: dict[str, Any]) -> float:
    """−1 when the group climbs instead of descending."""
    return -1.0 if group.get("maximize") else 1.0


def next_step(state: dict[str, Any]) -> float:
    """Count one more step in a parameter's state (a 0-d tensor, as PyTorch keeps it)."""
    if "step" not in state:
        state["step"] = Tensor(np.zeros((), np.float32))
    step = state["step"]
    if isinstance(step, TensorBase):
        step.array += np.float32(1)
        return float(step.array)
    state["step"] = step + 1
    return state["step"]

"""A fitted estimator or a network that lies in an attribute, as a service.

    scikit-learn's contract   {"instances": [[…], …]} → {"predictions": […]}, and below the API
                              /predict_proba, /predict_log_proba, /decision_function, /transform
    a module with forward     {"instances": …} → {"predictions": …}, in eval mode, no gradients

`n_features_in_` and `feature_names_in_` say how many numbers a row has and what they are called (a
row may then be an object). The names of the fields are those of TensorFlow Serving and KServe v1.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated, Any

import numpy as np
from annotated_types import Len
from pydantic import ConfigDict, create_model

from descent.deploy.errors import HttpError
from descent.deploy.service.base import endpoint

__all__ = ["from_estimator", "from_module", "is_estimator", "is_module"]

_METHODS = ("predict_proba", "predict_log_proba", "decision_function", "transform")


def is_estimator(value: Any) -> bool:
    """Has it scikit-learn's contract?"""
    return (
        not isinstance(value, type)
        and callable(getattr(value, "get_params", None))
        and any(callable(getattr(value, name, None)) for name in ("predict", "transform"))
    )


def is_module(value: Any) -> bool:
    """A network: PyTorch's or ours."""
    methods = ("forward", "eval", "parameters", "state_dict")
    return not isinstance(value, type) and all(callable(getattr(value, m, None)) for m in methods)


def from_estimator(estimator: Any) -> Any:
    """The service around a fitted estimator (instance), with a path for each method it has."""
    rows = _request(estimator)

    def through(name: str) -> Any:
        def method(self: Any, request: Any) -> Any:
            return {"predictions": _called(getattr(estimator, name), _table(estimator, request))}

        method.__name__ = name
        method.__annotations__ = {"request": rows, "return": dict[str, Any]}
        return method

    methods = {name: name for name in _METHODS if callable(getattr(estimator, name, None))}
    main = "predict" if callable(getattr(estimator, "predict", None)) else "transform"
    members: dict[str, Any] = {"predict": through(main), "model": estimator}
    members |= {f"_{name}": endpoint(f"/{name}")(through(name)) for name in methods}
    members["__doc__"] = f"{type(estimator).__name__}: predictions for rows of numbers."
    return type(type(estimator).__name__, (), members)()


def from_module(module: Any, config: dict[str, Any]) -> Any:
    """The service around a network; `config.dtype` says what its input is, if that is not seen."""
    module.eval()
    name = config.get("dtype") or ("int64" if _looks_up(module) else "float32")
    try:
        dtype = np.dtype(name)
    except TypeError:
        raise ValueError(f"config.dtype: there is no dtype {name!r}; float32 or int64?") from None
    tensors, no_grad = _library(module)

    def predict(self: Any, request: Any) -> Any:
        given = np.asarray(request["instances"], dtype)
        with no_grad():
            return {"predictions": _called(module, tensors(given))}

    array = np.ndarray[tuple[Any, ...], np.dtype[dtype.type]]
    predict.__annotations__ = {"request": _instances(array), "return": dict[str, Any]}
    members = {"predict": predict, "model": module}
    members["__doc__"] = f"{type(module).__name__}: its forward pass."
    return type(type(module).__name__, (), members)()


def _request(estimator: Any) -> Any:
    """{"instances": rows}; a row is a list of so many numbers, or an object of named ones."""
    count = getattr(estimator, "n_features_in_", None)
    row: Any = list[Any] if count is None else Annotated[list[Any], Len(count, count)]
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        fields: Any = {f"f{i}": (Any, _named(str(name))) for i, name in enumerate(names)}
        row = row | create_model("Row", __config__=ConfigDict(extra="forbid"), **fields)
    elif count is not None:
        row = Annotated[list[float], Len(count, count)]
    return _instances(list[row])


def _named(name: str) -> Any:
    from pydantic import Field

    return Field(alias=name)


def _instances(tp: Any) -> Any:
    from typing_extensions import TypedDict

    return TypedDict("Instances", {"instances": tp})  # type: ignore[misc]


def _table(estimator: Any, request: Any) -> Any:
    """Rows as the estimator was fitted on: a frame with its names, else an array."""
    names = getattr(estimator, "feature_names_in_", None)
    rows = request["instances"]
    if names is None:
        return np.asarray(rows)
    values = [
        row if isinstance(row, list) else [getattr(row, f"f{i}") for i in range(len(names))]
        for row in rows
    ]
    pandas = sys.modules.get("pandas")
    return pandas.DataFrame(values, columns=names) if pandas else np.asarray(values)


def _called(method: Any, given: Any) -> Any:
    try:
        return method(given)
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        # What a fitted model says of its input is for whoever sent it.
        first = str(error).strip().split("\n")[0]
        raise HttpError(400, "invalid_input", f"instances: {first}", field="instances") from error


def _looks_up(module: Any) -> bool:
    """Does the input go to an embedding first? Then it is ids."""
    children = [m for m in module.modules() if not list(m.children())]
    return bool(children) and type(children[0]).__name__ == "Embedding"


def _library(module: Any) -> tuple[Any, Any]:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(module, torch.nn.Module):
        return torch.from_numpy, torch.inference_mode
    import descent

    return descent.tensor, getattr(descent, "no_grad", contextlib.nullcontext)

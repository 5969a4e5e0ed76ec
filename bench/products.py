"""Matrix products of GPT-2's shapes at 1 to 512 rows: float32, bf16, bytes, beside PyTorch's.

Weights are packed beforehand on both sides (PyTorch holds them as [n, k] in their narrow type; its
left sides are narrow already and its bf16 results stay so, while ours come and go as float32 and
are rounded inside the time). Bytes are held against PyTorch's bf16 (oneDNN); its own product of
bytes, which gives whole sums and leaves scales to others, stands beside. Numbers are whole and
every row and column holds 127, so that bytes are exact; the "loss" is one number of the result.
"""

from __future__ import annotations

import numpy as np

from bench.compare import Bar
from bench.race import Work
from bench.sides.process import Side
from bench.sides.stepping import Data, Run

__all__ = ["WORKS"]

SHAPES = ((768, 2304), (768, 768), (768, 3072), (3072, 768), (768, 50257))
ROWS = (1, 8, 32, 128, 256, 512)


def _operands(data: Data) -> tuple[np.ndarray, np.ndarray]:
    m, k, n = (int(size) for size in data["sizes"])
    rng = np.random.default_rng(k + n)
    a, b = (rng.integers(-127, 128, size).astype(np.float32) for size in ((m, k), (k, n)))
    for x in (a, b):
        x[:, 0], x[0] = 127, 127
    return a, b


def _ours(kind: str, data: Data) -> Run:
    from descent.ops.packed import Packed

    a, b = _operands(data)
    product = Packed(b, kind)

    def run(times: int) -> float:
        y = a
        for _ in range(times):
            y = product(a)
        return float(y[-1, -1])

    return run


def _torch(kind: str, data: Data) -> Run:
    import torch

    torch.set_num_threads(2)
    dtype = {"float32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}[kind]
    a, b = _operands(data)
    x, w = torch.from_numpy(a).to(dtype), torch.from_numpy(b.T.copy()).to(dtype)

    def run(times: int) -> float:
        y = x
        with torch.inference_mode():
            for _ in range(times):
                y = torch._int_mm(x, w.t()) if kind == "int8" else torch.nn.functional.linear(x, w)
        return float(y[-1, -1])

    return run


def descent_float32(data: Data) -> Run:
    return _ours("float32", data)


def torch_float32(data: Data) -> Run:
    return _torch("float32", data)


def descent_bf16(data: Data) -> Run:
    return _ours("bf16", data)


def torch_bf16(data: Data) -> Run:
    return _torch("bf16", data)


def descent_int8(data: Data) -> Run:
    return _ours("int8", data)


def torch_int8(data: Data) -> Run:
    return _torch("int8", data)


def _work(kind: str, m: int, k: int, n: int) -> Work:
    peer = "float32" if kind == "float32" else "bf16"
    sides = [
        Side("descent", f"bench.products:descent_{kind}"),
        Side("torch eager", f"bench.products:torch_{peer}"),
    ]
    if kind == "int8" and m > 16:  # torch._int_mm wants more rows
        sides.append(Side("torch int8", "bench.products:torch_int8"))
    return Work(
        f"{kind} product, {m} × {k} · {k} × {n}",
        lambda: {"sizes": np.array([m, k, n])},
        tuple(sides),
        steps=max(1, int(2e10 / (2 * m * k * n + 4 * k * n))),
        check=2,
        bars=(Bar(1, ("torch eager",)),),
        agree_to=1e-4 if kind == "float32" else 1e-2,  # PyTorch's bf16 results are rounded
    )


WORKS = tuple(
    _work(kind, m, k, n)
    for kind in ("bf16", "int8", "float32")
    for k, n in (SHAPES[:1] if kind == "float32" else SHAPES)
    for m in ROWS
    if m * n <= 128 * 50257
)

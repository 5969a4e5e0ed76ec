"""Matrix products of GPT-2's shapes at 1 to 512 rows: float32, bf16, bytes, beside PyTorch's.

Weights are packed beforehand on both sides (PyTorch holds them as [n, k] in their narrow type; its
left sides are narrow already and its bf16 results stay so, while ours come and go as float32 and
are rounded inside the time). Numbers are whole and every row and column holds 127, so that bytes
are exact on both sides; the "loss" is one number of the result.
"""

from __future__ import annotations

from typing import Any

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
    from descent.ops import amx, amx_trial, bf16, int8, tiles
    from descent.ops.tiled import over_blocks

    a, b = _operands(data)
    (m, k), n, flat = a.shape, b.shape[1], b.ravel()
    count = -(-n // tiles.WIDTH)
    module: Any = {"float32": tiles, "bf16": bf16, "int8": int8}[kind]
    panels = np.empty(module.panels_size(k, n), np.float32 if kind == "float32" else np.int32)
    weight: tuple[np.ndarray, ...] = (panels,)
    if kind == "int8":
        wide = count * tiles.WIDTH
        weight += (np.empty(wide, np.float32), np.empty(wide, np.int32))
        int8.pack(flat, n, 1, k, n, *weight, 0, count, False)
    else:
        module.pack(flat, n, 1, k, n, panels, 0, count)
    product = module.product
    if kind != "float32" and amx_trial.usable():
        product = amx.product if kind == "bf16" else amx.product_of_bytes
    y, line = np.empty(m * n, np.float32), a.ravel()

    def part(*block: int) -> None:
        product(line, k, 1, *weight, k, n, y, n, *block, tiles.PLAIN, line)

    def run(times: int) -> float:
        for _ in range(times):
            over_blocks(m, n, k, part)
        return float(y[-1])

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
    return Work(
        f"{kind} product, {m} × {k} · {k} × {n}",
        lambda: {"sizes": np.array([m, k, n])},
        (
            Side("descent", f"bench.products:descent_{kind}"),
            Side("torch eager", f"bench.products:torch_{kind}"),
        ),
        steps=max(1, int(2e10 / (2 * m * k * n + 4 * k * n))),
        check=2,
        bars=(Bar(1, ("torch eager",)),),
        agree_to=1e-2 if kind == "bf16" else 1e-4,  # PyTorch's bf16 results are rounded
    )


WORKS = tuple(
    _work(kind, m, k, n)
    for kind in ("bf16", "int8", "float32")
    for k, n in (SHAPES[:1] if kind == "float32" else SHAPES)
    for m in ROWS
    if m * n <= 128 * 50257 and not (kind == "int8" and m <= 16)  # torch._int_mm wants more rows
)

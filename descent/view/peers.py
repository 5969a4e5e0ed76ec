"""PyTorch timed beside us, in a process of its own: the package never imports it.

The child gets a line of JSON for every case, {"call", "shapes"}, and answers with its median
seconds. A call is one of the expressions below, with x, w, b … normal tensors of those shapes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from descent.threads import n_threads

__all__ = ["TorchPeer"]

CALLS = {
    "softmax": "torch.softmax(x, -1)",
    "log_softmax": "torch.log_softmax(x, -1)",
    "cross_entropy": "F.cross_entropy(x, ids, reduction='none')",
    "layer_norm": "F.layer_norm(x, x.shape[1:], w, b)",
    "rms_norm": "F.rms_norm(x, x.shape[1:], w)",
    "attention": "F.scaled_dot_product_attention(x, w, b, is_causal=True)",
    "matmul": "x @ w",
    "mm": "x @ w",
    "linear": "F.linear(x, w)",
    "affine": "F.linear(x, w, b)",
    "conv": "F.conv2d(x.view(x.shape[0], x.shape[2], round(x.shape[3]**.5), -1), "
    "w.view(w.shape[1], w.shape[2], round(w.shape[3]**.5), -1))",
    "gelu": "F.gelu(x)",
    "gelu_tanh": "F.gelu(x, approximate='tanh')",
    "div": "x / w",
    "pow_": "x ** w",
    **{f: f"torch.{f}(x, -1)" for f in ("sum", "mean", "prod", "amax", "amin", "argmax", "argmin")},
    **{f: f"torch.{f}(x, -1)" for f in ("logsumexp", "var", "std", "cumsum", "cumprod")},
    **{f: f"torch.{f}(x)" for f in ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p")},
    **{f: f"torch.{f}(x)" for f in ("tanh", "sigmoid", "sin", "cos", "erf", "sqrt", "rsqrt")},
    **{f: f"F.{f}(x)" for f in ("silu", "mish", "relu", "softplus", "elu", "logsigmoid")},
    **{f: f"torch.{f}(x, w)" for f in ("add", "sub", "mul", "maximum", "minimum")},
}
CHILD = """
import json, statistics, sys, time
try:
    import torch, torch.nn.functional as F
except ImportError:
    print("missing", flush=True), sys.exit()
torch.set_num_threads(int(sys.argv[1]))
print(torch.__version__, flush=True)
for line in sys.stdin:
    case = json.loads(line)
    torch.manual_seed(0)
    names = {n: torch.randn(s) for n, s in zip("xwbz", case["shapes"])}
    if "ids" in case["call"]:
        names["ids"] = torch.randint(0, case["shapes"][0][1], case["shapes"][1])
    call = compile(case["call"], "call", "eval")
    names.update(torch=torch, F=F)
    times, began = [], time.perf_counter()
    with torch.no_grad():
        eval(call, names)
        while len(times) < 11 and (len(times) < 3 or time.perf_counter() - began < 0.4):
            start = time.perf_counter()
            eval(call, names)
            times.append(time.perf_counter() - start)
    print(json.dumps(statistics.median(times)), flush=True)
"""


class TorchPeer:
    """A context in which PyTorch can be asked for its time; without it, every answer is None."""

    def __init__(self, wanted: bool = True) -> None:
        self.note = "PyTorch was not asked for"
        self.process: subprocess.Popen[str] | None = None
        self.known: dict[Any, float] = {}
        if wanted:
            command = [sys.executable, "-c", CHILD, str(n_threads())]
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
            said = self._line()
            self.note = f"PyTorch {said}, {n_threads()} threads, forward without a tape"
            if said == "missing":
                self.note = "PyTorch is not installed: no column for it"
                self.close()

    def seconds(self, op: str, shapes: Sequence[Sequence[int]]) -> float | None:
        """PyTorch's median time for the op on inputs of these shapes; None where it has none."""
        if self.process is None or op not in CALLS or self.process.stdin is None:
            return None
        key = (op, tuple(shapes))
        if key not in self.known:
            print(json.dumps({"call": CALLS[op], "shapes": shapes}), file=self.process.stdin)
            self.process.stdin.flush()
            self.known[key] = float(self._line())
        return self.known[key]

    def _line(self) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        """End the child."""
        if self.process is not None:
            self.process.communicate()
            self.process = None

    def __enter__(self) -> TorchPeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

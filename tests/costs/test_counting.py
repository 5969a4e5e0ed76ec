"""Operations and bytes, against counts done by hand."""

import numpy as np
import pytest

import descent as dc
from descent import nn, optim
from descent.costs import Machine, Work, model_work, profile
from descent.costs.loops import Uncountable, count_operations
from descent.costs.machine import Bandwidth
from descent.costs.work import update_parts
from descent.models.building import build
from descent.nn import functional as F
from descent.op import Op
from descent.view.ops import all_ops

MACHINE = Machine("a test", 1, 100.0, "none", (Bandwidth(1 << 20, 50.0, 50.0),), {})


def report_of(model, forward, parts=()):
    return profile(Work("test", model, forward, parts, tokens=1), seconds=0.01, machine=MACHINE)


def costs(report, op, phase="forward"):
    found = [e for e in report.entries if e.op == op and e.phase == phase]
    assert found, f"no {phase} of {op}"
    return sum(e.operations for e in found), sum(e.bytes for e in found)


B, IN, OUT = 8, 24, 40


@pytest.fixture(scope="module")
def linear_report():
    layer = nn.Linear(IN, OUT, bias=False)
    x = dc.randn(B, IN, requires_grad=True)
    sgd = optim.SGD([*layer.parameters(), x], lr=0.1)
    return report_of(layer, lambda: layer(x).sum(), update_parts(layer, sgd, None))


def test_linear_forward_and_backward(linear_report):
    assert costs(linear_report, "linear") == (2 * B * IN * OUT, 4 * (B * IN + IN * OUT + B * OUT))
    operations, n_bytes = costs(linear_report, "linear", "backward")
    assert operations == 2 * (2 * B * IN * OUT)
    x, w, dy = B * IN, IN * OUT, B * OUT
    assert n_bytes == 4 * (x + w + dy + x + w)  # reads x, w, dy; writes dx, dw


def test_the_path_and_the_phases(linear_report):
    assert [r.name for r in linear_report.phases()] == ["forward", "backward", "update"]
    assert {e.phase for e in linear_report.entries if e.op == "SGD"} == {"update"}


def test_an_add_moves_three_arrays_and_a_broadcast_operand_only_itself():
    class Adds(nn.Module):
        def forward(self, a, b, c):
            return (a + b) + c

    model, (a, b, c) = Adds(), (dc.randn(64, 32), dc.randn(64, 32), dc.randn(32))
    adds = [e for e in report_of(model, lambda: model(a, b, c)).entries if e.op == "add"]
    full = 4 * 64 * 32
    assert [(e.operations, e.bytes) for e in adds] == [
        (64 * 32, 3 * full),
        (64 * 32, 2 * full + 4 * 32),
    ]


def test_views_cost_nothing_and_copies_read_and_write():
    class Moves(nn.Module):
        def forward(self, x):
            return x.transpose(0, 1).reshape(-1)

    model, x = Moves(), dc.randn(16, 32)
    entries = report_of(model, lambda: model(x)).entries
    assert [e.bytes for e in entries] == [0, 2 * 4 * 16 * 32]
    assert all(e.operations == 0 for e in entries)


def test_an_elementwise_op_is_counted_in_its_scalar_source():
    class Silu(nn.Module):
        def forward(self, x):
            return F.relu(x) * x

    model, x = Silu(), dc.randn(10, 10)
    report = report_of(model, lambda: model(x))
    assert costs(report, "mul")[0] == 100
    assert costs(report, "relu")[0] == 100  # one comparison (or maximum) each


def test_causal_attention_is_half_of_full_attention():
    class Attends(nn.Module):
        def __init__(self, causal):
            super().__init__()
            self.causal = causal

        def forward(self, q):
            return F.scaled_dot_product_attention(q, q, q, is_causal=self.causal)

    q = dc.randn(1, 2, 128, 16)
    full, causal = (
        costs(report_of(m, lambda m=m: m(q)), "attention")[0]
        for m in (Attends(False), Attends(True))
    )
    assert full == 2 * 2 * 128 * 128 * (16 + 16)
    assert 0.5 <= causal / full < 0.6


def gpt_work(batch=4, block=32, **sizes):
    config = {"vocab_size": 50, "block_size": block, "n_layer": 2, "n_head": 2, "n_embd": 64}
    model = build("gpt", {**config, **sizes})
    ids = np.random.default_rng(0).integers(0, 50, (batch, block + 1))
    return model_work(
        "gpt", model, lambda: (ids[:, :-1], ids[:, 1:]),
        optimizer=optim.AdamW(model.parameters()), clip=1.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def gpt():
    work = gpt_work()
    return work, profile(work, seconds=0.01, machine=MACHINE)


def test_a_gpt_step_is_six_operations_per_weight_and_token(gpt):
    work, report = gpt
    products = sum(
        e.operations for e in report.entries if e.op in ("linear", "affine", "attention")
    )
    rule = work.model.flops_per_token() * work.tokens  # 6 N + 12 L C T, which counts all of T
    assert products == pytest.approx(rule, rel=0.06)
    assert report.operations < 1.2 * rule


def test_every_block_is_named_and_blocks_are_taken_together(gpt):
    _, report = gpt
    paths = {e.path for e in report.entries if e.op == "affine" and e.phase == "backward"}
    assert {"h.0.attn.c_attn", "h.1.mlp.c_proj"} <= paths
    rows = {(r.name, r.phase): r for r in report.by_layer()}
    assert rows["h.*.mlp.c_fc", "forward"].operations == 2 * 2 * 4 * 32 * 64 * 256


def test_sums_agree(gpt):
    _, report = gpt
    for rows in (report.by_op(), report.by_layer(), report.phases()):
        assert sum(r.operations for r in rows) == pytest.approx(report.operations)
        assert sum(r.calls for r in rows) == len(report.entries)
    assert report.mfu == pytest.approx(report.operations / (report.step_s * 1e11))
    assert report.floor_s == pytest.approx(sum(e.floor_s for e in report.entries))


def test_adamw_reads_and_writes_seven_arrays(gpt):
    work, report = gpt
    n = sum(p.numel() for p in work.model.parameters())
    assert costs(report, "AdamW", "update")[1] == 7 * 4 * n


def test_accumulated_batches_are_counted_each(gpt):
    import dataclasses

    work, once = gpt
    twice = profile(dataclasses.replace(work, accumulate=2), seconds=0.01, machine=MACHINE)
    forward, doubled = (
        sum(e.operations for e in r.entries if e.op == "affine") for r in (once, twice)
    )
    assert doubled == 2 * forward


def test_the_floor_is_the_slower_of_arithmetic_and_traffic():
    assert MACHINE.floor_s(1e9, 0) == pytest.approx(1e9 / 1e11)
    assert MACHINE.floor_s(1, 1 << 20) == pytest.approx((1 << 20) / 50e9)


# -- the counting itself ---------------------------------------------------------------------


def triangle(x, y):
    for i in range(x.shape[0]):
        for j in range(i + 1):
            y[i] += x[i, j] * x[j, i]


def dot(x, w, y):
    n = x.shape[1]
    for r in range(x.shape[0]):
        total = x[r, 0] * w[0] if n else 0.0
        for k in range(1, n):
            total += x[r, k] * w[k]
        y[r] = total


def bounded(x, limit, y):
    for r in range(x.shape[0]):
        for c in range(limit[r]):
            y[r] += np.exp(-x[r, c])


def endless(x, y):
    while x[0] > 0:
        x[0] -= 1


def branches(x):
    if x > 0:
        return x * x + x
    return -x


def test_counts_of_loops():
    assert count_operations(triangle, {"x": (10, 10), "y": (10,)}) == 2 * 55
    assert count_operations(dot, {"x": (3, 7), "w": (7,), "y": (3,)}) == 2 * 3 * 7
    known = {"x": (4, 9), "limit": np.array([1, 2, 3, 4]), "y": (4,)}
    assert count_operations(bounded, known) == 3 * 10  # exp, minus, plus
    assert count_operations(branches, {}) == 3  # the comparison and the dearer branch
    with pytest.raises(Uncountable):
        count_operations(endless, {"x": (1,), "y": (1,)})


def test_the_loops_and_the_declared_operations_agree():
    """An independent check of either: every op that declares `flops=` and loops over its axes."""
    checked = 0
    for op in all_ops().values():
        if not isinstance(op, Op) or op.flops is None:
            continue
        letters = sorted({k for o in op.axes.inputs for k in o.letters})
        sizes = {k: 17 + 3 * i for i, k in enumerate(letters)}
        operands = [*zip(op.inputs, op.axes.inputs), *zip(op.outputs, op.axes.outputs)]
        known = {n: tuple(sizes[k] for k in o.letters) for n, o in operands}
        try:
            counted = count_operations(op.ladder.loops.py, known)
        except Uncountable:
            continue
        factor = counted / op.flops(**sizes)
        least, most = (1, 1.02) if op.name in PRODUCTS else (0.6, 10)
        assert least <= factor <= most, f"{op.name}: loops {counted}, declared / {factor}"
        checked += 1
    assert checked >= 20


PRODUCTS = ("matmul", "mm", "linear", "affine", "conv")

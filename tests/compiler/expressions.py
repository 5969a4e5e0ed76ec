"""Expressions of tensors, each with the shapes of its inputs: what a compiled step must get right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import descent as dc
from descent.nn import functional as F

__all__ = ["CASES", "step_of"]

CASES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...], dict[str, Any]]] = {}


def case(name: str, fn: Callable[..., Any], *shapes: tuple[int, ...], **options: Any) -> None:
    CASES[name] = (fn, shapes, options)


def chain(a):
    for _ in range(40):
        a = a * 1.01 + 0.1
    return a


def step_of(names: list[str]) -> Callable[[Any], Any]:
    """A builder for `beside`: one step that computes all of these and walks back."""

    def build(step: Any) -> Any:
        cases = [CASES[n] for n in names]
        leaves = [[_random(s, o) for s in shapes] for _, shapes, o in cases]
        given = [[_random(s, o).detach() for s in shapes] for _, shapes, o in cases]

        @step
        def run(*inputs):
            found, loss = [], 0
            for (fn, shapes, options), ps in zip(cases, leaves):
                xs, inputs = inputs[: len(shapes)], inputs[len(shapes) :]
                for p in ps:
                    p.grad = None
                if not options.get("grad", True):
                    found.append(fn(*xs))
                    continue
                y = fn(*(p * x for p, x in zip(ps, xs)))
                ys = y if isinstance(y, (tuple, list)) else [y]
                found.append(list(ys))
                loss = loss + sum((o * o.detach().cos()).sum() + o.sum() for o in ys)
            if any(o.get("grad", True) for _, _, o in cases):
                loss.backward()
            return found

        return (lambda i: run(*(x + i for xs in given for x in xs))), leaves

    return build


def _random(shape: tuple[int, ...], options: dict[str, Any]) -> Any:
    x = dc.randn(*shape).to(options.get("dtype", dc.float32))
    return x.requires_grad_(options.get("grad", True))


case("t", lambda a, b: (a.t() * b).sum(0), (3, 4), (4, 3))
case("flip", lambda a: a.flip(0) * a, (5, 4))
case("flip_mm", lambda a, b: a.flip(1) @ b.flip(0), (5, 4), (4, 6))
case("flip_sum", lambda a: a.flip(0, 1).sum(1), (5, 4))
case("neg_prod_bat", lambda a, b: a.flip(0) @ b, (3, 5, 4), (3, 4, 2))
case("slice_step", lambda a: a[1::2, ::3] * 2, (6, 7))
case("slice_mm", lambda a, b: a[::2, 1::2] @ b[1:4:2], (6, 5), (5, 3))
case("expand2", lambda a, b: a.expand(4, 3) * b, (1, 3), (4, 3))
case("select", lambda a: a[2] + a[:, 1][:4], (5, 4))
case("unbind", lambda a: sum(x * (i + 1) for i, x in enumerate(a.unbind(1))), (3, 4))
case("split", lambda a: [(x * 0.3).exp() for x in a.split(2, 1)], (3, 5))
case(
    "catstack",
    lambda a, b: dc.cat([a, b * 2, a], 1) @ dc.stack([a[0], b[0]], 1).repeat(3, 1),
    (3, 4),
    (3, 4),
)
case("reduce1", lambda a: a.sum((0, 2)), (3, 4, 5))
case("reduce2", lambda a: a.mean((1,), keepdim=True) - a, (3, 4, 5))
case("reduce3", lambda a: a.mean(), (3, 4, 5))
case("reduce4", lambda a: a.max(1)[0], (3, 4))
case("amax", lambda a: a.amax(0), (3, 4))
case("var", lambda a: a.var(0), (3, 4))
case("std", lambda a: a.std(1, keepdim=True), (3, 4))
case("normp", lambda a: a.norm(), (3, 4))
case("norm1", lambda a: a.norm(dim=1), (3, 4))
case("dot", lambda a, b: a @ b, (5,), (5,))
case("mv", lambda a, b: a @ b, (3, 5), (5,))
case("vm", lambda a, b: a @ b, (3,), (3, 5))
case("bmm_bcast", lambda a, b: a @ b, (2, 1, 3, 4), (5, 4, 2))
case("bmm_t", lambda a, b: a.transpose(1, 2) @ b, (2, 4, 3), (2, 4, 2))
case("mmT", lambda a, b: a.T @ b.T, (4, 3), (2, 4))
case("mm1", lambda a, b: a @ b, (1, 1), (1, 1))
case("mm_big", lambda a, b: a @ b, (70, 33), (33, 50))
case("mm_col", lambda a, b: a @ b, (9, 1), (1, 7))
case("outer", lambda a, b: dc.outer(a, b), (3,), (4,))
case("einsum", lambda a, b: dc.einsum("bij,bkj->bik", a, b), (2, 3, 4), (2, 5, 4))
case("softmax0", lambda a: F.softmax(a, 0), (3, 4))
case("logsm", lambda a: F.log_softmax(a, 1), (3, 4, 2))
case("softmaxT", lambda a: F.softmax(a.T, -1) @ a, (3, 4))
case("lnorm", lambda a, w, b: F.layer_norm(a, (4,), w, b), (3, 4), (4,), (4,))
case("where", lambda a, b: dc.where(a > 0, a, b * 2), (3, 4), (4,))
case("masked_fill", lambda a: a.masked_fill(a > 0.5, -3.0), (3, 4))
case("triu", lambda a: a.triu(1) + a.tril(), (4, 4))
case("clamp", lambda a: a.clamp(-0.5, 0.5), (3, 4))
case("clampmin", lambda a: a.clamp(min=0.1) ** 2, (3, 4))
case("pow3", lambda a: a**3, (3, 4))
case("powhalf", lambda a: (a * a + 1) ** 0.5, (3, 4))
case("powneg", lambda a: (a * a + 1) ** -1.5, (3, 4))
case("rpow", lambda a: 2**a, (3, 4))
case("powt", lambda a, b: (a * a + 1) ** b, (3, 4), (4,))
case("div", lambda a, b: a / (b * b + 1), (3, 4), (3, 1))
case("rdiv", lambda a: 1 / (a * a + 1) - 3, (3, 4))
case("logs", lambda a: (a * a + 1).log() + (a * a).log1p() + a.expm1(), (3, 4))
case(
    "acts",
    lambda a: (
        F.gelu(a)
        + F.silu(a)
        + F.relu(a)
        + a.tanh()
        + a.sigmoid()
        + F.elu(a)
        + F.leaky_relu(a, 0.2)
        + F.softplus(a)
    ),
    (3, 4),
)
case("gelut", lambda a: F.gelu(a, approximate="tanh"), (3, 4))
case("trig", lambda a: a.sin() + a.cos() + a.atan() + a.sinh(), (3, 4))
case("round", lambda a: a.floor() + a.ceil() + a.round() + a.sign() + a.trunc() + a * 1.0, (3, 4))
case("abs", lambda a: a.abs().sqrt() + a.square(), (3, 4))
case("erf", lambda a: a.erf(), (3, 4))
case("minmax", lambda a, b: dc.minimum(a, b) + dc.maximum(a, b) * 2, (3, 4), (3, 4))
case("float64", lambda a, b: (a @ b).softmax(0), (3, 4), (4, 3), dtype=dc.float64, rtol=1e-10)
case("f64_mix", lambda a: (a.double() * 1.5).float() * a, (3, 4))
case("int_round", lambda a: (a * 3).int().float() * a, (3, 4))
case("int_long", lambda a: ((a * 3).long() // 2).float() * a, (3, 4))
case("bool_cast", lambda a: a.gt(0).float() * a + a.bool().float(), (3, 4))
case("bool_and", lambda a: ((a > 0) & (a < 1)).float() * a + (~(a > 0)).float(), (3, 4))
case("uint8", lambda a: ((a.abs() * 100).to(dc.uint8) * 3).float() + a, (3, 4))
case("intsum", lambda a: (a * 10).long().sum().float() * a, (3, 4))
case("boolsum", lambda a: (a > 0).sum(1).float() * a[:, 0], (3, 4))
case("boolmean", lambda a: (a > 0).float().mean() * a, (3, 4))
case("int_div", lambda a: ((a * 10).long() / 4) * a, (3, 4))
case("int_mod", lambda a: ((a * 10).long() % 4).float() * a, (3, 4))
case("mod", lambda a: a % 0.7, (3, 4))
case("fdiv", lambda a: (a // 0.7) * a, (3, 4))
case("int_pow", lambda a: ((a * 4).long() ** 2).float() * a, (3, 4))
case("allany", lambda a: (a > 0).all(1).float() * a[:, 0] + (a > 1).any(1).float(), (3, 4))
case("zerod", lambda a: a * a.sum() - a.mean() * 2, ())
case("zerod2", lambda a, b: a * b, (), (3, 4))
case("cumsum", lambda a: a.cumsum(1), (3, 4))
case("prod", lambda a: a.prod(1), (3, 4))
case("argmax", lambda a: a[dc.arange(3), a.argmax(1)] * 2, (3, 4))
case("sort", lambda a: a.sort(1)[0] * dc.arange(4).float(), (3, 4), refused=None)
case("topk", lambda a: a.topk(2, 1)[0] * dc.arange(2).float(), (3, 4), refused=None)
case("gather", lambda a: a.gather(1, dc.tensor([[0, 1], [2, 2], [3, 0]])), (3, 4))
case("index_neg", lambda a: a[dc.tensor([-1, 0, 0, -2])] * a[0], (3, 4))
case("index2", lambda a: a[dc.tensor([0, 2]), dc.tensor([1, 1])], (3, 4))
case("index_col", lambda a: a[:, dc.tensor([0, 2, 2])], (3, 4))
case("index_mask", lambda a: a[dc.tensor([True, False, True])], (3, 4))
case("index_select", lambda a: a.index_select(1, dc.tensor([3, 0, 0])), (3, 4))
case(
    "take_along",
    lambda a: dc.take_along_dim(a, dc.tensor([[0], [2], [1]]), 1),
    (3, 4),
    refused=None,
)
case("roll", lambda a: a.roll(1, 0) * a, (3, 4))
case("diag", lambda a: a.diagonal() * 2, (4, 4))
case("unfold", lambda a: a.unfold(0, 3, 1).sum(1), (6,))
case(
    "view_chain",
    lambda a: a.view(2, 3, 4).permute(2, 0, 1).reshape(4, 6).T.contiguous().view(3, 8) * 2,
    (6, 4),
)
case("conv1", lambda a, w: F.conv1d(a, w, padding=1), (2, 3, 7), (4, 3, 3))
case(
    "conv2",
    lambda a, w, b: F.conv2d(a, w, b, stride=2, padding=1),
    (2, 3, 6, 6),
    (4, 3, 3, 3),
    (4,),
)
case("pool", lambda a: F.max_pool2d(a, 2) + F.avg_pool2d(a, 2), (2, 3, 6, 6))
case(
    "attn",
    lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    (2, 2, 5, 4),
    (2, 2, 5, 4),
    (2, 2, 5, 4),
)
case("ellipsis", lambda a: a[..., :2] * a[..., 1:3] - a[0, ..., 3:], (2, 3, 4))
case("rotary", F.rotary, (2, 5, 3, 4), (5, 2), (5, 2))
case(
    "attn_mask",
    lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=dc.ones(5, 5).tril().bool()),
    (2, 2, 5, 4),
    (2, 2, 5, 4),
    (2, 2, 5, 4),
    refused=None,
)
case("logsumexp", lambda a: a.logsumexp(1), (3, 4))
case("bce", lambda a: F.binary_cross_entropy_with_logits(a, (a.detach() > 0).float()), (3, 4))
case(
    "mse", lambda a, b: F.mse_loss(a, b) + F.l1_loss(a, b) + F.smooth_l1_loss(a, b), (3, 4), (3, 4)
)
case("cos_sim", lambda a, b: F.cosine_similarity(a, b), (3, 4), (3, 4))
case("normalize", lambda a: F.normalize(a, dim=1), (3, 4))
case("big_sum", lambda a: a.sum() * 1e-3 + a.mean(0), (3000, 3))
case("chain_long", lambda a: chain(a), (7, 5))
case("detach", lambda a: a * a.detach() + (a * 2).detach(), (3, 4))
case("self_twice", lambda a: a * a + a @ a, (4, 4))
case("same_strided", lambda a: a[:, ::2] * a[:, 1::2] + a[::3, :1], (3, 4))
case("nan", lambda a: (a - 0.5).log().exp() + a.sqrt(), (3, 4))
case("inf", lambda a: dc.where(a > 0, a / 0.0, a).clamp(max=3.0), (3, 4))
case(
    "outerb",
    lambda a, b: (a[:, None] * b[None, :]).sum(0) + a.unsqueeze(1).expand(3, 4).mean(0),
    (3,),
    (4,),
)
case("zerosize", lambda a: a[:0].sum() + a.sum(), (3, 4), refused=None)
case("zerosize2", lambda a: dc.cat([a[:0], a]) * 2, (3, 4), refused=None)
case("zerosize3", lambda a: a[:0] * 2, (3, 4), refused=None)
case("mm_zero", lambda a: a[:, :0] @ a[:0].reshape(0, 4), (3, 4), refused=None)
case("nograd_mm", lambda a, b: a @ b + 1, (3, 4), (4, 2), grad=False)
case("add_scalar_int", lambda a: (a * 4).long() + 1.5 + a, (3, 4))
case("bool_mul", lambda a: a * (a > 0) + (a > 0) * 2, (3, 4))
case("rsub", lambda a: 5 - a, (3, 4))
case(
    "tensor_const",
    lambda a: (
        a * dc.tensor([1.0, 2.0, 3.0, 4.0])
        + dc.tensor(2.0)
        + dc.arange(4)
        + dc.zeros(3, 1)
        + dc.eye(4)[:3]
    ),
    (3, 4),
)
case("amax_nan", lambda a: (a.log() * 1).amax(1) + a.log().amin(), (3, 4))
case("max_int", lambda a: (a * 4).long().max() + (a * 4).long().amin(1), (3, 4))
case("logsumexp_inf", lambda a: (a.log()).logsumexp(0), (3, 4))
case("all_nd", lambda a: (a > 0).all() * a + (a > 5).any() * a, (3, 4))
case("take_f", lambda a: a.take(dc.tensor([0, 5, 5])) * 2, (3, 4), refused=None)
case(
    "pad",
    lambda a: F.pad(a, (1, 2), value=0.5) + F.pad(a, (0, 3, -1, 1))[:, :7],
    (3, 4),
    refused=None,
)
case("tile", lambda a: a.repeat(2, 3) + a.repeat(2, 1, 1)[0].repeat(2, 3), (3, 4))

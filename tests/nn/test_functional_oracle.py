"""nn.functional against PyTorch where OpInfo's samples do not reach; same seeds, same masks."""

import numpy as np
import pytest

import descent
import descent.nn.functional as F

pytestmark = pytest.mark.oracle
rng = np.random.default_rng(0)


def n(*shape):
    return rng.standard_normal(shape)


def agree(fn, *arrays, dtype=np.float32):
    """Forward and every gradient of fn(library, functional, *tensors) equal PyTorch's."""
    import torch

    sides = []
    for lib, functional in ((torch, torch.nn.functional), (descent, F)):
        given = [lib.tensor(a.astype(dtype) if a.dtype.kind == "f" else a) for a in arrays]
        for t, a in zip(given, arrays):
            t.requires_grad_(a.dtype.kind == "f")
        lib.manual_seed(3)
        y = fn(lib, functional, *given)
        dy = np.random.default_rng(1).standard_normal(tuple(y.shape)).astype(dtype)
        y.backward(lib.tensor(dy))
        sides.append([y.detach().numpy()] + [t.grad.numpy() for t in given if t.grad is not None])
    tolerance = 1e-5 if dtype == np.float32 else 1e-11
    assert len(sides[0]) == len(sides[1])
    for theirs, ours in zip(*sides):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


TARGETS = np.array([[0, 4], [3, 1], [2, 2], [1, 0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy(dtype, reduction, smoothing, weighted):
    def loss(lib, functional, x, target, w):
        return functional.cross_entropy(
            x, target, w.detach() if weighted else None,
            ignore_index=2, reduction=reduction, label_smoothing=smoothing,
        )  # fmt: skip

    agree(loss, n(4, 5, 2), TARGETS, rng.random(5), dtype=dtype)


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}, {"dropout_p": 0.3}])
def test_attention(options):
    agree(
        lambda lib, f, q, k, v: f.scaled_dot_product_attention(q, k, v, **options),
        n(2, 3, 6, 4), n(2, 3, 6, 4), n(2, 3, 6, 5),
    )  # fmt: skip


def test_attention_with_fewer_key_heads():
    agree(
        lambda lib, f, q, k, v: f.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        n(2, 4, 6, 4), n(2, 2, 7, 4), n(2, 2, 7, 5),
    )  # fmt: skip


def test_attention_of_a_query_that_sees_nothing():
    mask = rng.random((6, 7)) < 0.5
    mask[1] = False
    agree(
        lambda lib, f, q, k, v, m: f.scaled_dot_product_attention(q, k, v, attn_mask=m),
        n(2, 6, 4), n(2, 7, 4), n(2, 7, 5), mask,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout"])
def test_dropout_of_a_transposed_tensor_draws_in_memory_order(name):
    agree(lambda lib, f, x: getattr(f, name)(x.transpose(0, 1), 0.3, True), n(40, 7))


def test_batch_norm_moves_its_running_statistics():
    import torch

    x, mean, var = (a.astype(np.float32) for a in (n(8, 3, 5), n(3), rng.random(3)))
    theirs, ours = [[lib.tensor(a) for a in (x, mean, var)] for lib in (torch, descent)]
    torch.nn.functional.batch_norm(*theirs, training=True, momentum=0.2)
    F.batch_norm(*ours, training=True, momentum=0.2)
    for a, b in zip(theirs[1:], ours[1:]):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-5)


EQUATIONS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("iij->j", (3, 3, 2)),
    ("a,b->ba", (2,), (3,)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)),
    ("b...c,cd->b...d", (2, 3, 4, 5), (5, 6)),
    ("bn,anm,bm->ba", (2, 5), (3, 5, 4), (2, 4)),
    ("ijk->", (2, 3, 4)),
    ("ij,ij->ij", (1, 3), (2, 3)),
    ("bhtd,bhsd->bhts", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("...,...->...", (2, 3), (3,)),
]


@pytest.mark.parametrize("case", EQUATIONS, ids=lambda c: c[0])
def test_einsum(case):
    equation, *shapes = case
    agree(lambda lib, f, *xs: lib.einsum(equation, *xs), *(n(*s) for s in shapes), dtype=np.float64)


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((4, 2, 3), (3,)),
                                    ((3,), (4, 3, 2)), ((2, 1, 4, 3), (5, 3, 2))])  # fmt: skip
def test_matmul(shapes):
    agree(lambda lib, f, a, b: a @ b, *(n(*s) for s in shapes), dtype=np.float64)


def test_matmul_of_integers():
    import torch

    a, b = rng.integers(-9, 9, (2, 3)), rng.integers(-9, 9, (3, 4))
    ours = descent.tensor(a) @ descent.tensor(b)
    assert ours.tolist() == (torch.tensor(a) @ torch.tensor(b)).tolist()
    assert ours.dtype == descent.int64


ERRORS = [
    (lambda lib, f: lib.zeros(2, 3) @ lib.zeros(4, 2)),
    (lambda lib, f: lib.zeros(2, 3) @ lib.zeros(3, 2, dtype=lib.float64)),
    (lambda lib, f: lib.bmm(lib.zeros(2, 3, 3), lib.zeros(1, 3, 3))),
    (lambda lib, f: lib.dot(lib.zeros(2), lib.zeros(3))),
    (lambda lib, f: lib.einsum("ij,jk->ik", lib.zeros(2, 3), lib.zeros(4, 5))),
    (lambda lib, f: lib.einsum("ij->k", lib.zeros(2, 3))),
    (lambda lib, f: f.linear(lib.zeros(2, 3), lib.zeros(5, 4))),
    (lambda lib, f: f.embedding(lib.tensor([7]), lib.zeros(3, 2))),
    (lambda lib, f: f.embedding(lib.tensor([-1]), lib.zeros(3, 2))),
    (lambda lib, f: f.cross_entropy(lib.zeros(3, 2), lib.tensor([0, 1]))),
    (lambda lib, f: f.cross_entropy(lib.zeros(2, 2), lib.tensor([0, 2]))),
    (lambda lib, f: f.cross_entropy(lib.zeros(2, 2), lib.tensor([0, 1]), reduction="avg")),
    (lambda lib, f: f.layer_norm(lib.zeros(2, 3), (2,))),
    (lambda lib, f: f.dropout(lib.zeros(2), 1.5)),
    (lambda lib, f: f.batch_norm(lib.zeros(1, 3), None, None, training=True)),
    (lambda lib, f: f.one_hot(lib.tensor([3]), 3)),
    (lambda lib, f: f.binary_cross_entropy(lib.zeros(3) + 2, lib.zeros(3))),
    (lambda lib, f: f.conv1d(lib.zeros(1, 3, 8), lib.zeros(4, 2, 3))),
    (lambda lib, f: f.conv1d(lib.zeros(1, 2, 2), lib.zeros(4, 2, 3))),
    (lambda lib, f: f.max_pool1d(lib.zeros(1, 2, 4), 2, padding=2)),
    (lambda lib, f: f.pad(lib.zeros(1, 2, 4), (4, 0), mode="reflect")),
]


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_errors_are_of_pytorchs_type(number):
    import torch

    with pytest.raises(Exception) as theirs:  # noqa: PT011
        ERRORS[number](torch, torch.nn.functional)
    with pytest.raises(type(theirs.value)):
        ERRORS[number](descent, F)

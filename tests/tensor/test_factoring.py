"""Matrices: results compared with PyTorch, refusals in words."""

import numpy as np
import pytest
import torch

import descent

rng = np.random.default_rng(7)
SQUARE = rng.standard_normal((2, 4, 4))


@pytest.mark.oracle
@pytest.mark.parametrize("left", [True, False])
def test_solve_from_both_sides(left):
    b = rng.standard_normal((2, 4, 3) if left else (2, 3, 4))
    ours = descent.linalg.solve(descent.tensor(SQUARE), descent.tensor(b), left=left)
    theirs = torch.linalg.solve(torch.tensor(SQUARE), torch.tensor(b), left=left)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-9)


@pytest.mark.oracle
@pytest.mark.parametrize("ord", ["fro", "nuc", 2, -2, 1, -1, float("inf"), -float("inf")])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (2, 3, 4)])
def test_matrix_norms(ord, shape):
    x = rng.standard_normal(shape)
    a, b = descent.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    ours, theirs = descent.linalg.matrix_norm(a, ord), torch.linalg.matrix_norm(b, ord)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-10)
    ours.sum().backward()
    theirs.sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-8, atol=1e-12)


def test_inverse_and_powers():
    a = descent.tensor(SQUARE)
    np.testing.assert_allclose((a @ a.inverse()).numpy(), [np.eye(4)] * 2, atol=1e-12)
    np.testing.assert_allclose(a.matrix_power(3).numpy(), (a @ a @ a).numpy(), rtol=1e-10)
    sign, logabs = descent.linalg.slogdet(a)
    np.testing.assert_allclose((sign * logabs.exp()).numpy(), a.det().numpy(), rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: descent.linalg.inv(descent.zeros(2, 2)), descent.linalg.LinAlgError, "singular"),
        (lambda: descent.linalg.solve(descent.zeros(2, 2), descent.zeros(2)),
         descent.linalg.LinAlgError, "singular"),
        (lambda: descent.linalg.cholesky(descent.tensor([[1.0, 2], [2, 1]])),
         descent.linalg.LinAlgError, "positive-definite"),
        (lambda: descent.linalg.det(descent.zeros(2, 3)), RuntimeError, "2 by 3"),
        (lambda: descent.linalg.det(descent.zeros(2)), RuntimeError, "at least 2"),
        (lambda: descent.linalg.matrix_norm(descent.zeros(2, 2), 3), RuntimeError, "not supported"),
        (lambda: descent.linalg.norm(descent.zeros(2, 2, 2), 1), RuntimeError, "1D or 2D"),
    ],
)  # fmt: skip
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call()

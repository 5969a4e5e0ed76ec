"""Reading and writing by random indices of every kind: values, shapes and gradients as PyTorch's."""

import numpy as np
import pytest


def random_index(rng, shape):
    """A tuple of ints, slices, None, Ellipsis, index arrays and masks that fits the shape."""
    parts, d = [], 0
    length = int(rng.integers(1, 4))  # of all index arrays: they broadcast
    while d < len(shape):
        n = shape[d]
        kind = rng.choice(["int", "slice", "array", "two", "mask", "none", "rest", "list"])
        if kind == "int":
            parts.append(int(rng.integers(-n, n)))
        elif kind == "slice":
            ends = [None if rng.random() < 0.4 else int(rng.integers(-n, n + 1)) for _ in "ab"]
            parts.append(slice(*ends, None if rng.random() < 0.5 else int(rng.integers(1, 3))))
        elif kind == "array":
            parts.append(rng.integers(-n, n, length))
        elif kind == "two":
            parts.append(rng.integers(0, n, (2, length)))
        elif kind == "list":
            parts.append(rng.integers(0, n, length).tolist())
        elif kind == "mask":
            mask = np.zeros(n, bool)
            mask[rng.permutation(n)[:length]] = True
            parts.append(mask if n >= length else 0)
        elif kind == "none":
            parts.append(None)
            continue
        elif kind == "rest":
            break
        d += 1
    if d < len(shape) and rng.random() < 0.5:
        at = int(rng.integers(0, len(parts) + 1))
        if all(not isinstance(p, (np.ndarray, list)) for p in parts[at:]) or rng.random() < 0.5:
            parts.insert(at, Ellipsis)
    return tuple(parts)


def bring(index, T):
    made = []
    for p in index:
        if isinstance(p, np.ndarray):
            made.append(T.tensor(p))
        else:
            made.append(p)
    return tuple(made)


@pytest.mark.oracle
def test_random_indices_read_write_and_differentiate():
    import torch

    import descent

    rng = np.random.default_rng(11)
    seen = 0
    for _ in range(600):
        shape = tuple(rng.integers(1, 5, rng.integers(1, 5)).tolist())
        a = rng.standard_normal(shape).astype(np.float32)
        index = random_index(rng, shape)
        results = []
        for T in (torch, descent):
            try:
                results.append(read_and_write(T, a, index))
            except (IndexError, RuntimeError) as error:
                results.append(error)
        theirs, ours = results
        if isinstance(theirs, Exception):
            assert isinstance(ours, type(theirs)), (shape, index, theirs, ours)
            continue
        assert not isinstance(ours, Exception), (shape, index, ours)
        seen += 1
        for mine, right in zip(ours, theirs):
            assert mine.shape == right.shape, (shape, index)
            np.testing.assert_allclose(
                mine, right, rtol=1e-5, atol=1e-6, err_msg=f"{shape} {index}"
            )
    assert seen > 400


def read_and_write(T, a, index):
    x = T.tensor(a, requires_grad=True)
    i = bring(index, T)
    y = x[i]
    weights = T.arange(y.numel()).reshape(y.shape) + 1.0
    (y * weights).sum().backward()
    z = T.tensor(a, requires_grad=True)
    w = z * 2
    v = (T.arange(y.numel()).reshape(y.shape) + 1.0).requires_grad_()
    has_duplicates = any(not isinstance(p, (int, slice, type(None), type(...))) for p in index)
    w[i] = 3.0 if has_duplicates else v
    (w * w).sum().backward()
    found = [y.detach(), x.grad, w.detach(), z.grad]
    if not has_duplicates:
        found.append(v.grad)
    return [np.asarray(t) for t in found]


def test_index_gradient_is_a_sum_over_repeats():
    import descent

    rng = np.random.default_rng(0)
    table = descent.tensor(rng.standard_normal((50, 6)), requires_grad=True)
    ix = rng.integers(0, 50, (40, 8))
    dy = rng.standard_normal((40, 8, 6))
    (table[descent.tensor(ix)] * descent.tensor(dy)).sum().backward()
    expected = np.zeros((50, 6))
    np.add.at(expected, ix, dy)
    np.testing.assert_allclose(table.grad.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_a_mask_of_the_wrong_shape_says_which_axis():
    import descent

    with pytest.raises(IndexError, match=r"mask \[3\] at index 0 .* \[2, 3\] at index 0"):
        descent.ones(2, 3)[descent.tensor([True, False, True])]

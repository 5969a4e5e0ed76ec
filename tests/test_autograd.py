"""The tape: accumulation, reuse, hooks, freed graphs, changed values, observers."""

import numpy as np
import pytest

import descent as dc
from descent import autograd


def leaf(*values: float) -> dc.Tensor:
    return dc.tensor(list(values), requires_grad=True)


def test_reuse_accumulates_and_grads_add_up() -> None:
    x = leaf(3.0)
    y = x * x + x
    y.backward(retain_graph=True)
    assert x.grad.item() == 7.0
    y.backward()
    assert x.grad.item() == 14.0


def test_second_backward_through_freed_graph_says_what_to_do() -> None:
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match=r"second time.*retain_graph=True"):
        y.backward()


def test_a_changed_saved_value_is_an_error_not_a_wrong_gradient() -> None:
    x = leaf(2.0, 3.0)
    a = x * 1.0
    y = a * a
    with dc.no_grad():
        a += 1.0
    with pytest.raises(RuntimeError, match=r"input [ab] of mul was modified by an in-place"):
        y.sum().backward()


def test_leaf_in_place_is_refused() -> None:
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="leaf tensor that requires grad"):
        x += 1.0
    with dc.no_grad():
        x += 1.0
    assert x.item() == 2.0


def test_deep_chain_needs_no_recursion() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1.0


def test_hooks_see_and_replace_gradients() -> None:
    x = leaf(1.0, 2.0)
    y = x * 3.0
    seen = []
    y.register_hook(lambda g: seen.append(g.array.copy()))
    handle = x.register_hook(lambda g: g * 10.0)
    y.sum().backward()
    np.testing.assert_array_equal(seen[0], [1.0, 1.0])
    np.testing.assert_array_equal(x.grad.array, [30.0, 30.0])
    handle.remove()
    x.grad = None
    (x * 3.0).sum().backward()
    np.testing.assert_array_equal(x.grad.array, [3.0, 3.0])


def test_retain_grad_of_an_interior_tensor() -> None:
    x = leaf(2.0)
    y = x * x
    y.retain_grad()
    (y * 3.0).backward()
    assert y.grad.item() == 3.0


def test_no_grad_as_context_and_decorator() -> None:
    x = leaf(1.0)

    @dc.no_grad()
    def f() -> dc.Tensor:
        return x * 2.0

    @dc.no_grad
    def g() -> dc.Tensor:
        return x * 2.0

    assert not f().requires_grad
    assert not g().requires_grad
    with dc.no_grad():
        assert not dc.is_grad_enabled()
        with dc.enable_grad():
            assert (x * 2.0).requires_grad
    assert dc.is_grad_enabled()


def test_backward_needs_a_single_number_or_a_gradient() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"only for scalar outputs.*shape \(2,\)"):
        (x * 1.0).backward()
    with pytest.raises(RuntimeError, match="nothing it was made from"):
        dc.tensor([1.0]).backward()


def test_leaves_do_not_share_gradient_memory() -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (a + b).sum().backward()
    a.grad.array += 5.0
    np.testing.assert_array_equal(b.grad.array, [1.0, 1.0])


def test_observers_see_every_op() -> None:
    seen = []
    with autograd.observe(lambda op, inputs, outputs, meta: seen.append(op.name)):
        (leaf(1.0) * 2.0 + 1.0).sum()
    assert seen == ["mul", "add", "sum"]


def test_pieces_of_one_tensor_fill_one_gradient():
    x = dc.arange(12.0).reshape(3, 4).requires_grad_()
    y = x * 1
    a, b = y.split(2, 1)
    loss = (a * a).sum() + (b * 3).sum() + (y[1] * 5).sum() + (y[:, 1:3] * y[:, 1:3]).sum()
    expected = np.zeros((3, 4))
    expected[:, :2] += 2 * x.array[:, :2]
    expected[:, 2:] += 3
    expected[1] += 5
    expected[:, 1:3] += 2 * x.array[:, 1:3]
    for times in (1, 2):  # the graph is kept as it was
        loss.backward(retain_graph=True)
        np.testing.assert_array_equal(x.grad.numpy(), times * expected)


def test_a_piece_does_not_write_into_a_gradient_that_is_not_the_walks_own():
    x = dc.ones(4).requires_grad_()
    g = dc.ones(4)
    y = x * 1
    (y + y[:2].repeat(2)).backward(g)  # y's first gradient is g itself
    assert g.tolist() == [1, 1, 1, 1]
    assert x.grad.tolist() == [3, 3, 1, 1]

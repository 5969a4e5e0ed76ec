"""Build a layer here and in PyTorch from one seed and compare weights, outputs and gradients."""

import numpy as np

import descent
from descent import nn


def same_weights(ours, theirs, rtol=0.0):
    mine, peer = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(peer)
    for name, t in peer.items():
        assert mine[name].dtype.name == str(t.dtype).removeprefix("torch.")
        assert tuple(mine[name].shape) == tuple(t.shape), name
        if rtol:
            np.testing.assert_allclose(mine[name].numpy(), t.numpy(), rtol=rtol, atol=rtol)
        else:
            assert (mine[name].numpy() == t.numpy()).all(), name


def build(make, seed=0):
    """`make(nn)` here and there after the same seed."""
    import torch

    descent.manual_seed(seed)
    ours = make(nn)
    torch.manual_seed(seed)
    theirs = make(torch.nn)
    # the streams are at the same point afterwards
    assert float(descent.rand(1)) == float(torch.rand(1))
    return ours, theirs


def flat(output):
    if isinstance(output, (tuple, list)):
        return [t for part in output if part is not None for t in flat(part)]
    return [output]


def to_ours(x):
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    if isinstance(x, (tuple, list)):
        return type(x)(to_ours(v) for v in x)
    return descent.tensor(x)


def to_theirs(x):
    import torch

    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    if isinstance(x, (tuple, list)):
        return type(x)(to_theirs(v) for v in x)
    return torch.tensor(x)


def same_results(ours, theirs, *args, tol=1e-9, seed=7, wrt=9, **kwargs):
    """Equal outputs; equal gradients of all parameters and the first `wrt` real inputs (float64)."""
    import torch

    ours.double()
    theirs.double()
    mine, peer = [to_ours(a) for a in args], [to_theirs(a) for a in args]
    leaves = []
    for a, b in zip(flat(mine), flat(peer)):
        if isinstance(a, descent.Tensor) and a.is_floating_point() and len(leaves) < wrt:
            a.requires_grad_()
            b.requires_grad_()
            leaves.append((a, b))
    descent.manual_seed(seed)
    y = flat(ours(*mine, **{k: to_ours(v) for k, v in kwargs.items()}))
    torch.manual_seed(seed)
    z = flat(theirs(*peer, **{k: to_theirs(v) for k, v in kwargs.items()}))
    assert len(y) == len(z)
    rng = np.random.default_rng(1)
    total, expected = 0, 0
    for a, b in zip(y, z):
        assert tuple(a.shape) == tuple(b.shape)
        np.testing.assert_allclose(a.numpy(force=True), b.detach().numpy(), rtol=tol, atol=tol)
        if b.requires_grad:
            g = rng.standard_normal(b.shape)
            total = total + (a * descent.tensor(g)).sum()
            expected = expected + (b * torch.tensor(g)).sum()
    if isinstance(expected, int):
        return
    total.backward()
    expected.backward()
    names = [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in ours.named_parameters()] == names
    pairs = [*leaves, *zip(ours.parameters(), theirs.parameters())]
    for i, (a, b) in enumerate(pairs):
        if b.grad is None:
            assert a.grad is None or not a.grad.numpy().any(), i
        else:
            np.testing.assert_allclose(
                a.grad.numpy(), b.grad.numpy(), rtol=tol, atol=tol, err_msg=str(i)
            )

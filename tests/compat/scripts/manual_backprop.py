"""Backpropagation by hand through a BatchNorm MLP, compared with autograd, then used to train."""

import torch
import torch.nn.functional as F

g = torch.Generator().manual_seed(7)
n, V, E, H = 32, 27, 5, 16
X = torch.randint(0, V, (200, 3), generator=g)
Y = (X.sum(1) + torch.randint(0, 3, (200,), generator=g)) % V
C = torch.randn((V, E), generator=g)
W1 = torch.randn((3 * E, H), generator=g) * 0.4
b1 = torch.randn(H, generator=g) * 0.1
W2 = torch.randn((H, V), generator=g) * 0.1
b2 = torch.randn(V, generator=g) * 0.1
gain, bias = torch.randn((1, H), generator=g) * 0.1 + 1.0, torch.randn((1, H), generator=g) * 0.1
parameters = [C, W1, b1, W2, b2, gain, bias]
for p in parameters:
    p.requires_grad = True


def forward(xb, yb):
    emb = C[xb]
    cat = emb.view(emb.shape[0], -1)
    pre = cat @ W1 + b1
    diff = pre - pre.mean(0, keepdim=True)
    var_inv = (pre.var(0, keepdim=True, unbiased=True) + 1e-5) ** -0.5
    raw = diff * var_inv
    h = torch.tanh(gain * raw + bias)
    logits = h @ W2 + b2
    return logits, h, raw, var_inv, cat, emb


def backward(xb, yb, logits, h, raw, var_inv, cat, emb):
    n = xb.shape[0]
    dlogits = F.softmax(logits, 1)
    dlogits[range(n), yb] -= 1
    dlogits /= n
    dh, dW2, db2 = dlogits @ W2.T, h.T @ dlogits, dlogits.sum(0)
    dpre = (1.0 - h**2) * dh
    dgain, dbias = (raw * dpre).sum(0, keepdim=True), dpre.sum(0, keepdim=True)
    dpre = gain * var_inv / n * (n * dpre - dpre.sum(0) - n / (n - 1) * raw * (dpre * raw).sum(0))
    dcat, dW1, db1 = dpre @ W1.T, cat.T @ dpre, dpre.sum(0)
    demb, dC = dcat.view(emb.shape), torch.zeros_like(C)
    for k in range(xb.shape[0]):
        for j in range(xb.shape[1]):
            dC[xb[k, j]] += demb[k, j]
    return [dC, dW1, db1, dW2, db2, dgain, dbias]


for i in range(60):
    ix = torch.randint(0, X.shape[0], (n,), generator=g)
    kept = forward(X[ix], Y[ix])
    kept[0].retain_grad()
    loss = F.cross_entropy(kept[0], Y[ix])
    if i % 20 == 0:
        for p in parameters:
            p.grad = None
        loss.backward()
        with torch.no_grad():
            for p, grad in zip(parameters, backward(X[ix], Y[ix], *kept)):
                close = torch.allclose(grad, p.grad, atol=1e-6)
                print(i, tuple(p.shape), "approximate:", close, f"{p.grad.norm().item():.6f}")
        print("logits", f"{kept[0].grad.abs().max().item():.7f}")
    with torch.no_grad():
        for p, grad in zip(parameters, backward(X[ix], Y[ix], *kept)):
            p.data += -0.1 * grad
    if i % 5 == 0:
        print(i, loss.item())

"""Bigrams of letters, counted and learned: a count matrix, then the same by gradient descent."""

from itertools import pairwise

import torch
import torch.nn.functional as F

words = "olivia emma ava isabella sophia charlotte mia amelia harper evelyn abigail emily".split()
letters = sorted(set("".join(words)))
stoi = {c: i + 1 for i, c in enumerate(letters)}
stoi["."] = 0
itos = {i: c for c, i in stoi.items()}
V = len(stoi)

N = torch.zeros((V, V), dtype=torch.int32)
xs, ys = [], []
for w in words:
    chars = [".", *w, "."]
    for a, b in pairwise(chars):
        N[stoi[a], stoi[b]] += 1
        xs.append(stoi[a])
        ys.append(stoi[b])
print(N[0], N.sum().item(), N.dtype)

P = (N + 1).float()
P /= P.sum(1, keepdims=True)
g = torch.Generator().manual_seed(2147483647)
for _ in range(5):
    out, ix = [], 0
    while True:
        ix = torch.multinomial(P[ix], num_samples=1, replacement=True, generator=g).item()
        out.append(itos[ix])
        if ix == 0:
            break
    print("".join(out))

log_likelihood = 0.0
for a, b in zip(xs, ys):
    log_likelihood += torch.log(P[a, b])
print(f"{log_likelihood=}")
print(f"{-log_likelihood / len(xs)}")

xs, ys = torch.tensor(xs), torch.tensor(ys)
W = torch.randn((V, V), generator=g, requires_grad=True)
for k in range(40):
    onehot = F.one_hot(xs, num_classes=V).float()
    counts = (onehot @ W).exp()
    probs = counts / counts.sum(1, keepdims=True)
    loss = -probs[torch.arange(xs.nelement()), ys].log().mean() + 0.01 * (W**2).mean()
    print(k, loss.item())
    W.grad = None
    loss.backward()
    W.data += -10 * W.grad
print(probs[0])

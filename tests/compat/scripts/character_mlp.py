"""A character MLP with a hand-written BatchNorm: minibatches, `.data` updates, a learning-rate sweep."""

import random

import torch
import torch.nn.functional as F

words = "olivia emma ava isabella sophia charlotte mia amelia harper evelyn abigail emily".split()
random.seed(42)
random.shuffle(words)
stoi = {c: i for i, c in enumerate(".abcdefghijklmnopqrstuvwxyz")}
itos = dict(enumerate(stoi))
block_size = 3


def build(words):
    X, Y = [], []
    for w in words:
        context = [0] * block_size
        for ch in w + ".":
            X.append(context)
            Y.append(stoi[ch])
            context = [*context[1:], stoi[ch]]
    X, Y = torch.tensor(X), torch.tensor(Y)
    print(X.shape, Y.shape, X.dtype)
    return X, Y


Xtr, Ytr = build(words[:9])
Xdev, Ydev = build(words[9:])

g = torch.Generator().manual_seed(2147483647)
n_embd, n_hidden = 10, 64
C = torch.randn((27, n_embd), generator=g)
W1 = (
    torch.randn((n_embd * block_size, n_hidden), generator=g)
    * (5 / 3)
    / (n_embd * block_size) ** 0.5
)
W2 = torch.randn((n_hidden, 27), generator=g) * 0.01
b2 = torch.randn(27, generator=g) * 0
bngain, bnbias = torch.ones((1, n_hidden)), torch.zeros((1, n_hidden))
bnmean_running, bnstd_running = torch.zeros((1, n_hidden)), torch.ones((1, n_hidden))
parameters = [C, W1, W2, b2, bngain, bnbias]
print(sum(p.nelement() for p in parameters))
for p in parameters:
    p.requires_grad = True

lrs = 10 ** torch.linspace(-2, -0.5, 120)
lossi = []
for i in range(120):
    ix = torch.randint(0, Xtr.shape[0], (32,), generator=g)
    emb = C[Xtr[ix]]
    hpreact = emb.view(emb.shape[0], -1) @ W1
    mean, std = hpreact.mean(0, keepdim=True), hpreact.std(0, keepdim=True)
    h = torch.tanh(bngain * (hpreact - mean) / (std + 1e-5) + bnbias)
    with torch.no_grad():
        bnmean_running = 0.9 * bnmean_running + 0.1 * mean
        bnstd_running = 0.9 * bnstd_running + 0.1 * std
    loss = F.cross_entropy(h @ W2 + b2, Ytr[ix])
    for p in parameters:
        p.grad = None
    loss.backward()
    for p in parameters:
        p.data += -lrs[i] * p.grad
    lossi.append(loss.log10().item())
    if i % 10 == 0:
        print(f"{i:4d} {loss.item():.7f} saturated {(h.abs() > 0.99).float().mean():.4f}")

print(torch.tensor(lossi).view(-1, 20).mean(1))
with torch.no_grad():
    for name, (x, y) in {"train": (Xtr, Ytr), "dev": (Xdev, Ydev)}.items():
        hpreact = C[x].flatten(1) @ W1
        h = torch.tanh(bngain * (hpreact - bnmean_running) / bnstd_running + bnbias)
        print(name, F.cross_entropy(h @ W2 + b2, y).item())
    for _ in range(5):
        out, context = [], [0] * block_size
        while len(out) < 20:
            hpreact = C[torch.tensor([context])].view(1, -1) @ W1
            h = torch.tanh(bngain * (hpreact - bnmean_running) / bnstd_running + bnbias)
            ix = torch.multinomial(F.softmax(h @ W2 + b2, dim=1), 1, generator=g).item()
            context = [*context[1:], ix]
            if ix == 0:
                break
            out.append(itos[ix])
        print("".join(out))

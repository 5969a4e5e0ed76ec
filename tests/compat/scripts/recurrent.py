"""An RNN and a GRU cell written by hand, a learned start state, SGD with momentum, then nn.GRUCell."""

import torch
import torch.nn as nn
from torch.nn import functional as F


class Cell(nn.Module):
    def __init__(self, n_in, n_hidden, gated):
        super().__init__()
        names = ("z", "r", "bar") if gated else ("bar",)
        self.maps = nn.ModuleDict({k: nn.Linear(n_in + n_hidden, n_hidden) for k in names})
        self.gated = gated

    def forward(self, x, h):
        xh = torch.cat([x, h], dim=1)
        if not self.gated:
            return F.tanh(self.maps["bar"](xh))
        r, z = torch.sigmoid(self.maps["r"](xh)), torch.sigmoid(self.maps["z"](xh))
        bar = torch.tanh(self.maps["bar"](torch.cat([x, r * h], dim=1)))
        return (1 - z) * h + z * bar


class Model(nn.Module):
    def __init__(self, vocab, n_embd, n_hidden, cell):
        super().__init__()
        self.start = nn.Parameter(torch.zeros(1, n_hidden))
        self.wte = nn.Embedding(vocab, n_embd)
        self.cell = cell
        self.lm_head = nn.Linear(n_hidden, vocab)

    def forward(self, idx):
        emb = self.wte(idx)
        h = self.start.expand((idx.size(0), -1))
        hiddens = []
        for i in range(idx.size(1)):
            h = self.cell(emb[:, i, :], h)
            hiddens.append(h)
        return self.lm_head(torch.stack(hiddens, 1))


for make in (
    lambda: Cell(12, 20, gated=False),
    lambda: Cell(12, 20, gated=True),
    lambda: nn.GRUCell(12, 20),
):
    torch.manual_seed(11)
    model = Model(9, 12, 20, make())
    sequence = torch.arange(64).view(4, 16) ** 2 % 9
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, nesterov=True)
    for step in range(40):
        logits = model(sequence[:, :-1])
        loss = F.cross_entropy(logits.reshape(-1, 9), sequence[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 4 == 0:
            print(step, f"{loss.item():.6f}", f"{model.start.grad.norm():.6f}")
    print(logits.argmax(-1)[0], [name for name, _ in model.named_parameters()][:4])

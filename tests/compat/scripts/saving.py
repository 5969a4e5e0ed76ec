"""Save, load, go on: the interrupted run must give the losses of the uninterrupted one."""

import os
import sys

import torch
import torch.nn as nn

folder = sys.argv[1]
path = os.path.join(folder, "model.pt")


def fresh():
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2)
    )
    model[2].weight = nn.Parameter(torch.randn(16, 16) * 0.2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    return model, optimizer


def train(model, optimizer, steps):
    for step in steps:
        x = torch.sin(torch.arange(32, dtype=torch.float32).view(8, 4) * (step + 1))
        loss = ((model(x) - x[:, :2] * x[:, 2:]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(step, loss.item())


model, optimizer = fresh()
train(model, optimizer, range(8))
torch.save(
    {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": 8,
        "config": {"name": "mlp", "sizes": [4, 16, 2], "rate": 1e-2, 5: (1, None, True)},
        "rng_state": torch.get_rng_state(),
        "best": float("inf"),
    },
    path,
)
train(model, optimizer, range(8, 12))
torch.randn(100)

checkpoint = torch.load(path, map_location="cpu")
model, optimizer = fresh()
print(model.load_state_dict(checkpoint["model"]))
optimizer.load_state_dict(checkpoint["optimizer"])
torch.set_rng_state(checkpoint["rng_state"])
print(checkpoint["step"], checkpoint["config"], checkpoint["best"], list(checkpoint["model"]))
train(model, optimizer, range(8, 12))
print(torch.randn(2))

torch.save([torch.arange(6).view(2, 3).t(), 3, "text"], path)
print(torch.load(path))
torch.save(model[0].weight, path)
print(torch.load(path).shape, torch.load(path).requires_grad)

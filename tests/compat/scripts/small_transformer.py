"""A small Transformer over names: Dataset, endless DataLoader, AdamW, evaluation, top-k sampling."""

import argparse
import math
from dataclasses import dataclass

import torch
import torch.nn as nn
from torch.nn import functional as F
from torch.utils.data import Dataset
from torch.utils.data.dataloader import DataLoader


@dataclass
class Config:
    block_size: int = None
    vocab_size: int = None
    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 32


class GELU(nn.Module):
    def forward(self, x):
        return (
            0.5
            * x
            * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))
        )


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd)
        T = config.block_size
        self.register_buffer("mask", torch.tril(torch.ones(T, T)).view(1, 1, T, T))
        self.n_head, self.n_embd = config.n_head, config.n_embd

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = self.c_attn(x).split(self.n_embd, dim=2)
        q, k, v = (t.view(B, T, self.n_head, C // self.n_head).transpose(1, 2) for t in (q, k, v))
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.mask[:, :, :T, :T] == 0, float("-inf"))
        y = F.softmax(att, dim=-1) @ v
        return self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(config.n_embd), nn.LayerNorm(config.n_embd)
        self.attn = Attention(config)
        self.mlp = nn.ModuleDict(
            dict(
                c_fc=nn.Linear(config.n_embd, 4 * config.n_embd),
                act=GELU(),
                c_proj=nn.Linear(4 * config.n_embd, config.n_embd),
            )
        )
        m = self.mlp
        self.mlpf = lambda x: m.c_proj(m.act(m.c_fc(x)))

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlpf(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.block_size = config.block_size
        self.transformer = nn.ModuleDict(
            dict(
                wte=nn.Embedding(config.vocab_size, config.n_embd),
                wpe=nn.Embedding(config.block_size, config.n_embd),
                h=nn.ModuleList([Block(config) for _ in range(config.n_layer)]),
                ln_f=nn.LayerNorm(config.n_embd),
            )
        )
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)

    def forward(self, idx, targets=None):
        pos = torch.arange(0, idx.size(1), dtype=torch.long, device=idx.device).unsqueeze(0)
        x = self.transformer.wte(idx) + self.transformer.wpe(pos)
        for block in self.transformer.h:
            x = block(x)
        logits = self.lm_head(self.transformer.ln_f(x))
        loss = None
        if targets is not None:
            loss = F.cross_entropy(
                logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1
            )
        return logits, loss


class Names(Dataset):
    def __init__(self, words, chars, longest):
        self.words, self.longest = words, longest
        self.stoi = {c: i + 1 for i, c in enumerate(chars)}
        self.itos = {i: c for c, i in self.stoi.items()}

    def __len__(self):
        return len(self.words)

    def __getitem__(self, index):
        ix = torch.tensor([self.stoi[c] for c in self.words[index]], dtype=torch.long)
        x = torch.zeros(self.longest + 1, dtype=torch.long)
        y = torch.zeros(self.longest + 1, dtype=torch.long)
        x[1 : 1 + len(ix)] = ix
        y[: len(ix)] = ix
        y[len(ix) + 1 :] = -1
        return x, y


class Endless:
    def __init__(self, dataset, **kwargs):
        sampler = torch.utils.data.RandomSampler(dataset, replacement=True, num_samples=int(1e10))
        self.loader = DataLoader(dataset, sampler=sampler, **kwargs)
        self.iterator = iter(self.loader)

    def next(self):
        return next(self.iterator)


@torch.no_grad()
def generate(model, idx, steps, top_k=None):
    for _ in range(steps):
        logits, _ = model(idx[:, -model.block_size :])
        logits = logits[:, -1, :]
        if top_k is not None:
            v, _ = torch.topk(logits, top_k)
            logits[logits < v[:, [-1]]] = -float("Inf")
        idx = torch.cat((idx, torch.multinomial(F.softmax(logits, dim=-1), num_samples=1)), dim=1)
    return idx


@torch.inference_mode()
def evaluate(model, dataset):
    model.eval()
    losses = [model(x, y)[1].item() for x, y in DataLoader(dataset, shuffle=True, batch_size=5)]
    model.train()
    return torch.tensor(losses).mean().item()


parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=60)
parser.add_argument("--seed", type=int, default=3407)
args = parser.parse_args()
print(vars(args))
torch.manual_seed(args.seed)
torch.cuda.manual_seed_all(args.seed)
device = "cuda" if torch.cuda.is_available() else "cpu"

words = (
    "olivia emma ava isabella sophia charlotte mia amelia harper evelyn abigail emily elizabeth "
    "mila ella avery sofia camila aria scarlett victoria madison luna grace chloe penelope layla"
).split()
chars = sorted(set("".join(words)))
longest = max(len(w) for w in words)
order = torch.randperm(len(words)).tolist()
train = Names([words[i] for i in order[:-5]], chars, longest)
test = Names([words[i] for i in order[-5:]], chars, longest)

model = Transformer(Config(block_size=longest + 1, vocab_size=len(chars) + 1)).to(device)
print(f"model #params: {sum(p.numel() for p in model.parameters())}")
optimizer = torch.optim.AdamW(
    model.parameters(), lr=3e-3, weight_decay=0.01, betas=(0.9, 0.99), eps=1e-8
)
batches = Endless(train, batch_size=8, pin_memory=False, num_workers=0)
for step in range(args.steps):
    X, Y = [t.to(device) for t in batches.next()]
    logits, loss = model(X, Y)
    model.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    if step % 5 == 0:
        print(f"step {step} | loss {loss.item():.7f}")
    if step and step % 20 == 0:
        print(f"train {evaluate(model, train)} test {evaluate(model, test)}")
        for row in generate(model, torch.zeros(4, 1, dtype=torch.long), longest, top_k=5)[
            :, 1:
        ].tolist():
            row = row[: row.index(0)] if 0 in row else row
            print("".join(train.itos[i] for i in row))

"""The order of every kind of loader, and what it leaves of the default random stream."""

import collections

import numpy as np
import torch
from torch.utils import data
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(5)


def show(title, loader):
    print(title, [b.tolist() if isinstance(b, torch.Tensor) else b for b in loader])
    print("   then", torch.randint(1000, (2,)).tolist())


def show_pairs(title, loader):
    print(title, [[t.tolist() for t in batch] for batch in loader], len(loader))
    print("   then", torch.randint(1000, (2,)).tolist())


class Squares(data.Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, i):
        return i * i


class Stream(data.IterableDataset):
    def __iter__(self):
        return iter(range(7))


Point = collections.namedtuple("Point", "x y")
pairs = TensorDataset(torch.arange(7.0), torch.arange(7) % 2)
g = torch.Generator().manual_seed(1)
show("sequential", DataLoader(Squares(), batch_size=4))
show("shuffled", DataLoader(Squares(), batch_size=4, shuffle=True, drop_last=True))
show("one by one", DataLoader(Squares(), batch_size=None))
show("generator", DataLoader(Squares(), batch_size=3, shuffle=True, generator=g))
show("again", DataLoader(Squares(), batch_size=3, shuffle=True, generator=g))
show_pairs("pairs", DataLoader(pairs, batch_size=3, shuffle=True))
sampler = data.RandomSampler(Squares(), replacement=True, num_samples=70)
show("replacement", DataLoader(Squares(), batch_size=35, sampler=sampler))
show("more than all", list(data.RandomSampler(Squares(), num_samples=25)))
show("subset", DataLoader(Squares(), sampler=data.SubsetRandomSampler([1, 3, 5, 7])))
show("weighted", list(data.WeightedRandomSampler([0.1, 0.5, 0.4], 8)))
show("weighted once", list(data.WeightedRandomSampler([0.1, 0.5, 0.4], 2, replacement=False)))
show("batches", DataLoader(Squares(), batch_sampler=[[1, 2], [3], [9, 8, 7]]))
show("stream", DataLoader(Stream(), batch_size=3))
show("stream whole", DataLoader(Stream(), batch_size=3, drop_last=True))
for part in random_split(pairs, [0.5, 0.3, 0.2]):
    print("split", part.indices, len(part), part[0])
print([p.indices for p in random_split(range(6), [2, 4], generator=g)])
print(len(data.ConcatDataset([Squares(), pairs])), (Squares() + pairs)[11])
items = [{"a": 1, "b": [1.5, "s"], "c": Point(np.float32(2), np.ones(2))} for _ in range(2)]
print(data.default_collate(items))
iterator = iter(DataLoader(Squares(), batch_size=2, shuffle=True))
print(torch.rand(1), next(iterator), torch.rand(1), next(iterator))

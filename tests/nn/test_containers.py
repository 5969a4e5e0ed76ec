"""Containers: positions, slices, names."""

import pytest

import descent
from descent import nn


def test_sequential():
    a, b, c = nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)
    net = nn.Sequential(a, b)
    assert net.append(c) is net
    assert len(net) == 3
    assert net[0] is a
    assert net[-1] is c
    assert list(net) == [a, b, c]
    assert [*net[1:]] == [b, c]
    assert isinstance(net[:2], nn.Sequential)
    x = descent.ones(1, 2)
    assert net(x).tolist() == c(b(a(x))).tolist()
    net[1] = nn.ReLU()
    assert isinstance(net[1], nn.ReLU)
    del net[1]
    assert list(dict(net.named_children())) == ["0", "1"]
    assert net[1] is c
    net.insert(1, b)
    assert [*net] == [a, b, c]
    assert net.pop(-1) is c
    assert len(net + nn.Sequential(c)) == 3
    net.extend([c, b])
    assert len(net) == 4
    with pytest.raises(IndexError, match="out of range"):
        net[9]


def test_named_sequential():
    net = nn.Sequential({"in": nn.Linear(2, 3), "act": nn.Tanh()})
    assert net.act(descent.zeros(1)).item() == 0
    assert [n for n, _ in net.named_parameters()] == ["in.weight", "in.bias"]
    assert list(dict(net[:1].named_children())) == ["in"]


def test_module_list():
    parts = nn.ModuleList(nn.Linear(1, i + 1) for i in range(3))
    parts += [nn.Tanh()]
    assert len(parts) == 4
    assert len(parts[1:3]) == 2
    assert isinstance(parts[1:3], nn.ModuleList)
    assert [n for n, _ in parts.named_parameters()][::2] == ["0.weight", "1.weight", "2.weight"]
    assert len(parts + [nn.Tanh()]) == 5  # noqa: RUF005
    with pytest.raises(NotImplementedError):
        parts(1)
    with pytest.raises(TypeError, match="not a Module"):
        parts.append(3)


def test_module_dict():
    parts = nn.ModuleDict({"a": nn.Tanh()})
    parts["b"] = nn.Linear(1, 1)
    parts.update([("c", nn.ReLU())])
    assert list(parts) == list(parts.keys()) == ["a", "b", "c"]
    assert "b" in parts
    assert len(parts) == 3
    assert isinstance(parts.pop("c"), nn.ReLU)
    del parts["a"]
    assert [n for n, _ in parts.items()] == ["b"]
    assert isinstance(next(iter(parts.values())), nn.Linear)
    parts.clear()
    assert not parts


@pytest.mark.oracle
def test_parameter_list():
    import torch

    def make(n, t):
        p = n.ParameterList([t.ones(2, 3), n.Parameter(t.zeros(1))])
        p.append(t.ones(4))
        p += [t.ones(1)]
        return p

    ours, theirs = make(nn, descent), make(torch.nn, torch)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert len(ours) == 4
    assert isinstance(ours[0], nn.Parameter)
    assert [p.numel() for p in ours[1:3]] == [1, 4]
    assert ours[-1] is ours[3]
    ours[0] = descent.zeros(5)
    assert ours[0].shape == (5,)
    assert len(list(ours.parameters())) == 4


def test_parameter_dict():
    ours = nn.ParameterDict({"a": descent.ones(2)})
    ours["b"] = nn.Parameter(descent.ones(1))
    assert [n for n, _ in ours.named_parameters()] == ["a", "b"]
    assert isinstance(ours["a"], nn.Parameter)
    assert list(ours) == list(ours.keys())
    assert "b" in ours
    assert ours.pop("b").item() == 1
    del ours["a"]
    assert len(ours) == 0
    with pytest.raises(KeyError):
        ours["a"]


def test_described():
    text = repr(nn.ParameterList([descent.ones(2, 3)]))
    assert "(0): Parameter containing: [torch.float32 of size 2x3]" in text
    assert "(w)" in repr(nn.ParameterDict({"w": descent.ones(1)}))

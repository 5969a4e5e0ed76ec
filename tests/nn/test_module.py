"""The module tree: names, switches, saving, hooks, recording."""

import copy

import numpy as np
import pytest

import descent
from descent import autograd, nn


class Block(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.fc = nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width)
        self.scale = nn.Parameter(descent.tensor([2.0]))

    def forward(self, x):
        return self.norm(self.fc(x)) * self.scale


class Net(nn.Module):
    """Two blocks, a tied pair, a buffer that is saved and one that is not."""

    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(5, 4)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.wte.weight
        self.register_buffer("mask", descent.tensor([1.0, 0.0]))
        self.register_buffer("cache", descent.tensor([3.0]), persistent=False)

    def forward(self, ids):
        x = self.wte(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


IDS = descent.tensor([0, 1, 2, 4])


def test_names_and_ties():
    net = Net()
    names = [n for n, _ in net.named_parameters()]
    assert names[0] == "wte.weight"
    assert "head.weight" not in names
    assert len(list(net.parameters())) == len(names) == 1 + 2 * 5
    assert "head.weight" in dict(net.named_parameters(remove_duplicate=False))
    assert [n for n, _ in net.named_buffers()][:2] == ["mask", "cache"]
    assert [n for n, _ in net.named_children()] == ["wte", "blocks", "head"]
    assert [n for n, _ in net.named_modules()][:4] == ["", "wte", "blocks", "blocks.0"]
    assert [n for n, _ in net.named_parameters(recurse=False)] == []
    assert len(list(net.modules())) == 1 + 1 + 1 + 2 * 3 + 1


def test_state_dict_round_trip():
    descent.manual_seed(1)
    a, b = Net(), Net()
    saved = a.state_dict()
    assert "head.weight" in saved
    assert "cache" not in saved
    assert "blocks.1.norm.running_var" in saved
    assert repr(b.load_state_dict(saved)) == "<All keys matched successfully>"
    for (n, x), y in zip(a.state_dict().items(), b.state_dict().values()):
        assert (x.numpy() == y.numpy()).all(), n
    saved["mask"].array[0] = 9  # shares the memory
    assert a.mask.tolist() == [9, 0]
    assert b.mask.tolist() == [1, 0]


@pytest.mark.oracle
def test_loading_errors_read_as_pytorchs():
    import torch

    ours, theirs = (
        nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)),
        torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)),
    )
    mine = {
        "0.weight": descent.zeros(3, 3),
        "0.bias": descent.zeros(3),
        "x": descent.zeros(1),
        "y.z": descent.zeros(1),
    }
    peer = {k: torch.tensor(v.numpy()) for k, v in mine.items()}
    messages = []
    for model, given in ((ours, mine), (theirs, peer)):
        with pytest.raises(RuntimeError) as caught:
            model.load_state_dict(given)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_a_failed_load_changes_nothing():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = {k: v.numpy().copy() for k, v in net.state_dict().items()}
    wrong = {k: descent.tensor(v + 1) for k, v in before.items()}
    wrong["1.bias"] = descent.zeros(7)
    for strict in (True, False):
        with pytest.raises(RuntimeError, match=r"size mismatch for 1\.bias"):
            net.load_state_dict(wrong, strict=strict)
    for k, v in net.state_dict().items():
        assert (v.numpy() == before[k]).all()


def test_not_strict_reports():
    net = nn.Linear(2, 2)
    report = net.load_state_dict({"weight": np.ones((2, 2)), "extra": np.ones(1)}, strict=False)
    assert report.missing_keys == ["bias"]
    assert report.unexpected_keys == ["extra"]
    assert net.weight.tolist() == [[1, 1], [1, 1]]
    with pytest.raises(TypeError, match="dict-like"):
        net.load_state_dict([1])


def test_train_and_eval_reach_all():
    net = Net()
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    with pytest.raises(ValueError, match="boolean"):
        net.train(1)


def test_zero_grad_and_freezing():
    net = Net()
    net(IDS).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(not p.grad.numpy().any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not net(IDS).requires_grad


def test_dtypes():
    net = Net().double()
    assert {t.dtype for t in net.parameters()} == {descent.float64}
    assert net.blocks[0].norm.num_batches_tracked.dtype is descent.int64
    assert net.wte.weight is net.head.weight
    assert net(IDS).dtype is descent.float64
    assert net.to(descent.float32).to("cpu").wte.weight.dtype is descent.float32
    with pytest.raises(TypeError, match="floating point"):
        net.to(descent.int64)
    with pytest.raises(RuntimeError, match="CPU"):
        net.to("cuda")


def test_deepcopy_keeps_ties_and_shares_nothing():
    net = Net()
    net(IDS).sum().backward()
    twin = copy.deepcopy(net)
    assert twin.head.weight is twin.wte.weight
    assert twin.wte.weight is not net.wte.weight
    assert isinstance(twin.wte.weight, nn.Parameter)
    assert (twin.wte.weight.grad.numpy() == net.wte.weight.grad.numpy()).all()
    twin.wte.weight.array[...] = 0
    assert net.wte.weight.numpy(force=True).any()
    twin.blocks[0].fc = nn.Identity()
    assert isinstance(net.blocks[0].fc, nn.Linear)


def test_attributes_are_filed():
    net = Net()
    net.extra = nn.Parameter(descent.zeros(2))
    assert "extra" in dict(net.named_parameters())
    net.extra = None
    assert net.extra is None
    assert "extra" not in dict(net.named_parameters())
    with pytest.raises(TypeError, match="cannot assign 'Tensor' as parameter 'extra'"):
        net.extra = descent.zeros(2)
    net.mask = descent.zeros(1)
    assert dict(net.named_buffers())["mask"].tolist() == [0]
    with pytest.raises(TypeError, match="as buffer 'mask'"):
        net.mask = 3
    with pytest.raises(TypeError, match="as child module 'wte'"):
        net.wte = 3
    del net.wte
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'wte'"):
        net.wte  # noqa: B018
    net.plain = 3
    assert net.plain == 3
    net.plain = nn.Linear(1, 1)  # from attribute to submodule
    assert isinstance(net.plain, nn.Linear)
    assert "plain" in dir(net)


def test_replacing_keeps_the_order():
    net = Net()
    before = [n for n, _ in net.named_parameters()]
    net.wte.weight = nn.Parameter(descent.zeros(5, 4))
    net.blocks[0] = Block()
    names = [n for n, _ in net.named_parameters()]
    assert [n for n in names if n != "head.weight"] == before


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: m.register_buffer("a.b", None), KeyError, "contain"),
        (lambda m: m.register_buffer("", None), KeyError, "empty string"),
        (lambda m: m.register_buffer("forward", None), KeyError, "already exists"),
        (lambda m: m.register_buffer("b", 3), TypeError, "object to buffer 'b'"),
        (lambda m: m.register_parameter("p", descent.zeros(1)), TypeError, "parameter 'p'"),
        (lambda m: m.register_parameter(3, None), TypeError, "should be a string"),
        (lambda m: m.add_module("m", 3), TypeError, "not a Module subclass"),
        (lambda m: m.get_submodule("blocks.7"), AttributeError, "has no module `7`"),
        (lambda m: m.get_parameter("blocks.0.w"), AttributeError, "fc|scale"),
        (lambda m: nn.Module()(1), NotImplementedError, 'missing the required "forward"'),
        (lambda m: nn.Parameter([1.0]), TypeError, "needs a tensor"),
        (lambda m: nn.Parameter(descent.tensor([1])), RuntimeError, "floating point"),
    ],
)
def test_wrong_use_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call(Net())


def test_parts_before_init():
    class Late(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"before Module\.__init__"):
        Late()


def test_getting_by_path():
    net = Net()
    assert net.get_submodule("blocks.1.fc") is net.blocks[1].fc
    assert net.get_submodule("") is net
    assert net.get_parameter("blocks.0.scale") is net.blocks[0].scale
    assert net.get_buffer("mask") is net.mask


def test_apply_is_children_first():
    seen = []
    net = Net().apply(lambda m: seen.append(type(m).__name__))
    assert seen[-1] == "Net"
    assert seen.index("Linear") < seen.index("Block")
    assert isinstance(net, Net)


def test_forward_hooks():
    layer = nn.Linear(2, 2)
    log = []
    x = descent.ones(1, 2)
    plain = layer(x).tolist()
    with layer.register_forward_pre_hook(lambda m, args: (args[0] * 2,)):
        doubled = layer(x).tolist()
    assert doubled == layer(x * 2).tolist()
    handle = layer.register_forward_hook(lambda m, args, out: log.append(out.shape))
    first = layer.register_forward_hook(lambda m, a, out: log.append("first"), prepend=True)
    layer(x)
    assert log == ["first", (1, 2)]
    handle.remove()
    handle.remove()
    first.remove()
    changed = layer.register_forward_hook(lambda m, args, kwargs, out: out * 0, with_kwargs=True)
    assert layer(x).tolist() == [[0, 0]]
    changed.remove()
    assert layer(x).tolist() == plain


def test_recording_names_the_place_of_every_op():
    net = Net()
    places, calls = [], []
    with (
        nn.record_modules(net, lambda what, call: calls.append((what, call.path, call.cls))),
        autograd.observe(lambda op, i, o, m: places.append(nn.current_path())),
    ):
        net(IDS)
        assert nn.module_stack() == ()
    assert places[0] == "wte"
    assert places[-1] == "wte" or places[-1] == "head"
    assert "blocks.1.norm" in places
    assert "blocks.0" in places  # the product with `scale` is the block's own
    assert calls[0] == ("enter", "", "Net")
    assert calls[-1] == ("exit", "", "Net")
    assert ("enter", "blocks.1.fc", "Linear") in calls
    assert len(calls) == 2 * (1 + 1 + 2 * 3 + 1)
    assert nn.current_path() == ""


def test_recording_sees_parents_numbers_and_results():
    seen = []

    def listen(what, call):
        if what == "exit":
            seen.append((call.number, call.path, call.parent and call.parent.path, call.output))

    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    with nn.record_modules(net, listen):
        y = net(descent.ones(1, 2))
    assert [s[:3] for s in seen] == [(1, "0", ""), (2, "1", ""), (0, "", None)]
    assert seen[-1][3] is y


def test_recording_survives_an_error_and_modules_outside_the_tree():
    net, guest = nn.Sequential(nn.Linear(2, 2)), nn.Tanh()
    paths = []
    with nn.record_modules(net, lambda what, call: paths.append(call.path)):
        guest(descent.ones(2))
        with pytest.raises(RuntimeError):
            net(descent.ones(1, 3))
        assert nn.module_stack() == ()
    assert paths[0] == "<Tanh>"
    with pytest.raises(KeyError), nn.record_modules(net):
        raise KeyError
    net(descent.ones(1, 2))
    assert nn.module_stack() == ()


@pytest.mark.oracle
def test_repr_is_pytorchs():
    import torch

    def make(n):
        part = lambda: n.Sequential(n.Linear(2, 3), n.ReLU())  # noqa: E731
        return n.ModuleDict({"a": n.ModuleList([part(), part(), n.Tanh()]), "b": n.Sequential(),
                             "c": n.ModuleList()})  # fmt: skip

    assert repr(make(nn)) == repr(make(torch.nn))


def test_parameter():
    t = descent.tensor([1.0])
    p = nn.Parameter(t)
    assert repr(p) == "Parameter containing:\ntensor([1.], requires_grad=True)"
    assert p.is_leaf
    assert isinstance(p, descent.Tensor)
    assert type(p * 2) is descent.Tensor
    t.add_(1)
    assert p.item() == 2
    assert not nn.Parameter(t, requires_grad=False).requires_grad


def test_summary():
    text = nn.summary(Net())
    assert repr(text) == str(text)
    lines = text.splitlines()
    assert lines[-1] == "78 parameters"
    assert "0-1: 2 × Block" in text
    assert "29 each" in text
    assert "weight [5, 4] = wte.weight" in text
    assert "head: Linear" in lines[-2]
    assert len(nn.summary(Net(), depth=1).splitlines()) == 5
    net = Net()
    net.wte.requires_grad_(False)
    assert nn.summary(net).endswith("78 parameters (20 frozen)")
    deep = nn.Sequential(*[nn.Sequential(nn.Linear(1, i + 1), nn.Tanh()) for i in range(30)])
    assert len(nn.summary(deep).splitlines()) <= 41

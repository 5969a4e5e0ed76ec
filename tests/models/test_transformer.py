"""The 2017 Transformer beside PyTorch's on the same weights; masks; token by token; learning."""

import numpy as np
import pytest
import torch

import descent as dc
from descent import optim
from descent.data.pair_batches import filled
from descent.models.transformer import Transformer, TransformerConfig, sinusoids

SMALL = {"n_layer": 2, "n_head": 2, "n_embd": 16, "n_hidden": 24, "block_size": 12}
V, PAD, BOS, EOS = 11, 0, 1, 2


@pytest.fixture(autouse=True)
def _seed():
    dc.manual_seed(5)


def small(**changes):
    model = Transformer(TransformerConfig(V, **{**SMALL, "dropout": 0.0, **changes}))
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            dc.nn.init.normal_(p, 0.0, 0.2)
    return model


def pairs(seed=0, lengths=((4, 6), (7, 2), (5, 5))):
    rng = np.random.default_rng(seed)
    some = [(rng.integers(3, V, s).tolist(), rng.integers(3, V, t).tolist()) for s, t in lengths]
    x, y = filled(some, 9, bos=BOS, eos=EOS, pad=PAD)
    return dc.from_numpy(x), dc.from_numpy(y)


def test_position_vectors():
    table = sinusoids(np.arange(50), 8)
    assert table.shape == (50, 8)
    np.testing.assert_allclose(table[7, 0], np.sin(7), rtol=1e-6)
    np.testing.assert_allclose(table[7, 3], np.cos(7 / 10000 ** (2 / 8)), rtol=1e-6)
    np.testing.assert_allclose(table[[3], 6], np.sin(3 / 10000 ** (6 / 8)), rtol=1e-5)


def _copy(linear, weight, bias):
    with torch.no_grad():
        weight.copy_(torch.from_numpy(linear.weight.detach().numpy()))
        bias.copy_(torch.from_numpy(linear.bias.detach().numpy()))


def _copy_attention(ours, theirs):
    with torch.no_grad():
        for i, part in enumerate((ours.q, ours.k, ours.v)):
            c = theirs.embed_dim
            _copy(part, theirs.in_proj_weight[i * c : i * c + c], theirs.in_proj_bias[i * c :][:c])
    _copy(ours.o, theirs.out_proj.weight, theirs.out_proj.bias)


def theirs_of(model):
    """torch.nn.Transformer with our weights (it has one more norm at the end: taken out)."""
    c = model.config
    net = torch.nn.Transformer(
        c.n_embd, c.n_head, c.n_layer, c.n_layer, c.n_hidden, 0.0, batch_first=True
    )
    net.encoder.norm = net.decoder.norm = None
    net.encoder.enable_nested_tensor = False
    for ours, other in zip(model.encoder, net.encoder.layers):
        _copy_attention(ours.attn, other.self_attn)
    for ours, other in zip(model.decoder, net.decoder.layers):
        _copy_attention(ours.attn, other.self_attn)
        _copy_attention(ours.cross, other.multihead_attn)
        _copy(ours.norm_3, other.norm3.weight, other.norm3.bias)
    for ours, other in zip(
        [*model.encoder, *model.decoder], [*net.encoder.layers, *net.decoder.layers]
    ):
        _copy(ours.ffn.wide, other.linear1.weight, other.linear1.bias)
        _copy(ours.ffn.back, other.linear2.weight, other.linear2.bias)
        _copy(ours.norm_1, other.norm1.weight, other.norm1.bias)
        _copy(ours.norm_2, other.norm2.weight, other.norm2.bias)
    return net


@pytest.mark.oracle
def test_equals_pytorchs_with_the_same_weights():
    model = small(smoothing=0.1)
    net, x, y = theirs_of(model), *pairs()
    table = torch.nn.Parameter(torch.from_numpy(model.embed.weight.detach().numpy().copy()))
    source, target = (torch.from_numpy(x.numpy()[:, i]) for i in (0, 1))
    at = torch.from_numpy(sinusoids(np.arange(9), 16))

    def embedded(ids):
        return torch.nn.functional.embedding(ids, table) * 4 + at

    hidden = source == PAD
    causal = torch.triu(torch.ones(9, 9, dtype=torch.bool), 1)
    out = net(
        embedded(source), embedded(target), tgt_mask=causal, src_key_padding_mask=hidden,
        memory_key_padding_mask=hidden,
    )  # fmt: skip
    expected = out @ table.T
    loss = torch.nn.functional.cross_entropy(
        expected.flatten(0, 1), torch.from_numpy(y.numpy()).flatten(), ignore_index=-1,
        label_smoothing=0.1,
    )  # fmt: skip
    loss.backward()
    model.train()
    logits, ours = model(x, y)
    ours.backward()
    np.testing.assert_allclose(logits.detach().numpy(), expected.detach(), rtol=1e-4, atol=1e-5)
    assert ours.item() == pytest.approx(loss.item(), rel=1e-5)

    def close(p, grad):
        np.testing.assert_allclose(p.grad.numpy(), grad, rtol=1e-3, atol=1e-6)

    close(model.embed.weight, table.grad)
    for mine, other in zip(model.encoder, net.encoder.layers):
        close(mine.ffn.wide.weight, other.linear1.weight.grad)
        close(mine.attn.k.weight, other.self_attn.in_proj_weight.grad[16:32])
        close(mine.norm_1.weight, other.norm1.weight.grad)
    for mine, other in zip(model.decoder, net.decoder.layers):
        close(mine.cross.v.weight, other.multihead_attn.in_proj_weight.grad[32:])
        close(mine.attn.o.bias, other.self_attn.out_proj.bias.grad)
        close(mine.norm_3.bias, other.norm3.bias.grad)


def test_loss_in_evaluation_has_no_smoothing():
    model, (x, y) = small().eval(), pairs()
    logits, loss = model(x, y)
    z = logits.detach().numpy().astype(np.float64)
    logp = z - np.log(np.exp(z).sum(-1, keepdims=True))
    wanted = y.numpy()
    at = np.nonzero(wanted >= 0)
    assert loss.item() == pytest.approx(-logp[(*at, wanted[at])].mean(), rel=1e-5)
    assert model.train()(x, y)[1].item() > loss.item()


def test_padding_changes_nothing():
    model = small().eval()
    some = [([3, 4, 5], [6, 7])]
    short, _ = filled(some, 4, bos=BOS, eos=EOS, pad=PAD)
    long, _ = filled(some, 9, bos=BOS, eos=EOS, pad=PAD)
    a, b = (model(dc.from_numpy(x))[0].detach().numpy() for x in (short, long))
    np.testing.assert_allclose(b[:, :3], a[:, :3], rtol=1e-4, atol=1e-5)


def test_the_output_does_not_see_what_follows_but_the_whole_source():
    model, (x, _) = small().eval(), pairs()
    before = model(x)[0].detach().numpy()
    later = x.numpy().copy()
    later[:, 1, 4] = 9
    after = model(dc.from_numpy(later))[0].detach().numpy()
    assert np.array_equal(before[:, :4], after[:, :4])
    assert (before[:, 4] != after[:, 4]).any(-1).all()
    source = x.numpy().copy()
    source[:, 0, 3] = 9
    assert (model(dc.from_numpy(source))[0].detach().numpy() != before).any(-1).all()


def test_token_by_token_as_at_once():
    model, (x, _) = small().eval(), pairs()
    with dc.no_grad():
        expected = model(x)[0].numpy()
        memory = model.encode(dc.from_numpy(x.numpy()[:, 0].copy())).rows(np.array([2, 0, 0]))
        for t in range(9):
            step = dc.from_numpy(x.numpy()[[2, 0, 0], 1, t : t + 1].copy())
            logits = model.decode(step, memory, keep=True).numpy()
            np.testing.assert_allclose(logits[:, 0], expected[[2, 0, 0], t], rtol=1e-4, atol=1e-5)


def test_learns_to_write_backwards():
    rng = np.random.default_rng(1)
    some = [(s, s[::-1]) for s in (rng.integers(3, V, 4).tolist() for _ in range(48))]
    x, y = (dc.from_numpy(a) for a in filled(some, 6, bos=BOS, eos=EOS, pad=PAD))
    model = small(n_embd=32, n_hidden=64).train()
    optimizer = optim.Adam(model.parameters(), lr=3e-3)

    def step(x, y):
        loss = model(x, y)[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(250):
        step(x, y)
    assert model.eval()(x, y)[1].item() < 0.1


@pytest.mark.slow
def test_a_compiled_step_is_the_eager_one():
    x, y = pairs()

    def trained(run):
        dc.manual_seed(2)
        model = small(dropout=0.1, n_layer=1).train()
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(x, y):
            loss = model(x, y)[1]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        step = run(step)
        return [step(x, y).item() for _ in range(4)]

    np.testing.assert_allclose(trained(dc.compile), trained(lambda f: f), rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_head": 3}, "even and a multiple of n_head: got n_embd=16, n_head=3"),
        ({"smoothing": 1.0}, "smoothing must be at least 0 and below 1: got 1.0"),
    ],
)
def test_settings_that_make_no_sense(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)


def test_a_sentence_longer_than_the_model_reads():
    model = small()
    with pytest.raises(ValueError, match="13 tokens; this model reads no more than block_size=12"):
        model(dc.from_numpy(np.full((1, 2, 13), 3)))

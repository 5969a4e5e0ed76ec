"""Accelerators that are not there, precision settings, distributions: by their names in torch."""

import numpy as np
import pytest
import torch as pytorch

import descent
from descent.compat.torch_like import distributions, notes
from descent.compat.torch_script import installed


@pytest.fixture
def torch():
    with installed() as module:
        yield module


def test_what_scripts_ask_about_devices(torch):
    assert not torch.cuda.is_available()
    assert torch.cuda.device_count() == 0
    assert not torch.backends.mps.is_available()
    torch.cuda.manual_seed_all(3)
    torch.cuda.synchronize()
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.set_float32_matmul_precision("high")
    assert torch.get_float32_matmul_precision() == "high"
    torch.set_float32_matmul_precision("highest")
    torch.set_num_threads(2)
    assert torch.get_num_threads() == 2
    assert torch.version.cuda is None
    with pytest.raises(RuntimeError, match="on the CPU"):
        torch.cuda.current_device()
    with pytest.raises(RuntimeError, match="precision must be"):
        torch.set_float32_matmul_precision("low")
    with pytest.raises(RuntimeError, match="positive integer"):
        torch.set_num_threads(0)


def test_mixed_precision_and_compile_change_nothing(torch, capsys, monkeypatch):
    monkeypatch.setattr(notes, "_said", set())
    w = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.5)
    scaler = torch.cuda.amp.GradScaler(enabled=False)
    model = torch.compile(lambda x: (x * w).sum(), mode="reduce-overhead")
    with torch.autocast(device_type="cpu", dtype=torch.float16):
        loss = model(torch.tensor([2.0, 4.0]))
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert w.tolist() == [0, -1]
    assert loss.dtype == torch.float32
    assert (scaler.get_scale(), scaler.state_dict()) == (1.0, {})
    said = capsys.readouterr().err
    assert "autocast has no effect" in said
    assert "torch.compile returns its argument" in said

    @torch.compile(dynamic=True)
    def twice(x):
        return 2 * x

    assert twice(3) == 6


def test_fork_rng_gives_the_stream_back(torch):
    torch.manual_seed(1)
    with torch.random.fork_rng():
        torch.randn(5)
    after = torch.randn(2).tolist()
    torch.manual_seed(1)
    assert torch.randn(2).tolist() == after


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "parameters", "values"),
    [
        ("Categorical", {"probs": [[0.1, 0.2, 0.7], [3.0, 1.0, 0.0]]}, [2, 1]),
        ("Categorical", {"logits": [1.0, -1.0, 0.5]}, [0, 2, 1]),
        ("Bernoulli", {"probs": [0.1, 0.9]}, [0.0, 1.0]),
        ("Bernoulli", {"logits": [0.3, -2.0]}, [1.0, 1.0]),
        ("Normal", {"loc": [0.0, 1.0], "scale": [1.0, 0.5]}, [0.3, 0.2]),
    ],
)
def test_distributions_as_pytorch(name, parameters, values):
    def of(library, family):
        d = getattr(family, name)
        return d(**{k: library.tensor(v) for k, v in parameters.items()})

    ours, theirs = of(descent, distributions), of(pytorch, pytorch.distributions)
    descent.manual_seed(4)
    pytorch.manual_seed(4)
    for shape in ((), (3,), (2, 4)):
        np.testing.assert_allclose(
            ours.sample(shape).numpy(), theirs.sample(pytorch.Size(shape)).numpy(), rtol=1e-6
        )
    np.testing.assert_allclose(
        ours.log_prob(descent.tensor(values)).numpy(),
        theirs.log_prob(pytorch.tensor(values)).numpy(),
        rtol=1e-5,
    )
    np.testing.assert_allclose(ours.entropy().numpy(), theirs.entropy().numpy(), rtol=1e-5)


def test_policy_gradient_flows_through_log_prob(torch):
    logits = torch.zeros(1, 3, requires_grad=True)
    d = torch.distributions.Categorical(logits=logits)
    d.log_prob(torch.tensor([1])).sum().backward()
    np.testing.assert_allclose(logits.grad.numpy(), [[-1 / 3, 2 / 3, -1 / 3]], rtol=1e-6)
    mean = descent.zeros(2).requires_grad_()
    torch.distributions.Normal(mean, torch.ones(2)).rsample((5,)).sum().backward()
    assert mean.grad.tolist() == [5, 5]
    with pytest.raises(ValueError, match="not both"):
        torch.distributions.Categorical()
    with pytest.raises(ValueError, match="positive scale"):
        torch.distributions.Normal(0.0, -1.0)

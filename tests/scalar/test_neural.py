"""Neurons and the MLP: micrograd's shapes, seeds, printing, and its training run."""

import gc
import importlib.util
import random
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets

from descent.scalar import MLP, Layer, Module, Neuron, Value

EXAMPLE = Path(__file__).parents[2] / "examples" / "moons.py"


@pytest.fixture(scope="module")
def moons():
    spec = importlib.util.spec_from_file_location("moons_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_weights_come_from_random_in_micrograds_order():
    random.seed(7)
    model = MLP(3, [4, 4, 1])
    random.seed(7)
    want = []
    for nin, nout in ((3, 4), (4, 4), (4, 1)):
        for _ in range(nout):
            want += [random.uniform(-1, 1) for _ in range(nin)] + [0]
    assert [p.data for p in model.parameters()] == want
    assert len(want) == 41
    assert all(isinstance(m, Module) for m in (model, model.layers[0], model.layers[0].neurons[0]))


def test_repr():
    assert repr(Neuron(2)) == "ReLUNeuron(2)"
    assert repr(Neuron(2, nonlin=False)) == "LinearNeuron(2)"
    assert repr(Layer(1, 2)) == "Layer of [ReLUNeuron(1), ReLUNeuron(1)]"
    assert repr(MLP(2, [2, 1])) == (
        "MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2)], Layer of [LinearNeuron(2)]]"
    )


def test_forward_and_backward_by_hand():
    model = MLP(2, [2, 1])
    for p, x in zip(model.parameters(), [1, 2, 3, -1, -2, -3, 4, 5, 6]):
        p.data = x
    y = model([0.5, -0.25])  # hidden: relu(0.5 - 0.5 + 3) = 3, relu(-0.5 + 0.5 - 3) = 0
    assert y.data == 4 * 3 + 5 * 0 + 6
    y.backward()
    assert [p.grad for p in model.parameters()] == [2.0, -1.0, 4, 0, 0, 0, 3, 0, 1]
    model.zero_grad()
    assert [p.grad for p in model.parameters()] == [0] * 9


def test_shapes():
    assert isinstance(MLP(3, [4, 1])([1, 2, 3]), Value)
    assert len(MLP(3, [4, 2])(np.array([1.0, 2.0, 3.0]))) == 2
    assert isinstance(MLP(3, (1, 1))([1, 2, 3]), Value)
    with pytest.raises(ValueError, match=r"ReLUNeuron\(3\) takes 3 inputs, got 2"):
        MLP(3, [4, 1])([1.0, 2.0])


def test_the_examples_moons_are_scikit_learns(moons):
    for n, noise in ((100, 0.1), (31, 0.25)):
        np.random.seed(1337)
        X, y = datasets.make_moons(n_samples=n, noise=noise)
        ours, labels = moons.make_moons(n, noise, np.random.RandomState(1337))
        assert np.array_equal(ours, X)
        assert np.array_equal(labels, y)


@pytest.mark.slow
def test_the_moons_demo_of_micrograd(moons):
    random.seed(1337)
    X, y = moons.make_moons(100, 0.1, np.random.RandomState(1337))
    model = MLP(2, [16, 16, 1])
    assert len(model.parameters()) == 337
    gc.collect()
    gc.freeze()
    gc.disable()  # 65,000 nodes a step, freed by counting; the collector would only walk them
    try:
        steps = list(moons.train(moons.step_of(model), X, y * 2 - 1, 100))
    finally:
        gc.enable()
        gc.unfreeze()
    losses, accuracies = [s[1] for s in steps], [s[2] for s in steps]
    published = [
        0.8958441028683222,
        1.7235905336972022,
        0.7429006313851131,
        0.7705641260584198,
        0.3692793385976538,
        0.313545481918522,
        0.2814234349772435,
        0.26888733313983904,
        0.2567147286057417,
        0.2704862551637922,
        0.24507023853658053,
        0.2509905529791503,
    ]
    assert losses[:12] == pytest.approx(published, abs=1e-9, rel=0)
    assert accuracies[:4] == [0.5, 0.81, 0.77, 0.82]
    assert accuracies.index(1.0) == 40
    assert losses[99] == pytest.approx(0.010978370135492717, abs=1e-9, rel=0)
    assert accuracies[99] == 1.0


def test_the_example_runs_as_a_script(moons, capsys):
    moons.main(2)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "337 parameters, 100 points"
    assert out[1].startswith("step 0 loss 0.89584410286832")
    assert out[1].endswith("accuracy 50%")
    assert sum(line.count("x") + line.count("o") for line in out[3:-1]) > 80
    assert out[-1].startswith("accuracy after 2 updates: ")

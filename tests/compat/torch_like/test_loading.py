"""DataLoader and samplers: wrong settings, lengths (the order is compared in scripts/loaders.py)."""

import pytest

import descent
from descent.compat.torch_like import notes
from descent.compat.torch_like.collating import default_collate, default_convert
from descent.compat.torch_like.datasets import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)
from descent.compat.torch_like.loading import DataLoader, get_worker_info
from descent.compat.torch_like.samplers import BatchSampler, RandomSampler, WeightedRandomSampler


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(5))

    def __len__(self):
        return 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampler": [0], "shuffle": True}, "mutually exclusive with shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "mutually exclusive with batch_size"),
        ({"batch_size": None, "drop_last": True}, "mutually exclusive with drop_last"),
        ({"batch_size": 0}, "batch_size should be a positive integer"),
        ({"num_workers": -1}, "num_workers should be non-negative"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        DataLoader([1, 2, 3], **settings)


@pytest.mark.parametrize("name", ["shuffle", "sampler", "batch_sampler"])
def test_a_stream_has_no_order_to_choose(name):
    with pytest.raises(ValueError, match=f"unspecified {name} option"):
        DataLoader(Stream(), **{name: [[0]]})


@pytest.mark.parametrize(
    ("settings", "length"),
    [({"batch_size": 2}, 3), ({"batch_size": 2, "drop_last": True}, 2), ({"batch_size": None}, 5)],
)
def test_lengths(settings, length):
    for dataset in (list(range(5)), Stream()):
        loader = DataLoader(dataset, **settings)
        assert len(loader) == length == len(list(loader))


def test_workers_are_said_to_have_no_effect_once(capsys, monkeypatch):
    monkeypatch.setattr(notes, "_said", set())
    for _ in range(2):
        assert [b.tolist() for b in DataLoader([1, 2], num_workers=4)] == [[1], [2]]
    said = capsys.readouterr()
    assert said.err.count("num_workers has no effect") == 1
    assert said.out == ""
    assert get_worker_info() is None


def test_datasets():
    with pytest.raises(AssertionError, match="Size mismatch"):
        TensorDataset(descent.zeros(2), descent.zeros(3))
    pair = TensorDataset(descent.arange(4), descent.arange(4) * 10)
    assert [t.tolist() for t in Subset(pair, [3, 1])[1]] == [1, 10]
    assert Subset(list(range(4)), [2, 0])[1] == 0
    both = ConcatDataset([[1, 2], [], [3]])
    assert [both[i] for i in range(3)] + [both[-1]] == [1, 2, 3, 3]
    with pytest.raises(ValueError, match="exceeds dataset length 3"):
        both[3]
    assert list(Stream() + Stream()) == [*range(5), *range(5)]
    assert len(ChainDataset([Stream()])) == 5
    with pytest.raises(NotImplementedError, match="must define __getitem__"):
        Dataset()[0]
    with pytest.raises(ValueError, match="does not equal the length"):
        random_split(range(5), [2, 2])


def test_samplers_refuse_nonsense():
    with pytest.raises(ValueError, match="num_samples should be a positive integer"):
        RandomSampler([])
    with pytest.raises(TypeError, match="replacement should be a boolean"):
        RandomSampler([1], replacement=1)
    with pytest.raises(ValueError, match="drop_last should be a boolean"):
        BatchSampler([1], 1, 0)
    with pytest.raises(ValueError, match="1d sequence"):
        WeightedRandomSampler([[1.0]], 1)


def test_collate_refuses_what_is_no_data():
    with pytest.raises(TypeError, match="default_collate: batch must contain"):
        default_collate([object()])
    with pytest.raises(RuntimeError, match="equal size"):
        default_collate([[1, 2], [3]])
    assert default_convert({"a": [1, "b"]}) == {"a": [1, "b"]}


def test_a_dataset_that_gives_many_items_at_once():
    class Many(list):
        def __getitems__(self, indices):
            return [self[i] + 100 for i in indices]

    assert [b.tolist() for b in DataLoader(Many([1, 2, 3]), batch_size=2)] == [[101, 102], [103]]

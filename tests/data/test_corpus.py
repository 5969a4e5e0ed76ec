"""The standard library as a corpus, and the split by file."""

import pytest

from descent.data import DataError, split_documents, standard_library


@pytest.fixture(scope="module")
def library():
    return standard_library()


def test_standard_library_is_source_without_tests(library):
    documents, report = library
    names = [name for name, _ in documents]
    assert {"json/decoder.py", "dataclasses.py", "asyncio/tasks.py"} <= set(names)
    left_out = {"test", "tests", "idlelib", "lib2to3", "ensurepip", "site-packages", "encodings"}
    assert not [name for name in names if left_out & set(name.split("/"))]
    assert names == sorted(names)
    assert report.n_bytes > 4_000_000
    assert standard_library()[0] == documents


def test_a_limit_gives_a_spread_sample(library):
    documents, report = standard_library(max_bytes=1_000_000)
    assert report.n_bytes == 1_000_000
    assert len({name[0].lower() for name, _ in documents}) > 10
    assert len(documents) < len(library[0])


def test_no_library_is_a_clear_error(tmp_path):
    with pytest.raises(DataError, match="--data PATH"):
        standard_library(root=tmp_path)
    with pytest.raises(DataError, match="--data PATH"):
        standard_library(root=tmp_path / "missing")


def test_split_holds_out_whole_files(library):
    documents, _ = library
    train, val = split_documents(documents, 0.1)
    assert sorted(train + val) == documents
    share = sum(len(text) for _, text in val) / sum(len(text) for _, text in documents)
    assert 0.05 <= share <= 0.2
    assert split_documents(documents, 0.1) == (train, val)
    assert split_documents(documents, 0.1, seed=1)[1] != val


def test_the_choice_does_not_depend_on_the_order():
    documents = [(f"{i}.py", "x" * 100) for i in range(50)]
    _, val = split_documents(documents, 0.2)
    _, again = split_documents(documents[::-1], 0.2)
    assert len(val) == 10
    assert sorted(val) == sorted(again)


def test_few_files_are_split_by_position():
    text = "0123456789" * 100
    train, val = split_documents([("a", text)], 0.1)
    assert train == [("a", text[:900])]
    assert val == [("a", text[900:])]
    assert split_documents([("a", "xy"), ("b", "")], 0.5) == ([("a", "x")], [("a", "y")])


def test_one_giant_among_many_is_not_held_out_alone():
    documents = [("giant", "x" * 10_000), *((f"{i}", "y" * 10) for i in range(4))]
    train, val = split_documents(documents, 0.1)
    assert sum(len(text) for _, text in val) == 1004  # by position: no choice of files comes near
    assert train[0] == ("giant", "x" * 9000)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 2])
def test_bad_fraction(fraction):
    with pytest.raises(DataError, match="between 0 and 1"):
        split_documents([("a", "b")], fraction)


def test_empty_corpus():
    with pytest.raises(DataError, match="empty"):
        split_documents([("a", "")])

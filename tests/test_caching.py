"""Written source: a real file, imported once, and what happens where nothing can be written."""

import inspect

import pytest

from descent.caching import cache_folder, source_module

TEXT = "def double(x):\n    return 2 * x\n"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DESCENT_CACHE", str(tmp_path))
    return tmp_path


def test_a_module_from_a_file_that_can_be_read(cache):
    module = source_module("written", "doubling", TEXT)
    assert module.double(4) == 8
    assert inspect.getsource(module.double) == TEXT
    assert list(cache_folder("written").iterdir()) == [cache / "written" / _name(module)]


def _name(module):
    return module.double.__code__.co_filename.rsplit("/", 1)[1]


def test_the_same_text_leaves_the_file_alone_and_a_damaged_one_is_made_again(cache):
    module = source_module("written", "doubling", TEXT)
    path = cache / "written" / _name(module)
    before = path.stat().st_mtime_ns
    source_module("written", "doubling", TEXT)
    assert path.stat().st_mtime_ns == before
    path.write_text("1 / 0")
    assert source_module("written", "doubling", TEXT).double(1) == 2
    assert path.read_text() == TEXT


def test_a_cache_that_can_not_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DESCENT_CACHE", str(tmp_path / "file"))
    module = source_module("written", "doubling", TEXT)
    assert module.double(4) == 8
    assert inspect.getsource(module.double) == TEXT

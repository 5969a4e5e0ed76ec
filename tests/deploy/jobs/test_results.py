import contextlib
import resource

import pytest

from descent.deploy.jobs.results import Files
from descent.deploy.jobs.store import StoreFull


@contextlib.contextmanager
def disk_of(size: int):
    """No file may grow beyond `size`: the kernel refuses, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(params=["folder", "file://", "memory://"])
def files(request, tmp_path):
    if request.param == "folder":
        yield Files(tmp_path)
    elif request.param == "file://":
        yield Files(f"file://{tmp_path}")
    else:
        found = Files("memory://results/here")
        yield found
        with contextlib.suppress(FileNotFoundError):
            found.system.rm("/results", recursive=True)


def test_bytes_come_back(files):
    files.put("api/job/1", b"\x00\xff" * 1000)
    files.put("api/job/2", b"two")
    files.put("api/other/1", b"other")
    assert files.get("api/job/1") == b"\x00\xff" * 1000
    files.put("api/job/2", b"again")
    assert files.get("api/job/2") == b"again"
    files.delete("api/job")
    files.delete("api/job")  # none there is no error
    with pytest.raises(FileNotFoundError):
        files.get("api/job/1")
    assert files.get("api/other/1") == b"other"
    files.delete("api/other/1")
    with pytest.raises(FileNotFoundError):
        files.get("api/other/1")


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".hidden", "a b", "é"]
)
def test_keys_stay_inside(files, key):
    for call in (files.get, files.delete, lambda key: files.put(key, b"")):
        with pytest.raises(ValueError, match="is no key"):
            call(key)


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    files = Files(tmp_path)
    files.put("api/job/1", b"old")
    with disk_of(1000):
        with pytest.raises(StoreFull, match="no room for 5000 bytes"):
            files.put("api/job/1", b"x" * 5000)
        files.put("api/job/2", b"small")
    assert files.get("api/job/1") == b"old"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["1", "2"]
    files.put("api/job/1", b"x" * 5000)  # there is room again


def test_a_store_that_is_not_installed_says_what_is_missing():
    with pytest.raises(ImportError, match="s3fs"):
        Files("s3://bucket/results")

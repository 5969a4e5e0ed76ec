import gzip
import json

import pytest

from descent.deploy.errors import HttpError
from descent.deploy.jobs.inputs import Inputs
from descent.deploy.jobs.submissions import BATCH_BYTES, BatchSubmission, TaskSubmission, parse


def submission(**fields) -> BatchSubmission:
    return parse(BatchSubmission, json.dumps({"workers": 1, **fields}).encode())


def batches(folder, **fields):
    found = Inputs([folder]).batches(submission(**fields))
    return [json.loads(data) for data, _ in found]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for name in ("img_1.png", "img_2.jpg", "img_3.jpg", "img_4.gif", "other.jpg", "more/img_5.jpg"):
        (folder / name).write_text(name)
    return folder


def names(paths):
    return [path.rpartition("/")[2] for path in paths]


@pytest.mark.parametrize(
    ("path", "fields", "expected"),
    [
        ("", {}, ["img_1.png", "img_2.jpg", "img_3.jpg", "img_4.gif", "other.jpg", "img_5.jpg"]),
        ("/img", {}, ["img_1.png", "img_2.jpg", "img_3.jpg", "img_4.gif"]),
        ("/img_1.png", {}, ["img_1.png"]),
        ("/more", {}, ["img_5.jpg"]),
        ("/", {"includes": ["**.jpg"], "excludes": ["**_3.jpg"]}, ["img_2.jpg", "other.jpg", "img_5.jpg"]),
        ("/", {"includes": ["**/images/*.jpg"]}, ["img_2.jpg", "img_3.jpg", "other.jpg"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_files_are_listed_as_cortex_lists_them(images, path, fields, expected, scheme):
    lister = {"s3_paths": [f"{scheme}{images}{path}"], "batch_size": 100, **fields}
    (found,) = batches(images.parent, file_path_lister=lister)
    assert names(found) == expected
    assert all(path.startswith(f"{scheme}{images}") for path in found)


def test_a_store_that_fsspec_reaches():
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe(
        {"/bucket/a/1.json": b'{"x": 1}\n{"x": 2}', "/bucket/a/2.json": b"3 4", "/bucket/b": b""}
    )
    try:
        lister = {"paths": ["memory://bucket/a/"], "batch_size": 2}
        (found,) = batches("/", file_path_lister=lister)
        assert found == ["memory://bucket/a/1.json", "memory://bucket/a/2.json"]
        assert batches("/", delimited_files=lister) == [[{"x": 1}, {"x": 2}], [3, 4]]
        only = {"paths": ["memory://bucket/a/1"], "batch_size": 1}
        assert batches("/", file_path_lister=only) == [["memory://bucket/a/1.json"]]
    finally:
        memory.rm("/bucket", recursive=True)


def test_items_go_on_from_file_to_file(tmp_path):
    (tmp_path / "a.ndjson").write_text('{"n": 1}\n{"n": 2}\n{"n": 3}\n')
    (tmp_path / "b.ndjson.gz").write_bytes(gzip.compress(b'{"n": 4}{"n": 5}'))
    found = batches(tmp_path, delimited_files={"paths": [str(tmp_path)], "batch_size": 2})
    assert found == [[{"n": 1}, {"n": 2}], [{"n": 3}, {"n": 4}], [{"n": 5}]]


def test_numbers_in_files_arrive_as_they_were_written(tmp_path):
    (tmp_path / "a.json").write_text("1.10 12345678901234567890123")
    lister = {"paths": [str(tmp_path / "a.json")], "batch_size": 2}
    ((data, items),) = Inputs([tmp_path]).batches(submission(delimited_files=lister))
    assert (data, items) == (b"[1.10,12345678901234567890123]", 2)


def test_a_lone_surrogate_survives(tmp_path):
    ((data, _),) = Inputs([tmp_path]).batches(
        parse(
            BatchSubmission, rb'{"workers": 1, "item_list": {"items": ["\ud800"], "batch_size": 1}}'
        )
    )
    assert json.loads(data) == ["\ud800"]


@pytest.mark.parametrize(
    ("lister", "said"),
    [
        ({"paths": ["/etc/passwd"]}, "outside the folders this node reads from"),
        ({"paths": ["{folder}/../../../etc/passwd"]}, "outside the folders"),
        ({"paths": ["file:///etc/passwd"]}, "outside the folders"),
        ({"paths": ["{folder}/absent/x"]}, "there is no"),
        ({"paths": ["{folder}/absent"]}, "no files are chosen"),
        ({"paths": ["{folder}"], "includes": ["*.none"]}, "no files are chosen"),
        ({"paths": ["http://169.254.169.254/x"]}, "paths are local, or"),
        ({"paths": ["filecache::s3://b/x"]}, "paths are local, or"),
        ({"paths": ["{folder}/link.txt"]}, "outside the folders"),
        ({"paths": ["{folder}/inner/"]}, "no files are chosen"),  # only a link that leads out
    ],
)
def test_paths_are_confined(tmp_path, lister, said):
    folder = tmp_path / "in"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (tmp_path / "secret.txt").write_text("s")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "inner" / "link.txt").symlink_to(tmp_path / "secret.txt")
    lister = {**lister, "batch_size": 1}
    lister["paths"] = [path.format(folder=folder) for path in lister["paths"]]
    with pytest.raises(HttpError, match=said) as caught:
        Inputs([folder]).check(submission(file_path_lister=lister))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("body", "said", "field"),
    [
        (b"[]", "valid dictionary|object", None),
        (b"{", "no JSON", None),
        (b'{"workers": NaN}', "NaN is no JSON", None),
        (b"{}", "workers", "workers"),
        (b'{"workers": 0}', "greater than or equal to 1", "workers"),
        (b'{"workers": "2"}', "valid integer", "workers"),
        (b'{"workers": 1}', "exactly one of item_list, file_path_lister, delimited_files: none", None),
        (
            b'{"workers": 1, "item_list": {"items": [1], "batch_size": 1}, '
            b'"delimited_files": {"s3_paths": ["x"], "batch_size": 1}}',
            "item_list and delimited_files are given",
            None,
        ),
        (b'{"workers": 1, "item_list": {"items": [], "batch_size": 1}}', "at least 1", "item_list.items"),
        (b'{"workers": 1, "item_list": {"items": [1]}}', "batch_size", "item_list.batch_size"),
        (b'{"workers": 1, "items": [1]}', "not permitted", "items"),
        (b'{"workers": 1, "timeout": 0}', "greater than or equal to 1", "timeout"),
        (
            b'{"workers": 1, "file_path_lister": {"s3_paths": ["x"], "batch_size": 1, "includes": ["[a"]}}',
            "never closed",
            "file_path_lister.includes",
        ),
        (
            b'{"workers": 1, "sqs_dead_letter_queue": {"arn": "a", "max_receive_count": 0}}',
            "greater than or equal to 1",
            "sqs_dead_letter_queue.max_receive_count",
        ),
    ],
)  # fmt: skip
def test_a_submission_s_errors_name_the_field(body, said, field):
    with pytest.raises(HttpError, match=said) as caught:
        parse(BatchSubmission, body)
    assert caught.value.status == 400
    assert caught.value.field == field


def test_a_task_s_submission():
    assert parse(TaskSubmission, b"") == TaskSubmission()
    assert parse(TaskSubmission, b'{"timeout": 5, "config": {"a": 1}}').timeout == 5
    with pytest.raises(HttpError, match="workers"):
        parse(TaskSubmission, b'{"workers": 2}')


@pytest.mark.parametrize(
    ("items", "size", "said"),
    [
        (["x" * BATCH_BYTES], 1, "item 0 has 262146 bytes"),
        (["x" * 100_000] * 3, 3, "lower batch_size"),
    ],
)
def test_batches_are_smaller_than_256_kib(tmp_path, items, size, said):
    with pytest.raises(HttpError, match=said):
        Inputs([tmp_path]).check(submission(item_list={"items": items, "batch_size": size}))
    assert len(batches(tmp_path, item_list={"items": ["x" * 100_000] * 3, "batch_size": 2})) == 2

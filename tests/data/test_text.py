"""Reading text: sources of every shape, encodings, binary and empty and huge files, link loops."""

import os

import pytest

from descent.data import DataError, read_text


def write(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


def names(documents):
    return [name for name, _ in documents]


def test_folder_takes_source_and_prose_in_order_of_name(tmp_path):
    write(tmp_path, {
        "b.py": "b", "a.md": "a", "sub/c.rs": "c", "sub/z.png": b"\x89PNG", "data.bin": "x",
        ".hidden.py": "h", ".git/config.py": "g", "__pycache__/b.py": "p", "node_modules/n.js": "n",
        "env/pyvenv.cfg": "home = /usr", "env/lib/site.py": "v",
    })  # fmt: skip
    documents, report = read_text(tmp_path)
    assert documents == [("a.md", "a"), ("b.py", "b"), ("sub/c.rs", "c")]
    assert (report.n_read, report.n_bytes, report.n_skipped) == (3, 3, 0)


def test_file_glob_list_and_pattern(tmp_path):
    write(tmp_path, {"one/a.log": "A", "one/deep/b.log": "B", "two/c.py": "C"})
    assert read_text(str(tmp_path / "one" / "a.log"))[0] == [("a.log", "A")]
    found = read_text(f"{tmp_path}/**/*.log")[0]
    assert sorted(text for _, text in found) == ["A", "B"]
    both = read_text([tmp_path / "two", str(tmp_path / "one" / "a.log")])[0]
    assert sorted(text for _, text in both) == ["A", "C"]
    assert read_text(tmp_path, pattern="*.log")[0] == [("one/a.log", "A"), ("one/deep/b.log", "B")]
    assert read_text(tmp_path, pattern="one/*")[0] == [("one/a.log", "A"), ("one/deep/b.log", "B")]


def test_a_file_named_twice_is_read_once(tmp_path):
    write(tmp_path, {"a.txt": "A"})
    os.link(tmp_path / "a.txt", tmp_path / "b.txt")
    (tmp_path / "c.txt").symlink_to("a.txt")
    assert len(read_text([tmp_path, tmp_path / "a.txt", str(tmp_path / "*.txt")])[0]) == 1


def test_link_loops_end(tmp_path):
    write(tmp_path, {"sub/a.py": "a"})
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "sub" / "self.py").symlink_to(tmp_path / "sub" / "self.py")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    documents, report = read_text(tmp_path)
    assert names(documents) == ["sub/a.py"]
    assert report.n_skipped == 2
    assert all(reason.startswith("unreadable") for reason in report.skipped)


@pytest.mark.parametrize(
    ("encoding", "reported"),
    [
        ("utf-8", {}),
        ("utf-8-sig", {}),
        ("utf-16", {"utf-16": ["f.txt"]}),
        ("utf-16-le", {"utf-16-le": ["f.txt"]}),
        ("utf-16-be", {"utf-16-be": ["f.txt"]}),
        ("utf-32", {"utf-32": ["f.txt"]}),
        ("latin-1", {"latin-1": ["f.txt"]}),
    ],
)
def test_encodings(tmp_path, encoding, reported):
    text = "Grüße aus Köln,\nschöne Straße\n"
    write(tmp_path, {"f.txt": text.encode(encoding)})
    documents, report = read_text(tmp_path)
    assert documents == [("f.txt", text)]
    assert report.encodings == reported


def test_a_broken_byte_does_not_turn_utf8_into_latin1(tmp_path):
    write(tmp_path, {"f.txt": "Grüße, schöne Straße ".encode() + b"\xff"})
    documents, report = read_text(tmp_path)
    assert documents[0][1] == "Grüße, schöne Straße \ufffd"
    assert list(report.encodings) == ["utf-8 with 1 broken places replaced"]


def test_newlines_become_lf(tmp_path):
    write(tmp_path, {"f.txt": "a\r\nb\rc\n"})
    assert read_text(tmp_path)[0][0][1] == "a\nb\nc\n"


def test_binary_and_empty_files_are_skipped_with_reasons(tmp_path):
    write(tmp_path, {
        "good.py": "x = 1\n", "zero.py": b"abc\0def" * 9, "noise.py": bytes(range(1, 256)) * 50,
        "late.py": b"a" * 20_000 + b"\0", "empty.py": "", "blank.py": " \n\t\n",
        "numbers.txt": bytes(range(1, 9)).join([b"\0"] * 40), "int16.txt": b"\1\0\2\0" * 99,
        "broken16.txt": b"\xff\xfeA\x00\x00\xd8B\x00",
    })  # fmt: skip
    documents, report = read_text(tmp_path)
    assert names(documents) == ["good.py"]
    assert {reason: sorted(found) for reason, found in report.skipped.items()} == {
        "binary": ["int16.txt", "late.py", "noise.py", "numbers.txt", "zero.py"],
        "empty": ["blank.py", "empty.py"],
        "not utf-16": ["broken16.txt"],
    }
    assert "1 file, 0.0 MB; skipped 8: " in str(report)
    assert "binary 5 (int16.txt, …)" in str(report)


def test_pipes_are_not_opened(tmp_path):
    write(tmp_path, {"a.py": "a"})
    os.mkfifo(tmp_path / "pipe.py")
    documents, report = read_text(tmp_path)
    assert names(documents) == ["a.py"]
    assert report.skipped == {"not a regular file": ["pipe.py"]}


def test_max_bytes_cuts_at_a_character_and_says_so(tmp_path):
    write(tmp_path, {"a.txt": "ü" * 10_000, "b.txt": "never read"})
    documents, report = read_text(tmp_path, max_bytes=9_001)
    assert documents == [("a.txt", "ü" * 4_500)]
    assert report.n_bytes == 9_001
    assert report.notes == ["a.txt: only the first 9001 of 20000 bytes were read"]
    assert report.skipped == {"over the limit of 9001 bytes": ["b.txt"]}


def test_a_sparse_huge_file_is_left_after_its_first_block(tmp_path):
    write(tmp_path, {"a.txt": "text"})
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(1 << 40)
    documents, report = read_text(tmp_path)
    assert names(documents) == ["a.txt"]
    assert report.skipped == {"binary": ["huge.txt"]}


def test_a_huge_text_is_read_up_to_the_limit_only(tmp_path):
    path = tmp_path / "huge.txt"
    path.write_bytes(b"line of text\n" * 1000)
    with path.open("r+b") as file:
        file.truncate(1 << 40)  # the rest are zero bytes nobody may read
    documents, report = read_text(path, max_bytes=13_000)
    assert documents[0][1] == "line of text\n" * 1000
    assert report.notes == [f"huge.txt: only the first 13000 of {1 << 40} bytes were read"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "missing", "no such file or folder"),
        (lambda folder: f"{folder}/*.nothing", "nothing matches"),
        (lambda folder: folder, "no text or source files"),
        (lambda folder: write(folder, {"a.py": ""}), "skipped 1: empty 1"),
        (lambda folder: write(folder, {"a.py": b"\0"}) / "a.py", "binary 1"),
        (lambda folder: "", "the path is empty"),
        (lambda folder: "x\0y", "no such file or folder"),
        (lambda folder: "x" * 5000, "cannot be looked up"),
        (lambda folder: [], "an empty list"),
    ],
)
def test_what_cannot_be_read_is_one_clear_error(tmp_path, make, message):
    with pytest.raises(DataError, match=message) as error:
        read_text(make(tmp_path))
    assert "\n" not in str(error.value)


def test_dangling_link_and_bad_limit(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(DataError, match="nowhere, which does not exist"):
        read_text(tmp_path / "link")
    with pytest.raises(DataError, match="max_bytes=0"):
        read_text(write(tmp_path, {"a.txt": "a"}), max_bytes=0)

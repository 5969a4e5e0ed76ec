"""Documents out of files of every kind, their ids on disk, and windows over them."""

import numpy as np
import pytest

from descent.data.documents import Reading, pieces
from descent.data.errors import DataError
from descent.data.shards import Spans, TokenWriter, find_shards, open_tokens
from descent.data.text import ReadReport
from descent.data.token_corpus import Wrap, build_corpus, hold_out, load_corpus, wrap_with
from descent.data.tokenizers.bpe import ByteBPE
from descent.data.windows import DocumentBatches, DocumentWindows


def texts(source, **how) -> list[str]:
    return [p.text for p in pieces(source, Reading(**how), ReadReport())]


def test_csv_columns_by_name_number_and_default(tmp_path) -> None:
    path = tmp_path / "tweets.csv"
    path.write_text('text,likes\n"a, b",1\n\n"two\nlines",2\n,3\n')
    report = ReadReport()
    found = [p.text for p in pieces(path, Reading(), report)]
    assert found == ["a, b", "two\nlines"]
    assert "2 empty rows" in str(report)  # gpt-2-simple fails on them with an IndexError
    assert texts(path, column="likes") == ["1", "2", "3"]
    assert texts(path, column="1") == ["1", "2", "3"]
    assert texts(path, header=False)[0] == "text"
    with pytest.raises(DataError, match="no column 'body'; it has text, likes"):
        texts(path, column="body")


def test_json_lines_npz_and_cut_text(tmp_path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n\n{"text": "two", "id": 3}\n')
    assert texts(tmp_path / "a.jsonl") == ["one", "two"]
    with pytest.raises(DataError, match=r"line 1: no text in field 'body'; it has text"):
        texts(tmp_path / "a.jsonl", field="body")
    (tmp_path / "bad.jsonl").write_text("{nope\n")
    with pytest.raises(DataError, match="line 1: not JSON"):
        texts(tmp_path / "bad.jsonl")
    np.savez(tmp_path / "e.npz", np.arange(5), np.arange(3))
    ids = [p.ids for p in pieces(tmp_path / "e.npz", Reading(), ReadReport())]
    assert [len(i) for i in ids if i is not None] == [5, 3]
    np.savez(tmp_path / "f.npz", np.ones((2, 2)))
    with pytest.raises(DataError, match="not a row of token ids"):
        texts(tmp_path / "f.npz")
    (tmp_path / "g.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match="cannot be read as token arrays"):
        texts(tmp_path / "g.npz")
    (tmp_path / "t.txt").write_text("one<|endoftext|>two")
    assert texts(tmp_path / "t.txt", end_token="<|endoftext|>") == ["one", "two"]


def test_a_large_file_is_read_in_parts_of_one_document(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("descent.data.documents.PART_BYTES", 10)
    (tmp_path / "t.txt").write_text("line one é\nline two\nline three\n")
    found = list(pieces(tmp_path / "t.txt", Reading(), ReadReport()))
    assert "".join(p.text for p in found) == "line one é\nline two\nline three\n"
    assert len(found) > 2
    assert [p.more for p in found] == [True] * (len(found) - 1) + [False]


def corpus(tmp_path, documents, wrap=None, fraction=0.2):
    tokenizer = ByteBPE(special_tokens={"<|endoftext|>": 256})
    for i, text in enumerate(documents):
        (tmp_path / f"{i:02d}.txt").write_text(text)
    found = pieces(tmp_path, Reading(), ReadReport())
    wrap = wrap_with(tokenizer, None, "<|endoftext|>") if wrap is None else wrap
    made = list(
        build_corpus(tmp_path / "run", found, tokenizer, 257, wrap, val_fraction=fraction, seed=1)
    )
    return made[-1]


def test_whole_documents_are_held_out_and_the_corpus_reads_back(tmp_path) -> None:
    texts = [chr(97 + i) * 40 for i in range(10)]
    made = corpus(tmp_path, texts)
    held = bytes(made.val.take(np.arange(len(made.val))) % 256).replace(b"\0", b"")
    learned = set(bytes(made.train.take(np.arange(len(made.train))) % 256))
    assert len(held) == 80  # two whole ones
    assert not set(held) & (learned - {0})
    assert made.val_bytes == pytest.approx(80, abs=1)
    again = load_corpus(tmp_path / "run")
    assert len(again.train) == len(made.train) == 8 * 41
    assert not again.apart


def test_few_documents_lose_their_ends_and_none_may_be_held_out() -> None:
    train, val = hold_out(np.array([0, 100, 150]), 0.1, 0)
    assert train.tolist() == [[0, 0, 90], [0, 100, 145]]
    assert val.tolist() == [[0, 90, 100], [0, 145, 150]]
    train, val = hold_out(np.array([0, 100]), 0.0, 0)
    assert train.tolist() == [[0, 0, 100]]
    assert len(val) == 0
    with pytest.raises(DataError, match="val_fraction"):
        hold_out(np.array([0, 100]), 1.0, 0)


def test_windows_apart_never_leave_their_document(tmp_path) -> None:
    made = corpus(tmp_path, ["abcdefghij" * 3, "xyz", "0123456789"], wrap=Wrap(), fraction=0.0)
    assert made.apart
    windows = made.windows(8)
    x, y = windows.drawn(np.arange(len(windows)))
    for row, target in zip(x, y):
        n = int((target >= 0).sum())
        text = bytes(int(i) for i in row[:n])
        assert any(text in t for t in (b"abcdefghij" * 3, b"xyz", b"0123456789"))
        assert (target[n:] == -1).all()
    seen = np.concatenate([y[y >= 0] for _, y in windows.evaluation_batches(4)])
    assert len(seen) == 29 + 2 + 9  # every token but each document's first, once


def test_a_text_shorter_than_a_window_is_used_whole() -> None:
    windows = DocumentWindows(Spans([np.arange(5, dtype=np.uint16)]), 8, pad=9)
    x, y = windows.drawn(np.array([0, 3]))
    assert x[1].tolist() == [0, 1, 2, 3, 4, 9, 9, 9]
    assert y[1].tolist() == [1, 2, 3, 4, -1, -1, -1, -1]
    with pytest.raises(DataError, match="fewer than two tokens"):
        DocumentWindows(Spans([np.arange(1, dtype=np.uint16)]), 8)


def test_batches_go_on_where_their_state_says(tmp_path) -> None:
    windows = DocumentWindows(Spans([np.arange(900, dtype=np.uint16)]), 16)
    one, two = (DocumentBatches(windows, 3, 7) for _ in range(2))
    one.next()
    two.load_state(one.state())
    np.testing.assert_array_equal(one.next()[0], two.next()[0])


@pytest.mark.parametrize(("vocab", "dtype"), [(50257, np.uint16), (128256, np.uint32)])
def test_token_files_are_llm_c_s_and_cover_several_shards(tmp_path, vocab, dtype) -> None:
    for n, name in ((100, "a_000.bin"), (50, "a_001.bin")):
        with TokenWriter(tmp_path / name, vocab) as out:
            out.write(list(range(n // 2)))
            out.write(np.arange(n // 2, n))
    rows = [open_tokens(p) for p in find_shards(tmp_path)]
    assert [r.dtype for r in rows] == [dtype, dtype]
    both = Spans(rows)
    assert len(both) == 150
    assert both.take(np.array([[99, 100], [0, 149]])).tolist() == [[99, 0], [0, 49]]


def test_damaged_token_files_are_errors(tmp_path) -> None:
    path = tmp_path / "a.bin"
    with TokenWriter(path, 1000) as out:
        out.write(range(100))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match="promises 100 tokens"):
        open_tokens(path)
    np.arange(7, dtype="<u2").tofile(path)  # nanoGPT's: no header
    assert open_tokens(path).tolist() == list(range(7))
    path.write_bytes(b"abc")
    with pytest.raises(DataError, match="not a row of uint16"):
        open_tokens(path)
    with pytest.raises(DataError, match="no token files"):
        find_shards(_empty(tmp_path))


def _empty(tmp_path):
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def test_an_interrupted_writer_leaves_nothing(tmp_path) -> None:
    out = TokenWriter(tmp_path / "a.bin", 10).__enter__()
    out.write([1])
    out.__exit__(RuntimeError, None, None)
    assert list(tmp_path.iterdir()) == []


def test_among_other_files_lines_of_something_else_are_passed_over(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "b.md").write_text("words\n")
    (tmp_path / "weights.bin").write_bytes(bytes(64))
    report = ReadReport()
    found = [piece.text for piece in pieces(tmp_path, Reading(), report)]
    assert found == ["x = 1\n", "words\n"]
    assert "metrics.jsonl" in str(report.skipped)
    assert report.skipped["token file among texts"] == ["weights.bin"]
    only = [p.text for p in pieces(tmp_path, Reading(pattern="*.py"), ReadReport())]
    assert only == ["x = 1\n"]

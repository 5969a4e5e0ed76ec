"""Logs: a JSON object a line, from any thread, read on through rotations."""

import json
import os

import pytest

from descent.deploy.control.journals import Journal, Reader, last_lines


def test_a_line_says_when_which_and_what(tmp_path):
    log = Journal(tmp_path, "sorter", 3)
    log("loaded\nin 2 s", job_id="j1")
    log("bad", level="error", value=object())
    log.close()
    first, second = (json.loads(line) for line in last_lines(log.path, 10))
    assert first["time"].endswith("Z")
    assert (first["level"], first["api"], first["version"]) == ("info", "sorter", 3)
    assert (first["job_id"], first["message"]) == ("j1", "loaded\nin 2 s")
    assert second["level"] == "error"
    assert log.path == tmp_path / "sorter" / "3.jsonl"


def test_a_name_cannot_lead_elsewhere(tmp_path):
    with pytest.raises(ValueError, match="no API's name"):
        Journal(tmp_path, "../x", 1)


def test_a_reader_sees_what_comes(tmp_path):
    file = tmp_path / "log"
    reader = Reader(file)
    assert list(reader.read()) == []
    with file.open("a") as out:
        out.write("one\ntw")
    assert list(reader.read()) == ["one"]
    with file.open("a") as out:
        out.write("o\n")
    assert list(reader.read()) == ["two"]
    reader.close()


def test_a_reader_from_the_end_passes_over_what_was(tmp_path):
    file = tmp_path / "log"
    file.write_text("old\n")
    reader = Reader(file)
    with file.open("a") as out:
        out.write("new\n")
    assert list(reader.read()) == ["new"]
    reader.close()


def test_a_reader_goes_over_to_the_new_file(tmp_path):
    file = tmp_path / "log"
    file.write_text("")
    reader = Reader(file)
    with file.open("a") as out:
        out.write("before\n")
    os.replace(file, tmp_path / "log.1")
    file.write_text("after\n")
    assert list(reader.read()) == ["before", "after"]
    reader.close()


def test_the_last_lines(tmp_path):
    file = tmp_path / "log"
    file.write_text("".join(f"{i}\n" for i in range(100)))
    assert last_lines(file, 2) == ["98", "99"]
    assert last_lines(tmp_path / "none", 2) == []

"""Files written whole or not at all."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from descent.data.files import readable_json, write_atomically


def test_writes_text_and_bytes_into_new_folders(tmp_path):
    path = write_atomically(tmp_path / "a" / "b" / "c.txt", "ü")
    assert path.read_bytes() == "ü".encode()
    assert write_atomically(path, b"\0").read_bytes() == b"\0"
    assert [each.name for each in path.parent.iterdir()] == ["c.txt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_atomically(tmp_path / "a.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_atomically(tmp_path / "folder", "x")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.txt", "folder"]


def test_killed_while_writing_the_file_is_still_a_whole_one(tmp_path):
    path = tmp_path / "state.json"
    write_atomically(path, readable_json({"n": 0, "rows": [[0]] * 9999}))
    program = (
        "import sys, itertools; from descent.data.files import *\n"
        "for n in itertools.count(1):\n"
        "    write_atomically(sys.argv[1], readable_json({'n': n, 'rows': [[n]] * 9999}))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(path)])
    while json.loads(path.read_bytes())["n"] < 3:
        time.sleep(0.005)
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    value = json.loads(path.read_bytes())
    assert value["rows"] == [[value["n"]]] * 9999


def test_readable_json_is_json_with_a_row_per_line():
    value = {"a": 1, "é": {"b": [1, 2]}, "rows": [[1, 2], [3, 4]], "none": []}
    text = readable_json(value)
    assert json.loads(text) == value
    assert "\n    [3, 4]\n" in text
    assert '"é": {"b": [1, 2]}' in text

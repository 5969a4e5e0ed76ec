import json
import os
import threading

import pytest

from descent.deploy.gateway.access import LineLog, access_line, timestamp
from tests.deploy.gateway.conftest import eventually, gateway_of, serving


def test_a_line_for_each_request(tmp_path):
    import httpx

    log = LineLog(tmp_path / "logs" / "access.log")
    with serving(gateway_of(access_log=log)) as port:
        httpx.post(f"http://127.0.0.1:{port}/api/a%22%0Ab", headers={"x-request-id": '"q'})
        eventually(lambda: log.path.exists() and log.path.read_text().endswith("\n"))
    (line,) = log.path.read_text().splitlines()
    found = json.loads(line)
    assert found["message"] == 'POST /api/a"\nb 200'
    assert (found["api"], found["version"], found["status"]) == ("api", 1, 200)
    assert found["request_id"] == '"q'
    assert found["level"] == "info"
    assert found["time"].endswith("Z")
    assert found["bytes"] > 0


def test_order_and_turning_over(tmp_path):
    log = LineLog(tmp_path / "a.log", max_bytes=100, kept=2)
    for i in range(50):
        log.write(f"line {i:02d} ....................")
        log.flush()
    log.close()
    files = sorted(os.listdir(tmp_path))
    assert files == ["a.log", "a.log.1", "a.log.2"]
    lines = [
        line for name in ("a.log.2", "a.log.1", "a.log")
        for line in (tmp_path / name).read_text().splitlines()
    ]  # fmt: skip
    assert lines == sorted(lines)
    assert lines[-1].startswith("line 49")


def test_many_threads_lose_nothing(tmp_path):
    log = LineLog(tmp_path / "a.log")
    threads = [
        threading.Thread(target=lambda t=t: [log.write(f"{t} {i}") for i in range(500)])
        for t in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    lines = [tuple(map(int, line.split())) for line in log.path.read_text().splitlines()]
    assert sorted(lines) == [(t, i) for t in range(4) for i in range(500)]
    for t in range(4):
        assert [i for who, i in lines if who == t] == list(range(500))


def test_what_cannot_be_written_is_counted(tmp_path, capsys):
    log = LineLog(tmp_path / "a.log")
    log.path.mkdir()  # stands for a full disk: opening fails
    log.write("one")
    log.write("two")
    log.close()
    assert log.dropped == 2
    assert capsys.readouterr().err.count("log lines are lost") == 1


def test_timestamps():
    told = [timestamp(at) for at in (1795666770.125, 1795666771.0, 1795666770.5)]
    day = "2026-11-26T04:19:"
    assert told == [f"{day}30.125Z", f"{day}31.000Z", f"{day}30.500Z"]


@pytest.mark.parametrize(("status", "level"), [(200, "info"), (404, "info"), (503, "error")])
def test_levels(status, level):
    assert json.loads(access_line("a", 1, "r", "GET", "/", status, 1.0, 2))["level"] == level

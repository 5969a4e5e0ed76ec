"""Verified downloads against a real local server: resume, wrong bytes, 404, cuts, proxies, offline."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from descent.caching import cache_folder
from descent.data import DataError
from descent.data.fetch import KNOWN_FILES, KnownFile, fetch, fetch_file

CONTENT = bytes(range(256)) * 2000


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT in the manner its server's `manner` names, and notes each request."""

    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("Range")))
        manner = self.server.manner
        if manner == "missing":
            self.send_error(404)
            return
        body = b"x" * len(CONTENT) if manner == "wrong" else CONTENT
        body += b"more" * 100_000 if manner == "long" else b""
        start = 0
        if (asked := self.headers.get("Range")) and manner != "no ranges":
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cut = manner == "cut" or (manner == "cut once" and len(self.server.seen) == 1)
        end = start + 100_000 if cut else len(body)
        try:
            self.wfile.write(body[start:end])
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client has seen enough
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("DESCENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DESCENT_DATA", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.manner, running.seen = "good", []
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def file_on(server, path="sub/data.bin"):
    return KnownFile(
        path,
        f"http://127.0.0.1:{server.server_port}/{path}",
        hashlib.sha256(CONTENT).hexdigest(),
        len(CONTENT),
        "none",
    )


def part_of(known):
    return Path(f"{cache_folder('data') / known.path}.part")


def test_downloads_once_and_reports_progress(server):
    known, progress = file_on(server), []
    path = fetch_file(known, on_bytes=lambda done, total: progress.append((done, total)))
    assert path == cache_folder("data") / "sub" / "data.bin"
    assert path.read_bytes() == CONTENT
    assert progress[-1] == (len(CONTENT), len(CONTENT))
    assert not part_of(known).exists()
    assert fetch_file(known) == path
    assert server.seen == [("/sub/data.bin", None)]


def test_a_damaged_cache_is_fetched_again(server):
    path = fetch_file(file_on(server))
    path.write_bytes(b"damaged")
    assert fetch_file(file_on(server)).read_bytes() == CONTENT
    assert len(server.seen) == 2


@pytest.mark.parametrize("manner", ["good", "no ranges"])
def test_resumes_what_an_earlier_run_left(server, manner):
    server.manner = manner
    known = file_on(server)
    part_of(known).parent.mkdir(parents=True)
    part_of(known).write_bytes(CONTENT[:1000])
    assert fetch_file(known).read_bytes() == CONTENT
    assert server.seen == [("/sub/data.bin", "bytes=1000-")]


def test_a_cut_connection_is_taken_up_where_it_broke(server):
    server.manner = "cut once"
    assert fetch_file(file_on(server)).read_bytes() == CONTENT
    assert server.seen == [("/sub/data.bin", None), ("/sub/data.bin", "bytes=100000-")]


def test_always_cut_keeps_what_arrived_and_says_so(server):
    server.manner = "cut"
    known = file_on(server)
    with pytest.raises(DataError, match="what arrived is kept"):
        fetch_file(known)
    assert part_of(known).read_bytes() == CONTENT[:300_000]
    server.manner = "good"
    assert fetch_file(known).read_bytes() == CONTENT
    assert server.seen[-1] == ("/sub/data.bin", "bytes=300000-")


@pytest.mark.parametrize("manner", ["wrong", "long"])
def test_wrong_bytes_never_get_the_files_name(server, manner):
    server.manner = manner
    known = file_on(server)
    with pytest.raises(DataError, match="not the published ones"):
        fetch_file(known)
    assert list((cache_folder("data") / "sub").iterdir()) == []


def test_a_wrong_part_is_thrown_away_and_loaded_anew(server):
    known = file_on(server)
    part_of(known).parent.mkdir(parents=True)
    part_of(known).write_bytes(b"wrong" + CONTENT[:1000])
    assert fetch_file(known).read_bytes() == CONTENT
    part_of(known).write_bytes(CONTENT + b"too long")
    (cache_folder("data") / known.path).unlink()
    assert fetch_file(known).read_bytes() == CONTENT


def test_not_found(server):
    server.manner = "missing"
    with pytest.raises(DataError, match=r"HTTP 404 .*--data PATH"):
        fetch_file(file_on(server))


def test_offline_says_what_works_instead(server):
    known = file_on(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=r"refused.*--data PATH, which needs no network") as error:
        fetch_file(known)
    assert "\n" not in str(error.value)


def test_proxy_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "")
    known = KnownFile(
        "p.bin", "http://data.invalid/p.bin", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), ""
    )
    assert fetch_file(known).read_bytes() == CONTENT
    assert server.seen == [("http://data.invalid/p.bin", None)]


def test_a_folder_of_data_is_used_without_a_download(server, monkeypatch, tmp_path):
    monkeypatch.setenv("DESCENT_DATA", str(tmp_path))
    known = file_on(server)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "data.bin").write_bytes(CONTENT)
    assert fetch_file(known) == tmp_path / "sub" / "data.bin"
    (tmp_path / "sub" / "data.bin").write_bytes(b"another")
    with pytest.raises(DataError, match="not the published file"):
        fetch_file(known)
    (tmp_path / "sub" / "data.bin").unlink()
    assert fetch_file(known) == cache_folder("data") / "sub" / "data.bin"


def test_a_cache_that_cannot_be_written(server, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DESCENT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="cannot be written"):
        fetch_file(file_on(server))


def test_known_files():
    with pytest.raises(DataError, match=r"no known data file 'mnist'; known are names\.txt"):
        fetch("mnist")
    for known in KNOWN_FILES.values():
        assert known.url.startswith("https://")
        assert len(bytes.fromhex(known.sha256)) == 32

"""What an API shows at GET: its page, its signature, its description; none of it takes a slot."""

from __future__ import annotations

import json
import subprocess

import httpx
import pytest

from descent.deploy.service.curl import curl_line, python_line

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_a_browser_gets_the_page_and_others_the_signature(http: httpx.Client) -> None:
    moved = http.get("/pricer", headers=HTML)
    assert moved.status_code == 307
    assert moved.headers["location"] == "pricer/"
    page = http.get("/pricer/", headers=HTML)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "<script type" in page.text
    assert "<style" not in page.text
    about = http.get("/pricer/").json()
    assert about["name"] == "pricer"
    assert about["input"]["required"] == ["rooms"]
    assert [each["path"] for each in about["endpoints"]] == ["/cheapest", "/kinds"]
    assert about["examples"][0]["rooms"] == 3
    assert http.head("/pricer/").status_code == 200
    assert http.head("/pricer/").content == b""


@pytest.mark.parametrize("name", ["page.js", "fields.js", "show.js", "style.css", "icon.svg"])
def test_the_pages_files(http: httpx.Client, name: str) -> None:
    found = http.get(f"/pricer/-/{name}")
    assert found.status_code == 200
    kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert found.headers["content-type"].startswith(kinds[name.split(".")[1]])


@pytest.mark.parametrize("path", ["/-/../faces.py", "/-/%2e%2e/faces.py", "/-/none.js", "/-/"])
def test_no_other_file_is_shown(http: httpx.Client, path: str) -> None:
    assert http.get(f"/pricer{path}").status_code in (404, 405)


def test_the_services_own_gets_are_its_own(http: httpx.Client) -> None:
    assert http.get("/pricer/kinds").json() == ["flat", "house"]
    assert http.post("/pricer", json={"rooms": 2}).json()["euros"] == 60000
    assert "requests" in http.get("/later").json()  # an AsyncAPI's list
    assert http.get("/later/", headers=HTML).text.startswith("<!doctype html>")
    assert http.get("/many?jobID=none", headers=HTML).status_code == 404


def test_the_line_to_copy_works(http: httpx.Client, url: str) -> None:
    about = http.get("/mood/").json()
    said = subprocess.run(["sh", "-c", f"{about['curl']} -s"], capture_output=True, check=True)
    assert set(json.loads(said.stdout)) == {"happy", "sad"}
    assert eval(about["python"], {"httpx": httpx}) == json.loads(said.stdout)
    for name in ("pricer", "repeat", "speaker", "scale", "anything"):
        line = http.get(f"/{name}/").json()["python"]
        assert eval(line, {"httpx": httpx}) is not None
    for name, field in (("later", "id"), ("many", "job_id")):
        assert field in eval(http.get(f"/{name}/-/about.json").json()["python"], {"httpx": httpx})


def test_lines_are_quoted_for_the_shell() -> None:
    hostile = {"examples": ['it\'s $(touch x) `y` "z"'], "stream": True}
    line = curl_line("http://h/a", hostile, key=True)
    words = subprocess.run(
        ["sh", "-c", line.replace("curl", "printf '%s\\n'", 1)], capture_output=True, check=True
    ).stdout.decode()
    sent = words.split("\n-d\n")[1].rstrip("\n")
    assert json.loads(sent) == hostile["examples"][0]
    assert "-N" in line
    assert """-d '{"config": {}}'""" in curl_line("http://h/a", hostile, kind="TaskAPI")
    binary = {"input_type": "image/*", "output_type": "image/png"}
    assert "--data-binary @FILE" in curl_line("http://h/a", binary)
    assert python_line("http://h/a", binary).endswith(".content")
    assert curl_line("http://h/a", {"input_type": "*/*"}) == "curl http://h/a"

"""A node in a process of its own, asked what its description allows and what it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from typer.testing import CliRunner

from descent.cli.main import assemble
from tests.deploy.control.nodes import TestNode
from tests.deploy.faces.site import SERVICES
from tests.deploy.faces.test_openapi import CHECKS, SHALLOW


@pytest.fixture(scope="module")
def node(tmp_path_factory: Any) -> Any:
    folder = Path(tmp_path_factory.mktemp("node"))
    made = TestNode(folder)
    (made.code / "services.py").write_text(SERVICES, encoding="utf-8")
    try:
        made.start()
        with made.client() as client:
            made.deploy(client, "pricer", service="services.py:Pricer")
            made.deploy(client, "later", service="services.py:Anything", kind="AsyncAPI")
            made.deploy(client, "once", service="services.py:Anything", kind="TaskAPI")
        yield made
    finally:
        made.end()


def test_its_faces(node: Any) -> None:
    with httpx.Client(base_url=node.url) as http:
        made = http.get("/openapi.json").json()
        OPENAPI_31_VALIDATOR.validate(made)
        assert {"/pricer", "/pricer/kinds", "/later/{id}", "/once/logs", "/-/apis"} <= set(
            made["paths"]
        )
        page = http.get("/pricer", headers={"accept": "text/html"}, follow_redirects=True)
        assert page.text.startswith("<!doctype html>")
        assert "class Pricer(Connection)" in http.get("/pricer/-/client.py").text
        OPENAPI_31_VALIDATOR.validate(http.get("/later/openapi.json").json())


def test_the_command_writes_the_client(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESCENT_HOME", str(node.home.path))
    written = CliRunner().invoke(assemble("client"), ["client", "pricer"])
    assert written.exit_code == 0
    assert f"address = '{node.url}/pricer'" in written.stdout
    line = CliRunner().invoke(assemble("client"), ["client", "later", "--curl"]).stdout
    assert line.startswith(f"curl {node.url}/later -H")


@pytest.mark.slow
def test_schemathesis_finds_nothing_in_a_node(node: Any) -> None:
    token = {"authorization": f"Bearer {node.home.token}"}
    described = schemathesis.openapi.from_url(f"{node.url}/openapi.json")
    # A deployment takes a program; its own tests send some.
    for found in described.exclude(path="/-/deploy").get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(max_examples=15, deadline=None, suppress_health_check=SHALLOW, derandomize=True,
                  database=None)  # fmt: skip
        def check(case: schemathesis.Case) -> None:
            case.query.pop("follow", None)  # would not end
            case.call_and_validate(checks=CHECKS, timeout=20, headers=token)

        check()


@pytest.mark.slow
def test_keys_guard_what_tells_of_an_api_not_its_page(tmp_path: Path, names_run: Path) -> None:
    node = TestNode(tmp_path, require_keys=True)
    (node.code / "services.py").write_text(SERVICES, encoding="utf-8")
    try:
        node.start()
        with node.client() as client:
            node.deploy(client, "pricer", service="services.py:Pricer")
            node.deploy(client, "babies", service=str(names_run))
        with httpx.Client(base_url=node.url) as http:
            html, key = {"accept": "text/html"}, {"authorization": f"Bearer {node.home.token}"}
            for path in ("/pricer/", "/pricer/-/page.js", "/babies/", "/babies/static/app.js"):
                assert http.get(path, headers=html).status_code == 200, path
            for path in ("/pricer/", "/pricer/-/about.json", "/pricer/-/client.py",
                         "/pricer/openapi.json", "/openapi.json", "/babies/v1/models",
                         "/babies/openapi.json"):  # fmt: skip
                assert http.get(path).status_code == 401, path
                assert http.get(path, headers=key).status_code == 200, path
            assert http.get("/pricer/", headers=key).json()["keys"] is True
            assert "Authorization: Bearer" in http.get("/pricer/", headers=key).json()["curl"]
    finally:
        node.end()

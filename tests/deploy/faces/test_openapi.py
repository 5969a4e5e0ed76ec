"""The descriptions are valid OpenAPI 3.1, and true: schemathesis finds nothing."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi import checks as openapi_checks
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from descent.deploy.service.openapi import Described, document
from tests.deploy.faces.site import TARGETS, site


def test_one_document_for_the_node(http: httpx.Client) -> None:
    made = http.get("/openapi.json").json()
    OPENAPI_31_VALIDATOR.validate(made)
    assert {f"/{name}" for name in TARGETS} <= made["paths"].keys()
    assert {"/pricer/cheapest", "/later/{id}", "/many/results", "/-/deploy"} <= made["paths"].keys()
    ids = [o["operationId"] for p in made["paths"].values() for o in p.values()]
    assert len(ids) == len(set(ids))
    assert made["paths"]["/-/info"]["get"]["security"] == [{"token": []}]
    assert "security" not in made["paths"]["/pricer"]["post"]


@pytest.mark.parametrize("name", [*TARGETS, "later", "many"])
def test_one_document_for_each_api(http: httpx.Client, name: str) -> None:
    made = http.get(f"/{name}/openapi.json").json()
    OPENAPI_31_VALIDATOR.validate(made)
    assert all(path.startswith(f"/{name}") for path in made["paths"])
    _all_resolve(made, made)


def test_names_of_two_apis_do_not_meet() -> None:
    part = {"type": "object", "properties": {"next": {"$ref": "#/$defs/House"}}}
    schema = {"$ref": "#/$defs/House", "$defs": {"House": part}}
    signature = {"input": schema, "output": schema, "input_type": "application/json"}
    apis = [Described(name, "RealtimeAPI", f"/{name}", signature) for name in ("a", "b")]
    made = document(apis, server="http://h", keys=True)
    OPENAPI_31_VALIDATOR.validate(made)
    _all_resolve(made, made)
    assert {"a.in.House", "a.out.House", "b.in.House"} <= made["components"]["schemas"].keys()
    assert made["security"] == [{"key": []}]


def test_apis_that_are_not_loaded_and_tasks() -> None:
    apis = [
        Described("cold", "RealtimeAPI", "/cold"),
        Described("task", "TaskAPI", "/task"),
        Described("app", "RealtimeAPI", "/app", {"input_type": "*/*", "output_type": "*/*"}),
    ]
    made = document(apis)
    OPENAPI_31_VALIDATOR.validate(made)
    assert made["paths"]["/cold"]["post"]["requestBody"]["content"]["application/json"]


def _all_resolve(part: Any, root: Any) -> None:
    if isinstance(part, dict):
        ref = part.get("$ref")
        if isinstance(ref, str):
            found = root
            for step in ref.removeprefix("#/").split("/"):
                assert step in found, ref
                found = found[step]
        for inner in part.values():
            _all_resolve(inner, root)
    elif isinstance(part, list):
        for inner in part:
            _all_resolve(inner, root)


CHECKS = [
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    schemathesis.checks.not_a_server_error,
]
# Not: arrays (rectangular is no word of JSON Schema), queries that a job's list doesn't look at.
EXACT = {
    name: [openapi_checks.negative_data_rejection, openapi_checks.positive_data_acceptance]
    for name in ("pricer", "repeat", "mood", "anything", "speaker")
}
SHALLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("name", sorted({*TARGETS, "later", "many"} - {"failing"}))
def test_schemathesis_finds_nothing(url: str, name: str, mode: Any) -> None:
    explore(f"{url}/{name}/openapi.json", name, mode, 6)


@pytest.mark.slow
def test_schemathesis_finds_nothing_in_a_text_model(tmp_path: Path, names_run: Path) -> None:
    with site(tmp_path, babies=str(names_run)) as url:
        for mode in schemathesis.GenerationMode:
            explore(f"{url}/babies/openapi.json", "babies", mode, 25)


def explore(address: str, name: str, mode: Any, examples: int) -> None:
    """Ask every operation, and check each answer."""
    described = schemathesis.openapi.from_url(address)
    checks = [*CHECKS, *EXACT.get(name, [])]
    for found in described.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=examples, deadline=None, suppress_health_check=SHALLOW, derandomize=True,
                  database=None)  # fmt: skip
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=checks, timeout=20)

        with contextlib.suppress(Unsatisfiable):  # where anything goes, nothing is wrong
            check()

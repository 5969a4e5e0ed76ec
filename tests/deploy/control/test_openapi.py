"""The control API's description is valid and true: schemathesis finds no 5xx, no other answer."""

import contextlib

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi import checks
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from descent.deploy.control.openapi import document

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    schemathesis.checks.not_a_server_error,
]
ALL = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


def test_the_description_is_valid():
    OPENAPI_31_VALIDATOR.validate(document())


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_no_request_breaks_the_node(node, mode):
    headers = {"authorization": f"Bearer {node.home.token}"}
    described = schemathesis.openapi.from_url(f"{node.url}/-/openapi.json")
    for found in described.get_all_operations():

        @given(case=found.ok().as_strategy(generation_mode=mode))
        @settings(max_examples=15, deadline=None, suppress_health_check=ALL, derandomize=True,
                  database=None)  # fmt: skip
        def check(case):
            case.call_and_validate(checks=CHECKS, headers=headers, timeout=20)

        with contextlib.suppress(Unsatisfiable):  # where anything goes, nothing is wrong
            check()

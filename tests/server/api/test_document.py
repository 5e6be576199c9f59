"""The description and the application say the same: which pages there are, and what they answer.

schemathesis asks what the description allows, and what it does not; the same questions in each run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import CHECKS

from linksocks.server.api.document import DOCUMENT
from linksocks.server.web import create_app
from tests.support.api import KEY, Api
from tests.support.processes import linksocks
from tests.support.roles import server_role

METHODS = {"get", "post", "put", "delete", "patch"}


def test_it_is_served(api: Api) -> None:
    assert api.get("/api/openapi.json") == DOCUMENT


def test_each_page_is_in_it_and_each_in_it_is_a_page() -> None:
    role = server_role(api_keys=[KEY])
    pages = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in create_app(role._api).url_map.iter_rules()
        for method in rule.methods or set()
        if rule.rule != "/" and method.lower() in METHODS
    }
    described = {(path, method) for path, item in DOCUMENT["paths"].items() for method in item}
    assert pages == described


def test_names_of_operations_are_unique() -> None:
    names = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))


SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [each.ok() for each in SCHEMA.get_all_operations()]

NOT_FOR_US = {
    # A schema can't say which combinations of keys have an effect, nor what is printable.
    "positive_data_acceptance",
    # Wrong keys are answered late, later each time; tests/server/api/test_guard.py has them.
    "ignored_auth",
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A real server; the ports that reverse tokens ask for are on an address that no other test uses."""
    where = ("-H", "127.0.0.1", "-P", "0", "-s", "127.0.0.2")
    with linksocks("server", *where, env={"LINKSOCKS_API_KEY": KEY}) as process:
        port = process.wait_line(r"listening on 127\.0\.0\.1:(\d+)")[1]
        yield f"http://127.0.0.1:{port}"
        assert "Traceback" not in process.output
        assert process.running


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_it_answers_as_described(url: str, operation: APIOperation, mode: GenerationMode) -> None:
    checks = [check for check in CHECKS.get_all() if check.__name__ not in NOT_FOR_US]

    @given(case=operation.as_strategy(mode))
    @settings(
        max_examples=20,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Case) -> None:
        case.call_and_validate(base_url=url, headers={"X-API-Key": KEY}, checks=checks, timeout=10)

    ask()

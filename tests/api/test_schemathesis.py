"""The API keeps what its OpenAPI document promises: many calls that schemathesis makes up."""

import tomllib
from types import SimpleNamespace

import pytest
import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData

from api.openapi import document
from api.views.changes import WAIT_MAX
from tests.harness import api_cases
from tests.harness.api_hooks import RULES, filter_failure
from tests.harness.report import Report
from workspace.schema.json_schema import RULES_BEYOND

# The cases at the bounds of each parameter are many: tasks stand for the other collections, which
# have the same endpoints. The soak runs them for all operations.
AT_BOUNDS = r"/accounts/api/(tasks/(quick/|\{record_id\}/)?|openapi\.json|docs/)$"
RUNS = (
    ("--phases", "examples,coverage", "--include-path-regex", AT_BOUNDS, "--max-examples", "3"),
    ("--phases", api_cases.EXPLORING, "--max-examples", "3"),
)
CASES = 1_500


@pytest.mark.slow
def test_a_running_server_answers_as_documented(tmp_path_factory: pytest.TempPathFactory) -> None:
    report = Report("api_cases")
    folder = tmp_path_factory.mktemp("documented")
    with api_cases.running_server(folder, api_cases.ENVIRONMENT) as server:
        api_cases.run_together(server, report, 0, RUNS)
    report.finish(CASES)
    assert report.lost == 0, "\n".join(report.notes)


def test_a_refusal_that_is_let_pass_is_of_a_rule_that_has_a_name() -> None:
    of_calls = {"cursors", "own lists", "one change a record"}
    assert set(RULES) - of_calls - {"inner texts", "people", "time zones"} <= set(RULES_BEYOND)


def test_shipped_configuration_waits_longer_than_the_feed_does() -> None:
    configuration = tomllib.loads(api_cases.CONFIGURATION.read_text())
    assert configuration["request-timeout"] >= WAIT_MAX + 10


def is_failure(path: str, method: str, detail: str, **parameters: object) -> bool:
    """Return whether a refusal of a call with these path parameters counts as a failure."""
    operation = schemathesis.openapi.from_dict(document())[path][method]
    refused = RejectedPositiveData(
        operation=operation.label, message="", status_code=405, allowed_statuses=[]
    )
    problem = {"type": "/problems/method-not-allowed", "detail": detail}
    response = SimpleNamespace(json=lambda: problem)
    case = operation.Case(path_parameters=parameters, media_type="application/json")
    return filter_failure(None, refused, case, response)


@pytest.mark.parametrize(
    ("value", "fits"), [("quick", False), (0, False), ("007", False), (True, False), (7, True)]
)
def test_refused_call_counts_as_failure_if_path_fits_document(value: object, fits: bool) -> None:
    path = "/accounts/api/tasks/{record_id}/"
    detail = "/accounts/api/tasks/quick/ takes OPTIONS, POST."
    assert is_failure(path, "PATCH", detail, record_id=value) is fits
    if fits:
        assert is_failure(path, "PATCH", detail, record_id=str(value))

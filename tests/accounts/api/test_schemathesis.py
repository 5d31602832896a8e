"""The API keeps what its OpenAPI document promises: many calls that schemathesis makes up."""

import tomllib

import pytest

from accounts.api.changes import WAIT_MAX
from tests.harness import api_cases
from tests.harness.api_hooks import RULES
from tests.harness.report import Report
from utils.schemas import RULES_BEYOND

CASES = 500
LIMITS = ("--max-examples", "3", "--max-time", "30")


@pytest.mark.slow
def test_a_running_server_answers_as_documented(tmp_path_factory: pytest.TempPathFactory) -> None:
    report = Report("api_cases")
    folder = tmp_path_factory.mktemp("documented")
    with api_cases.running_server(folder, api_cases.ENVIRONMENT) as server:
        api_cases.hold(server, report, CASES, seed=0, options=LIMITS)
    report.finish(CASES)
    assert report.lost == 0, "\n".join(report.notes)


def test_a_refusal_that_is_let_pass_is_of_a_rule_that_has_a_name() -> None:
    of_calls = {"cursors", "own lists", "one change a record"}
    assert set(RULES) - of_calls - {"inner texts", "people", "time zones"} <= set(RULES_BEYOND)


def test_shipped_configuration_waits_longer_than_the_feed_does() -> None:
    configuration = tomllib.loads(api_cases.CONFIGURATION.read_text())
    assert configuration["request-timeout"] >= WAIT_MAX + 10

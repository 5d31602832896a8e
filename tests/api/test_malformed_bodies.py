"""Many bodies that must be refused, over real connections, change nothing."""

import pytest

from api.openapi import document
from tests.harness import api_cases, malformed_bodies

BODIES = 1500


@pytest.mark.slow
def test_malformed_bodies_are_refused_and_change_no_byte(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("malformed")
    with api_cases.running_server(folder, api_cases.ENVIRONMENT) as server:
        report = malformed_bodies.send(server, BODIES, seed=1)
        assert report.lost == 0, "\n".join(report.notes)
        assert "Traceback" not in server.log.read_text()


def test_every_body_that_is_taken_has_an_example_to_break() -> None:
    goals = malformed_bodies.targets(document())
    assert len(goals) >= 15
    for goal in goals:
        if "json" in goal.media_type:
            assert goal.good != {"anything": 1}, f"give the schema of {goal[:3]} an example"

"""Several app processes on one PostgreSQL, briefly; `make soak` makes 100,000 commits."""

import subprocess

import pytest

from tests.harness.many_servers import BUGS, PROJECT, SELF, attack
from tests.postgres import Cluster, why_not


def test_commits_through_breaking_connections_are_applied_once_and_followed(
    postgres_cluster: Cluster,
) -> None:
    outcome = attack(postgres_cluster, 2_000)
    assert outcome.wrong == []
    assert outcome.acknowledged + outcome.refused == 2_000
    assert outcome.refused < 20
    assert outcome.faults > 50


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not()), reason=why_not())
@pytest.mark.parametrize("bug", BUGS)
def test_planted_bug_of_many_servers_is_found(bug: str) -> None:
    done = subprocess.run([*SELF, "600", bug], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "commits acknowledged" in done.stdout

"""The alert rules and the dashboard name metrics that exist; promtool checks the rules."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from accounts.models import User
from core.maintenance.runner import Runner
from core.metrics import exposition
from utils.json_storage import json_storage

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus/neuralflow.rules.yml"
DASHBOARD = DEPLOY / "grafana/neuralflow.json"


@pytest.fixture
def names(alice: User) -> set[str]:
    """The samples of /metrics after a backup and a check, with the names that Prometheus stores."""
    json_storage.store.sequence()
    Runner(json_storage).run(["backup", "scrub"])
    text = exposition("", json_storage)[0].decode()
    families = list(text_string_to_metric_families(text))
    parts = {f"{family.name}_{end}" for family in families for end in ("bucket", "count", "sum")}
    return {sample.name for family in families for sample in family.samples} | parts


def _named(expression: str) -> set[str]:
    return set(re.findall(r"neuralflow_\w+", expression))


@pytest.mark.django_db
def test_alerts_and_dashboard_name_metrics_that_exist(names: set[str]) -> None:
    expressions = re.findall(r"^ +expr: (.*)$", RULES.read_text("utf-8"), re.M)
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(expressions) >= 10 and len(queries) >= 14
    assert set().union(*map(_named, [*expressions, *queries])) <= names


def test_every_alert_has_a_row_in_the_manual() -> None:
    manual = (DEPLOY.parent / "docs/monitoring.md").read_text("utf-8")
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text("utf-8")))
    assert alerts == set(re.findall(r"`(NeuralFlow[A-Z]\w+)`", manual))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool: apt install prometheus")
def test_rules_pass_promtool_with_their_own_tests() -> None:
    for command in ("check", "test"):
        name = RULES.name if command == "check" else "neuralflow.rules.test.yml"
        ran = subprocess.run(
            ["promtool", command, "rules", name],
            cwd=RULES.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr

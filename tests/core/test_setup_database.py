"""`manage.py setup_data` and `prepare` on a store in PostgreSQL."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from accounts.models import User
from core.maintenance.runner import AlreadyRunning, Runner
from docstore import Key
from tests.accounts_in_db import add_account
from utils.json_storage import json_storage
from workspace.operations.maintenance_history import maintenance_of


@pytest.fixture(autouse=True)
def store(settings: Settings, postgres_url: str, data_folder: Path) -> None:
    settings.NEURALFLOW_STORE = postgres_url


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("setup_data", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_setup_without_flags_makes_the_tables() -> None:
    assert run() == "Store in PostgreSQL: complete.\n"
    assert run() == "Store in PostgreSQL: complete.\n"


def test_every_step_that_needs_no_folder_works(alice: User) -> None:
    add_account(500, "dora")
    json_storage.store.change(
        lambda transaction: transaction.create(
            Key("users", 900),
            {"id": 900, "username": "erik", "email": "erik@example.com", "activities": []},
        )
    )
    output = run("--adopt-users", "--sync-users", "--stats")
    assert "Made 1 account for documents without one: erik" in output
    assert "Synced 3 accounts" in output
    assert "total_users: 3" in output
    assert User.objects.filter(pk=900, username="erik").exists()
    assert run("--validate") == "Validated: nothing is wrong.\n"


def test_finding_names_document_and_problem(alice: User) -> None:
    json_storage.store.change(
        lambda transaction: transaction.put(Key("tasks", alice.pk), {"id": 1, "priority": "odd"})
    )
    with pytest.raises(CommandError) as caught:
        run("--validate", "--json")
    assert caught.value.returncode == 1
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("setup_data", "--validate", "--json", stdout=out)
    findings = json.loads(out.getvalue())["validate"]["findings"]
    assert {finding["document"] for finding in findings} == {f"tasks/tasks_{alice.pk}.json"}


@pytest.mark.parametrize("flags", [["--backup"], ["--restore", "latest"]])
def test_step_that_needs_a_folder_is_refused_with_the_reason(alice: User, flags: list[str]) -> None:
    with pytest.raises(CommandError, match="folder") as caught:
        run(*flags)
    assert caught.value.returncode == 2


def test_maintenance_runs_on_one_of_all_servers(alice: User) -> None:
    runner, other = Runner(), Runner()
    assert runner.names == ["activities", "expired", "scrub", "statistics"]
    with runner.locked(), pytest.raises(AlreadyRunning):
        other.run(["statistics"])
    (run,) = other.run(["statistics"])
    assert run.is_ok and run.result.startswith("1 user")
    assert maintenance_of(json_storage).jobs["statistics"].succeeded_at is not None
    assert runner.history().runs[-1] == run
    assert {one.is_ok for one in runner.run(runner.names)} == {True}


def test_maintenance_of_a_new_server_waits_for_its_first_night(alice: User) -> None:
    assert Runner().due() == []
    assert set(Runner().history().jobs) == set(Runner().names)

"""The operator's page: who sees it, what it tells, and that telling costs next to nothing."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from docstore import OutOfSpace
from tests.attacks.world import reads
from tests.folders import contents, exact
from tests.web.pages import text_of
from utils.data_initializer import data_initializer
from utils.json_storage import json_storage
from workspace.operations.run_reports import FINDINGS_KEPT


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    client.force_login(alice)
    return client


def setup_data(*flags: str) -> None:
    try:
        call_command("setup_data", *flags, stdout=StringIO(), stderr=StringIO())
    except CommandError as found:
        assert "finding" in str(found)


def test_to_others_it_is_not_there(client: Client, alice: User) -> None:
    assert client.get("/operator/")["Location"] == "/accounts/login/?next=/operator/"
    client.force_login(alice)
    assert client.get("/operator/").status_code == 404
    assert b"/operator/" not in client.get("/dashboard/").content


def test_before_anything_was_run_it_says_what_to_run(browser: Client) -> None:
    page = browser.get("/operator/")
    assert page.status_code == 200
    words = text_of(page)
    assert "Users 1 Tasks not counted" in words
    for flag in ("--validate", "--stats", "--backup"):
        assert f"setup_data {flag}" in words
    assert "Writable" in words
    assert b"/operator/" in browser.get("/dashboard/").content


@pytest.mark.usefixtures("still_clock")
def test_it_tells_how_things_are(browser: Client, alice: User, data_folder: Path) -> None:
    for title in ("Train", "Read"):
        json_storage.create("tasks", alice.pk, {"title": title})
    setup_data("--validate", "--stats", "--backup")
    words = text_of(browser.get("/operator/"))
    assert "Users 1 Tasks 2 Projects 0 Models 0" in words
    assert str(data_folder) in words
    assert "in 1 segment, entries 1 to " in words
    assert "Checkpoint entry " in words
    assert data_initializer.list_backups()[0] in words
    assert "0 minutes ago" in words
    assert "Last validation No problems found" in words
    assert f"{datetime.now(UTC):%Y}" in words


def test_files_that_are_behind_are_told(
    browser: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact(Path())
    store = json_storage.store.backend
    monkeypatch.setattr(store._loop, "wake", lambda: None)  # nobody publishes
    json_storage.create("tasks", alice.pk, {"title": "Not in its file yet"})
    assert "behind" in text_of(browser.get("/operator/"))
    store.publish()
    assert "show all saved changes" in text_of(browser.get("/operator/"))


def test_findings_are_told_as_the_last_validation_found_them(
    browser: Client, alice: User, data_folder: Path
) -> None:
    setup_data()
    path = exact(data_folder / "tasks" / f"tasks_{alice.pk}.json")
    path.write_text('{\n  "tasks": [,<b>\n')
    setup_data("--validate", "--stats")
    page = browser.get("/operator/")
    assert f"tasks/tasks_{alice.pk}.json:2:13" in text_of(page)
    assert "1 finding" in text_of(page) and "1 document could not be read" in text_of(page)
    path.unlink()
    for number in range(FINDINGS_KEPT + 20):
        (data_folder / "tasks" / f"stray <b> {number}").touch()
    setup_data("--validate")
    page = browser.get("/operator/")
    assert f"{FINDINGS_KEPT + 21} findings" in text_of(page) and "and 21 more" in text_of(page)
    assert b"<b>" not in page.content


@pytest.mark.usefixtures("still_clock")
def test_operator_page_many_backups_lists_newest(browser: Client, data_folder: Path) -> None:
    setup_data("--backup")
    now = datetime.now(UTC)
    for days in range(1, 15):
        name = f"neuralflow_{now - timedelta(days=days):%Y-%m-%dT%H-%M-%S.000000Z}.zip"
        (data_folder / "backups" / name).write_bytes(b"x" * 2048)
    (data_folder / "backups" / "neuralflow_9999-99-99T99-99-99Z.zip").touch()
    words = text_of(browser.get("/operator/"))
    assert "2.0 KB · 1 week ago" in words
    assert "Last verified backup: 0 minutes ago" in words
    assert "and 6 older backups" in words


def test_why_it_cannot_be_written_is_told(
    alice: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    client.force_login(alice)

    def refuse() -> None:
        raise OutOfSpace("the files of documents cannot be written: No space left on device")

    monkeypatch.setattr(json_storage.store.backend._committer, "require_unblocked", refuse)
    words = text_of(client.get("/operator/"))
    assert "Not writable" in words and "No space left on device" in words


def test_a_store_that_cannot_be_opened_is_told(
    browser: Client, data_folder: Path, settings: Settings
) -> None:
    exact(data_folder)
    json_storage.close()
    data_folder.rename(data_folder.with_name("elsewhere"))
    data_folder.write_text("no folder")
    words = text_of(browser.get("/operator/"))
    assert "Not writable" in words and "Checkpoint" not in words
    settings.NEURALFLOW_STORE = "memory:"
    json_storage.close()
    assert "lost when the server stops" in text_of(browser.get("/operator/"))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"at": 3}', b"\xff" * 2_000_000])
def test_operator_page_ignores_damaged_reports(
    browser: Client, data_folder: Path, content: bytes
) -> None:
    setup_data("--validate", "--stats")
    for name in ("validated.json", "counted.json"):
        (data_folder / ".neuralflow" / name).write_bytes(content)
    page = browser.get("/operator/")
    assert page.status_code == 200 and "not counted" in text_of(page)


def test_it_reads_no_document_and_changes_nothing(
    browser: Client, alice: User, bob: User, data_folder: Path
) -> None:
    setup_data("--validate", "--stats", "--backup")
    json_storage.create("tasks", bob.pk, {"title": "Bob's"})
    before = contents(data_folder)
    with reads() as asked:
        assert browser.get("/operator/").status_code == 200
    # One's own: for the navigation, and how one wants pages to be.
    assert set(asked) <= {("shared", alice.pk), ("users", alice.pk)}
    assert contents(data_folder) == before


def test_only_the_owner_may_read_what_is_kept(alice: User, data_folder: Path) -> None:
    setup_data("--validate", "--stats")
    for name in ("validated.json", "counted.json"):
        assert (data_folder / ".neuralflow" / name).stat().st_mode & 0o777 == 0o600

"""The room of settings: how pages are, export and import."""

import io
import json
import re
import zipfile
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import ApiToken, User
from accounts.tokens import create_token, revoke
from tests.conftest import PASSWORD
from tests.web.pages import text_of
from tests.workspace.bombs import honest
from utils.json_storage import json_storage
from workspace.documents import key_of
from workspace.users.preferences import Preferences

pytestmark = pytest.mark.django_db(transaction=True)

PREFERENCES, DATA = "/settings/preferences/", "/settings/data/"
CHOSEN = {"theme": "dark", "week_start": "sunday", "language": "es", "time_zone": "Asia/Tokyo"}


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def test_one_chooses_how_pages_are(signed_in: Client, alice: User) -> None:
    assert signed_in.get("/settings/")["Location"] == PREFERENCES
    page = signed_in.get(PREFERENCES).content.decode()
    assert re.search('value="system"[^>]* checked', page)
    assert signed_in.post(PREFERENCES, CHOSEN)["Location"] == PREFERENCES
    expected = Preferences("es", "Asia/Tokyo", "dark", single_keys=False, week_start="sunday")
    assert json_storage.preferences(alice.pk) == expected
    page = signed_in.get(PREFERENCES).content.decode()
    assert '<html lang="es" data-theme="dark"' in page
    assert '<option value="Asia/Tokyo" selected>' in page


@pytest.mark.parametrize("wrong", [{"theme": "blue"}, {"time_zone": "Mars"}, {"language": "xx"}])
def test_preferences_invalid_choice_is_refused(
    signed_in: Client, alice: User, wrong: dict[str, str]
) -> None:
    assert signed_in.post(PREFERENCES, CHOSEN | wrong).status_code == 422
    assert json_storage.preferences(alice.pk) == Preferences()


def test_preferences_can_be_reset_to_browser_defaults(signed_in: Client, alice: User) -> None:
    signed_in.post(PREFERENCES, CHOSEN)
    signed_in.post(PREFERENCES, CHOSEN | {"language": "browser", "time_zone": "browser"})
    chosen = json_storage.preferences(alice.pk)
    assert (chosen.language, chosen.time_zone, chosen.theme) == ("", "", "dark")


def test_the_browsers_zone_is_named(signed_in: Client) -> None:
    signed_in.cookies["timezone"] = "America/New_York"
    assert "Browser time zone (America/New York)" in text_of(signed_in.get(PREFERENCES))


def test_each_page_of_the_room_leads_to_the_others(signed_in: Client) -> None:
    page = signed_in.get(PREFERENCES).content.decode()
    room = page.partition('class="room-nav"')[2].partition("</nav>")[0]
    addresses = re.findall('href="([^"]+)"', room)
    assert len(addresses) == 8
    assert 'href="/settings/preferences/" aria-current="page"' in room
    for address in addresses:
        answer = signed_in.get(address, follow=True)
        # Some ask first who it is.
        assert answer.status_code == 200
        assert 'class="room-nav"' in answer.content.decode() or "reauthenticate" in str(
            answer.redirect_chain
        )


# Export and import


def export(client: Client) -> bytes:
    answer = client.get("/settings/data/export/")
    assert answer.status_code == 200 and answer["Content-Type"] == "application/zip"
    return b"".join(answer)  # type: ignore[arg-type]


def send(client: Client, archive: bytes, **more: str) -> Any:
    file = SimpleUploadedFile("mine.zip", archive, "application/zip")
    return client.post(DATA, {"archive": file, "mode": "merge"} | more)


def test_file_that_is_no_zip_by_its_name_is_refused(signed_in: Client, alice: User) -> None:
    file = SimpleUploadedFile("mine.html", export(signed_in), "application/zip")
    answer = signed_in.post(DATA, {"archive": file, "mode": "merge"})
    assert answer.status_code == 422
    assert "Allowed extensions are: zip" in text_of(answer)


def judged_in(answer: Any) -> str:
    found = re.search('name="judged" value="([0-9a-f]{64})"', answer.content.decode())
    assert found
    return found[1]


def titles(owner: User) -> list[str]:
    return [task["title"] for task in json_storage.list("tasks", owner.pk)]


def test_everything_is_exported_and_noted(signed_in: Client, alice: User) -> None:
    json_storage.create("tasks", alice.pk, {"title": "Keep me"})
    archive = zipfile.ZipFile(io.BytesIO(export(signed_in)))
    assert f"tasks/tasks_{alice.pk}.json" in archive.namelist()
    assert json_storage.activities(alice.pk, 1)[0]["type"] == "account_exported"
    assert json_storage.quota(alice.pk).used == 0  # leaving costs no call
    assert "Exported all data" in text_of(signed_in.get("/activity/"))


def test_an_archive_is_looked_at_and_then_taken_in(signed_in: Client, alice: User) -> None:
    task = json_storage.create("tasks", alice.pk, {"title": "Keep me"})
    archive = export(signed_in)
    json_storage.delete("tasks", alice.pk, task["id"])
    looked = send(signed_in, archive)
    assert "Preview" in text_of(looked) and titles(alice) == []
    taken = send(signed_in, archive, take="yes", judged=judged_in(looked))
    assert taken["Location"] == DATA and titles(alice) == ["Keep me"]
    assert json_storage.activities(alice.pk, 1)[0]["type"] == "account_imported"
    page = text_of(signed_in.get(DATA))
    assert "The archive was imported." in page and "Result" in page
    assert "Result" not in text_of(signed_in.get(DATA))


def test_another_archive_than_was_looked_at_is_not_taken_in(signed_in: Client, alice: User) -> None:
    empty = export(signed_in)
    json_storage.create("tasks", alice.pk, {"title": "Keep me"})
    full = export(signed_in)
    looked = send(signed_in, full)
    other = send(signed_in, empty, take="yes", judged=judged_in(looked), mode="replace")
    assert "not the archive you previewed" in text_of(other) and titles(alice) == ["Keep me"]
    taken = send(signed_in, empty, take="yes", judged=judged_in(other), mode="replace")
    assert taken.status_code == 302 and titles(alice) == []


def test_import_page_invalid_archive_shows_error(signed_in: Client) -> None:
    answer = send(signed_in, b"PK but no more")
    assert answer.status_code == 422 and "cannot be imported" in text_of(answer)
    assert signed_in.post(DATA, {"mode": "merge"}).status_code == 422


def test_an_archive_may_be_larger_than_a_form(signed_in: Client, settings: Any) -> None:
    answer = send(signed_in, b"x" * (2 * 1024 * 1024))
    assert answer.status_code == 422
    settings.NEURALFLOW_IMPORT_BYTES = 10
    assert send(signed_in, b"x" * (2 * 1024 * 1024)).status_code == 413


def test_a_strangers_archive_is_not_read(client: Client) -> None:
    assert send(client, b"x")["Location"].startswith("/accounts/login/")
    client.cookies["sessionid"] = "a" * 32
    assert send(client, b"x" * (2 * 1024 * 1024)).status_code == 413


def test_a_forged_form_is_refused(alice: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    assert send(browser, b"x").status_code == 403


def test_report_of_an_import_does_not_fill_the_row_of_the_session(
    client: Client, alice: User
) -> None:
    """The ids that a hundred thousand records were given stayed in it until somebody looked."""
    client.force_login(alice)
    json_storage.create("tasks", alice.pk, {"title": "one"})
    json_storage.delete("tasks", alice.pk, 1)
    tasks = [{"id": number, "title": f"Task {number}"} for number in range(2, 400)]
    json_storage.store.change(lambda t: t.reserve_ids(key_of("tasks", alice.pk), 1_000))
    data = honest([(f"tasks/tasks_{alice.pk}.json", json.dumps({"tasks": tasks}).encode())])

    def sent(**more: str) -> Any:
        file = SimpleUploadedFile("all.zip", data, "application/zip")
        return client.post(DATA, {"archive": file, "mode": "merge", **more})

    judged = sent().context["judged"]
    assert sent(judged=judged, take="1").status_code == 302
    report = client.session["import_report"]
    assert report["collections"]["tasks"]["added"] == 398
    assert len(json.dumps(report)) < 2_000


def test_past_tokens_and_sessions_are_bounded(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.tokens.PAST_TOKENS_MAX", 3)
    monkeypatch.setattr("accounts.sessions.SESSIONS_MAX", 3)
    for number in range(6):
        revoke(create_token(alice, f"token {number}")[0])
        form = {"login": alice.username, "password": PASSWORD}
        assert Client().post("/accounts/login/", form).status_code == 302
    assert {token.name for token in ApiToken.objects.filter(user=alice)} >= {"token 5", "token 4"}
    assert ApiToken.objects.filter(user=alice).count() == 4
    assert UserSession.objects.filter(user=alice).count() == 3
